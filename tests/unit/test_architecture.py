"""``docs/architecture.md`` draws the rooms as the import contracts have them."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from labs.config import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"


def contract() -> list[list[str]]:
    """The layers of the contract about rooms, each with its rooms that stand side by side."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(row["layers"] for row in contracts if row["type"] == "layers")
    return [[room.strip().removeprefix("labs.") for room in layer.split("|")] for layer in layers]


def drawn(text: str) -> list[list[str]]:
    """The layers of the diagram."""
    diagram = re.search(r"<!-- rooms -->\n```text\n(.*?)```", text, re.DOTALL)
    assert diagram, "the diagram is missing"
    return [line.split(" · ") for line in diagram[1].splitlines()]


def test_the_diagram_is_the_contract() -> None:
    assert drawn(DOCUMENT.read_text()) == contract()


def test_every_room_is_in_the_contract() -> None:
    modules = {path.stem for path in (ROOT / "labs").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    known = {room for layer in contract() for room in layer}
    assert modules - known == {"__init__", "entry", "pods", "version"}, "a room outside the contract may import anything"


def test_the_contracts_have_no_exceptions() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert linter["exclude_type_checking_imports"] is False
    assert not [row["name"] for row in linter["contracts"] if "ignore_imports" in row]


def test_every_path_that_the_document_names_exists() -> None:
    named = re.findall(r"`((?:labs|clusters|scripts|tests|docs)/[\w./-]+)`", DOCUMENT.read_text())
    assert named and [path for path in named if not (ROOT / path).exists()] == []


def has(path: str, name: str) -> bool:
    """Whether the module defines ``name``: a function, a class, or ``Class.method``."""
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
        named = next((node for node in found if node.name == part), None)
        if named is None:
            return False
        body = named.body
    return True


def test_every_function_that_the_document_names_exists() -> None:
    named = re.findall(r"`(labs/[\w./-]+\.py):([\w.]+)`", DOCUMENT.read_text())
    assert len(named) > 20 and [f"{path}:{name}" for path, name in named if not has(path, name)] == []


@pytest.mark.parametrize(("name", "there"), [("Loopback.dial", True), ("here", True), ("Loopback.gone", False), ("gone", False)])
def test_a_function_that_is_gone_is_seen(name: str, there: bool) -> None:
    assert has("labs/wire/network.py", name) is there


def test_the_document_is_linked_from_where_a_stranger_begins() -> None:
    for entry in ("README.md", "CONTRIBUTING.md"):
        assert "(docs/architecture.md)" in (ROOT / entry).read_text()
