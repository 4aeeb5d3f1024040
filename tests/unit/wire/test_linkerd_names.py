"""Linkerd's names are said in one module; the command and the programs of the stand-in have none of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs import config
from labs.wire import linkerd

PACKAGES = ("labs/mesh", "labs/pods/mesh_standin", "labs/faults", "labs/telemetry")
A_NAME = ("linkerd.io/", ".linkerd.io")
NO_NAMES = ("https://linkerd.io/",)
"""Addresses of web pages."""


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((config.ROOT / package).rglob("*.py"))]


def literals(tree: ast.Module) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    documented = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def names_in(source: str) -> list[str]:
    found = [text for text in literals(ast.parse(source)) if any(part in text for part in A_NAME)]
    return [text for text in found if not text.startswith(NO_NAMES)]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(config.ROOT)))
def test_a_module_says_none_of_linkerds_names(path: Path) -> None:
    assert names_in(path.read_text()) == []


def test_a_name_would_be_found() -> None:
    assert names_in('"""linkerd.io/inject"""\nX = "linkerd.io/inject"\nY = f"{X}.policy.linkerd.io"') == [
        "linkerd.io/inject",
        ".policy.linkerd.io",
    ]


def test_no_name_is_said_twice() -> None:
    values = [value for name, value in vars(linkerd).items() if name.isupper()]
    assert len(values) == len(set(values))
