"""The form every notebook has (docs/writing-notebooks.md says why): each rule is a test, and is seen to fail."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable

import nbformat
import pytest

from labs import config
from labs.course.notebooks import Notebook, all_notebooks

CELL_LINES = 10


def long_cells(nb: nbformat.NotebookNode) -> bool:
    return all(len(cell.source.splitlines()) <= CELL_LINES for cell in nb.cells if cell.cell_type == "code")


def prose_before_code(nb: nbformat.NotebookNode) -> bool:
    """No more than two code cells in a row: what to expect stands before a cell, what happened after it."""
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in nb.cells)
    return kinds.startswith("m") and kinds.endswith("m") and "ccc" not in kinds


def has(pattern: str) -> Callable[[nbformat.NotebookNode], bool]:
    return lambda nb: any(re.search(pattern, cell.source) for cell in nb.cells)


def compares(nb: nbformat.NotebookNode) -> bool:
    return sum("nbval-check-output" in cell.metadata.get("tags", []) for cell in nb.cells) >= 2


def was_run(nb: nbformat.NotebookNode) -> bool:
    return all(cell.execution_count for cell in nb.cells if cell.cell_type == "code")


def no_error(nb: nbformat.NotebookNode) -> bool:
    return not any(out.output_type == "error" for cell in nb.cells for out in cell.get("outputs", []))


def images_have_alt(nb: nbformat.NotebookNode) -> bool:
    outputs = [out for cell in nb.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    return all(out.metadata.get("image/png", {}).get("alt") for out in outputs)


def no_empty_table(nb: nbformat.NotebookNode) -> bool:
    texts = [out.get("data", {}).get("text/plain", "") for cell in nb.cells for out in cell.get("outputs", [])]
    return not any("Empty DataFrame" in text for text in texts)


def no_input(nb: nbformat.NotebookNode) -> bool:
    return not any(re.search(r"\binput\(", cell.source) for cell in nb.cells if cell.cell_type == "code")


def no_state_folder(nb: nbformat.NotebookNode) -> bool:
    """``$LAB_STATE`` may have put it elsewhere; ``$LAB_MANIFESTS`` and ``$LAB_CERTIFICATES`` lead there."""
    return not any(".lab/" in cell.source for cell in nb.cells if cell.cell_type == "code")


def imports_exist(nb: nbformat.NotebookNode) -> bool:
    """What a cell imports of the lab is there: the notebooks are callers like any other."""
    python = [cell.source for cell in nb.cells if cell.cell_type == "code" and not cell.source.startswith("%%")]
    found = [node for source in python for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in found if (node.module or "").partition(".")[0] == "labs"]
    return all(hasattr(importlib.import_module(str(node.module)), alias.name) for node in ours for alias in node.names)


RULES: dict[str, Callable[[nbformat.NotebookNode], bool]] = {
    "a code cell has ten lines at most": long_cells,
    "prose stands around code": prose_before_code,
    "the first cell says how many minutes": lambda nb: bool(re.search(r"\d+ minutes", nb.cells[0].source)),
    "it says what you will see": has("What you will see"),
    "it asks for a prediction": has("[Pp]redict"),
    "it has a check": has(r"(lab\.|run_)check\("),
    "it has an exercise with hint and solution": has("<summary>Solution</summary>"),
    "it speaks of production": has("## In production"),
    "several cells are compared": compares,
    "it was run": was_run,
    "it holds no error": no_error,
    "no table came out empty": no_empty_table,
    "every image has alternative text": images_have_alt,
    "it asks for no input": no_input,
    "it does not guess the state folder": no_state_folder,
    "what it imports exists": imports_exist,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("notebook", all_notebooks(), ids=lambda n: n.path.stem)
def test_form(notebook: Notebook, rule: str) -> None:
    assert RULES[rule](notebook.content)


def test_the_readme_lists_every_notebook_with_its_minutes() -> None:
    text = (config.ROOT / "README.md").read_text()
    rows = re.findall(r"^\| \[([\w-]+)\]\(notebooks/\1\.ipynb\) \|.*\| (\d+) \|$", text, re.MULTILINE)
    assert rows == [(notebook.path.stem, str(notebook.minutes)) for notebook in all_notebooks()]


@pytest.mark.parametrize("notebook", all_notebooks(), ids=lambda n: n.path.stem)
def test_next_leads_to_the_next(notebook: Notebook) -> None:
    following = [other.path.name for other in all_notebooks() if other.number > notebook.number][:1]
    named = re.findall(r"\*\*Next:\*\* \[[\w-]+\]\(([\w-]+\.ipynb)\)", notebook.content.cells[-1].source)
    assert named == following


@pytest.mark.parametrize("rule", RULES)
def test_a_notebook_without_form_breaks_the_rule(rule: str) -> None:
    code = nbformat.v4.new_code_cell("\n".join(["input('.lab/')"] * 10 + ["from labs.course import nothing"]))
    code.outputs = [nbformat.v4.new_output("error"), nbformat.v4.new_output("display_data", data={"image/png": "x"})]
    code.outputs.append(nbformat.v4.new_output("display_data", data={"text/plain": "Empty DataFrame\nColumns: []\nIndex: []"}))
    bad = nbformat.v4.new_notebook(cells=[code])
    assert not RULES[rule](bad)
