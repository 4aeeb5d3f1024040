"""What is read: every line of the project that people read, code included; of notebooks their cells, not their outputs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labs import config

SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yaml", ".yml", ".j2", ".html", ".lua", ".sh", ""}
"""Files without a suffix are scripts, and Dockerfiles."""
NOT_OURS = (
    "clusters/gateway-api/",
    "tests/parity/recordings/",
    "labs/wire/deviceplugin/",
    "clusters/embedded/go/",
    "LICENSE",
    "clusters/gateway-api/SHA256SUMS",
    ".gitignore",
    ".gitattributes",
    ".dockerignore",
)
"""Written by others, recorded, or generated."""
ABOUT_WORDS = ("docs/terms.toml", "docs/terms-allowed.toml", "docs/glossary.md", "tests/unit/wording/", "scripts/wording/")
"""They name the words that are not used."""


@dataclass(frozen=True)
class Line:
    """One line: ``number`` counts from 1; in a notebook it counts the lines of all cells."""

    path: str
    number: int
    text: str


def lines(root: Path = config.ROOT) -> Iterator[Line]:
    """All lines of the files that git tracks below ``root``, or will track."""
    for name in files(root):
        try:
            text = (root / name).read_text()
        except UnicodeDecodeError:
            continue  # an image, for instance
        content = cells(text) if name.endswith(".ipynb") else text
        for number, line in enumerate(content.splitlines(), 1):
            yield Line(name, number, line)


def files(root: Path) -> list[str]:
    """Names relative to ``root``."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(filter(None, listed.split("\0"))) if _is_read(root, name))


def _is_read(root: Path, name: str) -> bool:
    return Path(name).suffix in SUFFIXES and not name.startswith(NOT_OURS + ABOUT_WORDS) and (root / name).is_file()


def cells(notebook: str) -> str:
    """The sources of a notebook's cells, one after the other."""
    sources = (cell["source"] for cell in json.loads(notebook)["cells"])
    return "\n".join("".join(source) for source in sources)
