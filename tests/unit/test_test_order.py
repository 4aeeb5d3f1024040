"""What needs clusters without a mesh runs first and what takes the lab down last, by markers and not by the names of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.config import ROOT

pytest_plugins = ["pytester"]


def test_marked_tests_run_first_or_last_in_an_otherwise_unchanged_order(pytester: pytest.Pytester) -> None:
    hook = (ROOT / "tests" / "integration" / "conftest.py").read_text()
    start = hook.index("def pytest_collection_modifyitems")
    function = hook[start : hook.index("\n\n\n", hook.index("def _turn", start))]
    pytester.makeconftest(f"import pytest\n\n{function}\n")
    pytester.makeini("[pytest]\nmarkers =\n  takes_the_lab_down: last\n  before_the_mesh: first")
    pytester.makepyfile(
        test_a="import pytest\npytestmark = pytest.mark.takes_the_lab_down\ndef test_down(): pass",
        test_b="def test_second(): pass\ndef test_first(): pass",
        test_c="import pytest\n@pytest.mark.before_the_mesh\ndef test_bare(): pass\ndef test_third(): pass",
    )
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider", "-p", "no:nbval")
    order = [line.partition("::")[2].split()[0] for line in result.outlines if "PASSED" in line]
    assert order == ["test_bare", "test_second", "test_first", "test_third", "test_down"]


def test_the_life_of_the_lab_is_marked() -> None:
    text = Path(ROOT / "tests" / "integration" / "test_lifecycle.py").read_text()
    assert "pytest.mark.takes_the_lab_down" in text
