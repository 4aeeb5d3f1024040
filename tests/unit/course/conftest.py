"""A small notebook to run: no cluster needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from labs.course.notebooks import Notebook

MakeNotebook = Callable[..., Notebook]


@pytest.fixture
def make_notebook(tmp_path: Path) -> MakeNotebook:
    """``make_notebook("code", …, name=…, steps={1})``: a notebook of these code cells; cells in ``steps`` carry the tag."""

    def make(
        *sources: str, name: str = "42-answer", title: str = "# 42 · Answer\n\n*About 7 minutes.*", steps: set[int] | None = None
    ) -> Notebook:
        content = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        content.cells.append(nbformat.v4.new_markdown_cell(title))
        for index, source in enumerate(sources):
            cell = nbformat.v4.new_code_cell(source)
            cell.metadata["tags"] = ["step"] if index in (steps or set()) else []
            content.cells.append(cell)
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(content, path)
        return Notebook(path)

    return make
