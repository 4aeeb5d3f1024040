"""The runbook answers its own questions, and tokens give the text back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.model_server import tokens
from labs.pods.model_server.retrieval import Entry, Index, parse

INDEX = Index.of_file()
GOOD = "## a: A\nSymptom: s\nCause: c\nType: t\n"


@pytest.mark.parametrize("entry", INDEX.entries, ids=lambda entry: entry.id)
def test_every_entry_is_found_by_its_title_and_its_symptom(entry: Entry) -> None:
    assert INDEX.search(entry.title)[0] is entry
    assert INDEX.search(entry.symptom)[0] is entry


@pytest.mark.parametrize(
    ("question", "id"),
    [
        ("What does XID 79 mean?", "gpu-xid-79"),
        ("Why is the card so hot?", "gpu-throttling"),
        ("Why do I get a 403?", "linkerd-policy-403"),
        ("the gateway is down", "linkerd-gateway-down"),
        ("What is an error budget?", "slo-error-budget"),
        ("my container was oomkilled", "pod-oomkilled"),
        ("what is p95", "latency-p95"),
    ],
)
def test_questions_people_ask(question: str, id: str) -> None:
    assert INDEX.search(question)[0].id == id


def test_nothing_is_found_for_words_the_runbook_does_not_have() -> None:
    assert INDEX.search("zebra bicycle") == []
    assert INDEX.search("") == []


def test_there_are_enough_entries_and_each_answer_names_its_source() -> None:
    assert len(INDEX.entries) >= 30
    for entry in INDEX.entries:
        assert f"[runbook: {entry.id}]" in entry.answer()
        assert 35 <= len(tokens.split(entry.answer())) <= 90


@pytest.mark.parametrize("broken", [GOOD.replace("Cause", "Because"), GOOD.replace("## a: A", "## a"), GOOD + GOOD])
def test_a_broken_runbook_is_refused(broken: str) -> None:
    assert len(parse(GOOD)) == 1
    with pytest.raises(ValueError, match="runbook"):
        parse(broken)


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens.split(text)) == text


def test_tokens_are_about_as_many_as_a_tokenizer_makes() -> None:
    text = re.sub(r"\s+", " ", " ".join(entry.text() for entry in INDEX.entries))
    assert 3.0 < len(text) / len(tokens.split(text)) < 5.0
