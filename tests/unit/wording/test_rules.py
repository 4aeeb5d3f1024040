"""The word list: what a rule finds, and which lists are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.errors import UsageError
from scripts.wording import glossary, rules
from scripts.wording.rules import Rule

CARD = Rule("card", "GPU")


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("a card of the node", 1),
        ("A Card", 1),
        ("card_name, gpu_card and card.toml", 3),
        ("class CardState and class GpuCard", 2),
        ("discard, cards, cardinal, scorecard", 0),
        ("DISCARD", 0),
    ],
)
def test_a_word_is_found_by_itself_and_in_names(line: str, count: int) -> None:
    assert CARD.count(line) == count


def test_an_identifier_is_matched_as_written() -> None:
    stage = Rule("Stage", "parity context")
    assert stage.count("Stage(here), stage: Stage") == 2
    assert stage.count("on stage, StageOne, MyStage, Stages") == 0


def test_what_may_stand_is_not_counted() -> None:
    plane = Rule("plane", "layer", ("control[- _]?plane", "data[- _]?plane"))
    assert plane.count("the control plane, the data-plane and control_plane") == 0
    assert plane.count("the control plane and another plane") == 1


@given(st.text(alphabet="abc xyz_", max_size=30), st.text(alphabet="abc xyz_", max_size=30))
def test_a_word_between_spaces_is_found_whatever_stands_around_it(before: str, after: str) -> None:
    assert CARD.count(f"{before} card {after}") == 1


def write(folder: Path, text: str) -> Path:
    path = folder / "terms.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[word]]\nuse = 'x'\ninstead_of = []", "word"),
        ("[[phrase]]\nuse = 'x'", "instead_of"),
        ("[[phrase]]\nuse = 'x'\ninstead_of = 'y'", "'y'"),
        ("[[term]]\nname = 'x'\nmeaning = 'y'\ninstead_of = []\ncolour = 'red'", "colour"),
        ("[[phrase]]\nuse = 'x'\ninstead_of = ['y']\n[[phrase]]\nuse = 'z'\ninstead_of = ['y']", "more for y"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        rules.load(write(tmp_path, text))


def test_the_rules_of_terms_and_phrases_are_read(tmp_path: Path) -> None:
    text = "[[term]]\nname = 'GPU'\nmeaning = 'a device'\ninstead_of = ['card']\n[[phrase]]\nuse = 'again'\ninstead_of = ['anew']"
    terms, read = rules.load(write(tmp_path, text))
    assert [(term.name, term.meaning) for term in terms] == [("GPU", "a device")]
    assert [(rule.avoid, rule.use) for rule in read] == [("card", "GPU"), ("anew", "again")]


def test_the_glossary_is_written_from_the_list() -> None:
    terms, _ = rules.load()
    assert glossary.DOCUMENT.read_text() == glossary.document(terms), "docs/glossary.md is old; type: scripts/terms --write"
