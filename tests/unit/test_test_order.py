"""Tests that take the lab down run last, by their marker and not by the name of their file."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.config import ROOT

pytest_plugins = ["pytester"]


def test_marked_tests_run_last_in_an_otherwise_unchanged_order(pytester: pytest.Pytester) -> None:
    hook = (ROOT / "tests" / "integration" / "conftest.py").read_text()
    start = hook.index("def pytest_collection_modifyitems")
    function = hook[start : hook.index("\n\n\n", start)]
    pytester.makeconftest(f"import pytest\n\n{function}\n")
    pytester.makeini("[pytest]\nmarkers =\n  takes_the_lab_down: last")
    pytester.makepyfile(
        test_a="import pytest\npytestmark = pytest.mark.takes_the_lab_down\ndef test_down(): pass",
        test_b="def test_second(): pass\ndef test_first(): pass",
    )
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", "-p", "no:nbval")
    order = [line.partition("::")[2].split()[0] for line in result.outlines if "PASSED" in line]
    assert order == ["test_second", "test_first", "test_down"]


def test_the_life_of_the_lab_is_marked() -> None:
    text = Path(ROOT / "tests" / "integration" / "test_lifecycle.py").read_text()
    assert "pytest.mark.takes_the_lab_down" in text
