"""The failures the lab knows, read from ``rows/*.toml``: a file per plane."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from labs.errors import NotFound

FOLDER = Path(__file__).parent / "rows"
PLANES = ("card", "kubernetes", "serving", "mesh", "network")
"""The planes a failure can come from, and on which it shows or does not; each has a file."""


@dataclass(frozen=True)
class Sign:
    """What proves that a failure is there, and when it is gone again: a query that then has a result, or a word that
    ``kubectl`` then prints.
    """

    cluster: str
    promql: str = ""
    kubectl: str = ""
    prints: str = ""


@dataclass(frozen=True)
class Fault:
    """One failure: what it is in production, where it shows, how it is repaired.

    ``injector`` names what makes it and ``options`` are its words, ``where`` the words that say where to make it. ``shows`` maps
    each plane to what is seen on it, ``nothing`` included. ``level``: 1 is seen at a glance, 2 takes two planes, 3 hides.
    ``object`` is what broke, as a learner would name it. ``embedded`` says what differs where nodes are processes. ``later``
    says why its sign takes longer than 3 s by its nature, and ``first`` is what can be seen before it, if anything can.
    """

    name: str
    title: str
    plane: str
    injector: str
    where: tuple[str, ...]
    production: str
    source: str
    blast_radius: str
    shows: Mapping[str, str]
    look: tuple[str, ...]
    repair: str
    prevent: str
    object: str
    level: int
    sign: Sign
    options: Mapping[str, Any] = field(default_factory=dict)
    embedded: str = ""
    first: Sign | None = None
    later: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any], plane: str) -> Fault:
        """A table of a TOML file, whose words are written with dashes; ``with`` holds the injector's options.

        Raises:
            TypeError: a field is missing or unknown.
        """
        renamed = {"options" if key == "with" else key.replace("-", "_"): value for key, value in row.items()}
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in renamed.items()}
        fields |= {key: Sign(**row[key]) for key in ("sign", "first") if key in row}
        return cls(plane=plane, **fields)


@cache
def catalogue() -> dict[str, Fault]:
    """Every failure by name, plane by plane, in the order of the files."""
    found: dict[str, Fault] = {}
    for plane in PLANES:
        for row in tomllib.loads((FOLDER / f"{plane}.toml").read_text())["fault"]:
            found[row["name"]] = Fault.from_row(row, plane)
    return found


def find(name: str) -> Fault:
    """The failure of that name.

    Raises:
        NotFound: there is none; the message lists those there are.
    """
    known = catalogue()
    if name not in known:
        raise NotFound("fault", name, list(known), fix="lab fault list")
    return known[name]
