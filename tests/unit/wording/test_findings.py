"""Which lines are read, what is found in them, and how much of it is allowed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import LabError, UsageError
from scripts.wording import allowed, commands, findings, rules, texts
from scripts.wording.rules import Rule
from scripts.wording.texts import Line

COUNTS = st.dictionaries(st.sampled_from(["card", "cannot be had", "Stage", "x.y"]), st.integers(1, 99))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a module, a notebook and a recording."""
    notebook = {"cells": [{"source": ["one\n", "a card"], "outputs": [{"text": "a card of the output"}]}, {"source": "two"}]}
    contents = {
        "labs/a.py": "# A card.\nimport b\n",
        "notebooks/01.ipynb": json.dumps(notebook),
        "tests/parity/recordings/x.md": "a card\n",
        "picture.png": "card",
        "ignored.py": "card",
        ".gitignore": "ignored.py\n",
    }
    for name, text in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_every_line_that_people_read_is_read_and_nothing_else(project: Path) -> None:
    read = [(line.path, line.number, line.text) for line in texts.lines(project)]
    notebook = [("notebooks/01.ipynb", number, text) for number, text in enumerate(["one", "a card", "two"], 1)]
    assert read == [("labs/a.py", 1, "# A card."), ("labs/a.py", 2, "import b"), *notebook]


def test_a_finding_says_where_and_what_to_write(project: Path) -> None:
    found = findings.words(texts.lines(project), [Rule("card", "GPU")])
    assert [str(finding) for finding in found] == [
        "labs/a.py:1: write “GPU” instead of “card”: # A card.",
        "notebooks/01.ipynb:2: write “GPU” instead of “card”: a card",
    ]
    assert findings.counted(found) == {"card": 2}


def test_slips_of_spelling_are_found_at_their_line() -> None:
    lines = [Line("a", 1, "all is well"), Line("b", 7, "   it ocurred twice"), Line("b", 8, "erro")]
    (found,) = findings.spelling(lines, ["erro"])
    assert (found.line, found.avoid, found.use) == (lines[1], "ocurred", "occurred")


def test_more_than_allowed_is_too_many() -> None:
    assert allowed.too_many({"card": 3, "plane": 1, "weather": 2}, {"card": 2, "weather": 2}) == {"card": 1, "plane": 1}


@given(COUNTS, COUNTS)
def test_shrinking_never_allows_more(found: dict[str, int], before: dict[str, int]) -> None:
    after = allowed.shrunk(found, before)
    assert all(0 < count <= before[word] for word, count in after.items())
    assert allowed.too_many(found, after) == allowed.too_many(found, before)


@given(COUNTS)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, counts: dict[str, int]) -> None:
    path = tmp_path_factory.mktemp("allowed") / "allowed.toml"
    path.write_text(allowed.text(counts))
    assert allowed.load(path) == counts


@pytest.mark.parametrize("number", ["0", "-1", "'many'", "true"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "allowed.toml").write_text(f"card = {number}\n")
    with pytest.raises(UsageError, match="card"):
        allowed.load(tmp_path / "allowed.toml")


def test_only_words_of_the_list_are_allowed() -> None:
    assert allowed.load().keys() <= {rule.avoid for rule in rules.load()[1]}


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str, lines: list[Line]) -> tuple[str, BaseException | None]:
    monkeypatch.setattr(commands.texts, "lines", lambda: lines)
    monkeypatch.setattr(commands.allowed, "ALLOWED", folder / "allowed.toml")
    monkeypatch.setattr(commands.allowed, "load", lambda: {"card": 2})
    result = CliRunner().invoke(commands.terms, words)
    return result.output, result.exception


@pytest.mark.parametrize(("times", "text", "fails"), [(2, "fine", False), (3, "fine", True), (0, "ocurred", True)])
def test_the_command_fails_for_more_than_is_left_and_for_slips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int, text: str, fails: bool
) -> None:
    _, error = run(monkeypatch, tmp_path, lines=[Line("a", 1, "card " * times), Line("a", 2, text)])
    assert isinstance(error, LabError) is fails


def test_the_command_lowers_the_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, error = run(monkeypatch, tmp_path, "--shrink", lines=[Line("a", 1, "one card")])
    assert error is None
    assert '"card" = 1' in (tmp_path / "allowed.toml").read_text()
