"""The learner's own copies of the notebooks, in ``work/``: without outputs, ignored by git, and kept up to date.

``notebooks/`` holds the published notebooks with their outputs, for reading. What a learner runs and changes is a copy, so
the checkout stays clean and the answers do not stand under the questions. A published fix replaces a copy that nobody has
touched; one that somebody has changed or run is kept beside the new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from labs import config
from labs.course.notebooks import Notebook, all_notebooks, without_outputs
from labs.wire.replace_file import replace_text

LAID_OUT = ".laid-out.json"
"""In the folder: the name of each copy → the fingerprint of the published notebook that it was made from."""


@dataclass(frozen=True)
class Workspace:
    """The folder with the copies."""

    folder: Path = config.WORK

    @property
    def exists(self) -> bool:
        return (self.folder / LAID_OUT).exists()

    def copy_of(self, notebook: Notebook) -> Path:
        return self.folder / notebook.path.name

    def refresh(self, published: Sequence[Notebook] | None = None) -> list[str]:
        """Create the copies that are missing and bring in what has changed since; a line for each existing copy that changes."""
        self.folder.mkdir(exist_ok=True)
        laid_out = self._laid_out()
        lines = []
        for notebook in published if published is not None else all_notebooks():
            fingerprint = _fingerprint(notebook.content)
            name = notebook.path.name
            if self.copy_of(notebook).exists() and laid_out.get(name) != fingerprint:
                lines += self._make_room(notebook, laid_out.get(name), fingerprint)
            if not self.copy_of(notebook).exists():
                replace_text(self.copy_of(notebook), nbformat.writes(without_outputs(notebook.content)) + "\n")
            # After each one: if this is interrupted, the rest is found as it was.
            laid_out[name] = fingerprint
            replace_text(self.folder / LAID_OUT, json.dumps(laid_out, indent=1))
        return lines

    def _laid_out(self) -> dict[str, str]:
        try:
            content: dict[str, str] = json.loads((self.folder / LAID_OUT).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}  # every copy counts as changed, so none is lost
        return content

    def _make_room(self, notebook: Notebook, laid_out: str | None, published: str) -> list[str]:
        """Move or remove the copy, because the published notebook is a newer one."""
        copy = self.copy_of(notebook)
        content = _read(copy)
        if content is not None and _fingerprint(content) == published:
            return []
        if content is not None and _fingerprint(content) == laid_out and not _has_outputs(content):
            copy.unlink()
            return [f"{copy.name}: updated"]
        kept = _free_name(copy)
        copy.rename(kept)
        return [f"{copy.name}: updated; yours is now {kept.name}"]


def _free_name(copy: Path) -> Path:
    """``05-multicluster-mine.ipynb``, or the first such name that is free."""
    count = 1
    while (path := copy.with_name(f"{copy.stem}-mine{'' if count == 1 else count}.ipynb")).exists():
        count += 1
    return path


def _read(path: Path) -> nbformat.NotebookNode | None:
    """The notebook, or None for a file that is none; it may still be work."""
    try:
        node: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, AttributeError, KeyError):
        return None
    return node


def _has_outputs(content: nbformat.NotebookNode) -> bool:
    return any(cell.get("outputs") for cell in content.cells)


def _fingerprint(content: nbformat.NotebookNode) -> str:
    """Of what people write: the cells' types and sources. JupyterLab changes the rest when it saves."""
    cells = [(cell.cell_type, cell.source) for cell in content.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
