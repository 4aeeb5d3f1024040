"""``docs/architecture.md`` draws the rooms as the import contracts have them."""

from __future__ import annotations

import re
import tomllib

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
