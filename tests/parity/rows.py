"""A row of the parity table: what is asked, what a real one answered, what is declared for the stand-ins."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labs.errors import NotFound

if TYPE_CHECKING:
    from tests.parity.context import ParityContext

Subject = Literal["linkerd", "kubelet"]
Verdict = Literal["same", "differs", "missing"]
RECORDINGS = Path(__file__).parent / "recordings"
DOCUMENTED = "documented: "
"""How a source begins that is not a recording."""
Probe = Callable[["ParityContext"], Any]


@dataclass(frozen=True)
class Row:
    """One observable behaviour."""

    subject: Subject
    topic: str
    name: str
    """The probe's name; ``topic.name`` is the row's id."""
    asked: str
    """What is asked, in a sentence a reader can repeat."""
    real: Any
    """What the real one answered, as data; may hold the patterns of ``tests.parity.expect``."""
    source: str
    """The recording it is from, a file under ``tests/parity/recordings/SUBJECT``; or ``documented: WHERE``, a page of Linkerd's
    documentation or a file of its source, where there is none."""
    probe: Probe
    verdict: Verdict
    """Declared for the embedded backend; a real cluster answers the same."""
    reason: str
    """Why it differs or is missing; empty where it is the same."""
    within: float
    """Seconds until the answer may settle: the probe is asked again and again until it matches or they are over."""

    @property
    def id(self) -> str:
        return f"{self.topic}.{self.name}"

    @property
    def recording(self) -> Path | None:
        """The excerpt that holds the recorded answer; None where the answer is from a document."""
        return None if self.source.startswith(DOCUMENTED) else RECORDINGS / self.subject / self.source


@dataclass
class Topic:
    """Rows that share a subject and a place to run. Those of an ordered topic run one after the other, as written."""

    name: str
    subject: Subject
    title: str
    ordered: bool = False
    alone: bool = False
    """Its rows break what others stand on: they run one by one when all others are done."""
    rows: list[Row] = field(default_factory=list)

    def row(
        self, asked: str, *, real: Any, source: str, within: float = 0, differs: str = "", missing: str = ""
    ) -> Callable[[Probe], Probe]:
        """Register the decorated probe as a row; ``differs`` or ``missing`` is the reason why embedded answers something else."""

        def register(probe: Probe) -> Probe:
            verdict: Verdict = "differs" if differs else "missing" if missing else "same"
            # functools.partial has no name; a probe is always a function.
            name = probe.__name__
            self.rows.append(Row(self.subject, self.name, name, asked, real, source, probe, verdict, differs or missing, within))
            return probe

        return register


@lru_cache(maxsize=1)
def topics() -> tuple[Topic, ...]:
    """All topics: Linkerd's first, then the kubelet's, each by name."""
    from tests.parity import topics as package

    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    found: list[Topic] = [module.topic for module in modules if hasattr(module, "topic")]
    return tuple(sorted(found, key=lambda topic: (topic.subject != "linkerd", topic.name)))


def chosen(only: Iterable[str]) -> list[Topic]:
    """The topics of those names (all, if none is given); a subject's name chooses all of its topics.

    Raises:
        NotFound: there is no such topic.
    """
    wanted = set(only)
    known = {topic.name for topic in topics()} | {topic.subject for topic in topics()}
    for name in sorted(wanted - known):
        raise NotFound("topic", name, sorted(known))
    return [topic for topic in topics() if not wanted or wanted & {topic.name, topic.subject}]
