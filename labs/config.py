"""Where the checkout is, and which versions are pinned.

A lab's files are in ``labs.paths``, its clusters in ``labs.topology``.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""
CLUSTERS = ROOT / "clusters"
MANIFESTS = CLUSTERS / "manifests"
NOTEBOOKS = ROOT / "notebooks"
"""The published notebooks, with outputs."""
WORK = ROOT / "work"
"""The learner's copies of them; git ignores it."""
LAB_IMAGE = "boring-ops-lab/lab:dev"
"""The image of the lab's own programs, as the manifests name it."""


@cache
def versions() -> dict[str, Any]:
    """The pinned versions, as ``clusters/versions.toml`` has them."""
    return tomllib.loads((CLUSTERS / "versions.toml").read_text())
