"""The packages of the image: those from the checkout's lock that programs in pods need, with the same versions and hashes."""

from __future__ import annotations

import re
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labs import config

ROOTS = config.CLUSTERS / "image" / "requirements.in"
LOCK = config.CLUSTERS / "image" / "requirements.lock"
WHOLE = config.ROOT / "requirements.lock"
HEADER = "# Made by `lab image lock` from requirements.in and the checkout's requirements.lock; do not edit.\n"


def entries(lock: str) -> dict[str, str]:
    """Package name → its lines in a lock: the pin and the hashes below it."""
    blocks = re.findall(r"^[A-Za-z0-9][^\n]*\n(?:[ ]+[^\n]*\n)*", lock, re.MULTILINE)
    return {canonicalize_name(re.split(r"[=;\[ ]", block, maxsplit=1)[0]): block for block in blocks}


def closure(names: set[str]) -> set[str]:
    """``names`` and everything they require, according to the metadata of this environment's packages."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        needs = [Requirement(text) for text in metadata.requires(name) or []]
        waiting |= {canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate()} - found
    return found


def roots() -> set[str]:
    """The packages that the programs in pods import."""
    return {line for line in ROOTS.read_text().splitlines() if line and not line.startswith("#")}


def subset() -> str:
    """The text of the image's lock."""
    known = entries(WHOLE.read_text())
    return HEADER + "".join(known[name] for name in sorted(closure(roots())))


def write() -> None:
    LOCK.write_text(subset())
