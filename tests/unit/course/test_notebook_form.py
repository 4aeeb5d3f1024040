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
NOT_YET_RUN_AGAIN = {"00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "99"}
"""Their outputs are older than charts as HTML and tables without empty headers. A run replaces them: only take names out."""


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


def bundles(nb: nbformat.NotebookNode) -> list[dict[str, str]]:
    return [out.get("data", {}) for cell in nb.cells for out in cell.get("outputs", [])]


def images_have_alt(nb: nbformat.NotebookNode) -> bool:
    """Each is an ``<img alt="…">``: JupyterLab shows an image/png without the alternative text in its metadata."""
    shown = [image for data in bundles(nb) for image in re.findall(r"<img\b[^>]*>", data.get("text/html", ""))]
    bare = [kind for data in bundles(nb) for kind in data if kind.startswith("image/") and "text/html" not in data]
    return not bare and all(re.search(r'\salt="[^"]+"', image) for image in shown)


def no_empty_header(nb: nbformat.NotebookNode) -> bool:
    return not any(re.search(r"<th\b[^>]*>\s*</th>", data.get("text/html", "")) for data in bundles(nb))


def pictures_told_in_metadata(nb: nbformat.NotebookNode) -> bool:
    """What ``images_have_alt`` was, for the outputs that are still of the old form."""
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
    "no header cell is empty": no_empty_header,
    "it asks for no input": no_input,
    "it does not guess the state folder": no_state_folder,
    "what it imports exists": imports_exist,
}


OF_OLD_OUTPUTS: dict[str, Callable[[nbformat.NotebookNode], bool]] = {
    "every image has alternative text": lambda nb: images_have_alt(nb) or pictures_told_in_metadata(nb),
    "no header cell is empty": lambda nb: True,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("notebook", all_notebooks(), ids=lambda n: n.path.stem)
def test_form(notebook: Notebook, rule: str) -> None:
    old = notebook.number in NOT_YET_RUN_AGAIN
    holds = OF_OLD_OUTPUTS.get(rule, RULES[rule]) if old else RULES[rule]
    assert holds(notebook.content)


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
    code.outputs.append(nbformat.v4.new_output("display_data", data={"text/html": "<table><tr><th> </th></tr></table>"}))
    code.outputs.append(nbformat.v4.new_output("display_data", data={"text/plain": "Empty DataFrame\nColumns: []\nIndex: []"}))
    bad = nbformat.v4.new_notebook(cells=[code])
    assert not RULES[rule](bad)


@pytest.mark.parametrize("picture", ['<img src="x">', '<img alt="" src="x">', '<p><img src="x" data-alt="y"></p>'])
def test_a_picture_without_alternative_text_is_seen(picture: str) -> None:
    def shows(text: str) -> nbformat.NotebookNode:
        output = nbformat.v4.new_output("display_data", data={"text/html": text})
        made: nbformat.NotebookNode = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
        return made

    assert not images_have_alt(shows(picture)) and images_have_alt(shows('<img alt="A line rises." src="x">'))
