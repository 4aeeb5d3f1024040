"""The failures the lab knows, read from ``rows/*.toml``: one file per layer."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from labs.errors import NotFound
from labs.topology import PlacedByRole, Role

FOLDER = Path(__file__).parent / "rows"
LAYERS = ("gpu", "kubernetes", "serving", "mesh", "network")
"""The layers of the stack. Each failure starts in one of them and may be visible in any of them."""


@dataclass(frozen=True)
class Symptom(PlacedByRole):
    """Evidence that a failure is present: a PromQL query that returns a result, or a pattern in what ``kubectl`` prints."""

    role: Role
    promql: str = ""
    kubectl: str = ""
    prints: str = ""


@dataclass(frozen=True)
class Fault:
    """One failure: what it is in production, where it shows, how it is repaired.

    ``layer`` is where it starts and ``object`` is what broke, as a learner would name it. ``shows`` says for every layer what is
    visible there, ``nothing`` included. ``level``: 1 is obvious, 2 needs two layers, 3 is well hidden.

    ``injector`` names the code that causes it, ``options`` configure that code, and ``parameters`` are what a caller may choose
    (a node, a rate). ``symptom`` proves that the failure is present and, once absent, that the repair worked.
    ``early_symptom`` appears before it, if anything does, and ``delay`` says why the symptom takes more than 3 s. ``how``
    describes what the lab does differently from production.
    """

    name: str
    title: str
    layer: str
    injector: str
    parameters: tuple[str, ...]
    production: str
    source: str
    blast_radius: str
    shows: Mapping[str, str]
    look: tuple[str, ...]
    repair: str
    prevent: str
    object: str
    level: int
    symptom: Symptom
    options: Mapping[str, Any] = field(default_factory=dict)
    how: str = ""
    early_symptom: Symptom | None = None
    delay: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any], layer: str) -> Fault:
        """Read one ``[[fault]]`` table; its keys are the fields of this class, with dashes.

        Raises:
            TypeError: a field is missing or unknown.
        """
        renamed = {key.replace("-", "_"): value for key, value in row.items()}
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in renamed.items()}
        fields |= {key: Symptom(**renamed[key]) for key in ("symptom", "early_symptom") if key in renamed}
        return cls(layer=layer, **fields)


@cache
def catalogue() -> dict[str, Fault]:
    """Every failure by name, layer by layer, in the order of the files."""
    found: dict[str, Fault] = {}
    for layer in LAYERS:
        for row in tomllib.loads((FOLDER / f"{layer}.toml").read_text())["fault"]:
            found[row["name"]] = Fault.from_row(row, layer)
    return found


def find(name: str) -> Fault:
    """The failure with that name.

    Raises:
        NotFound: there is none; the message lists all names.
    """
    known = catalogue()
    if name not in known:
        raise NotFound("fault", name, list(known), fix="lab fault list")
    return known[name]
