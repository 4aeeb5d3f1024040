"""The list of rows itself: how many, in which form, and that the document lists exactly them."""

from __future__ import annotations

import re

import pytest

from labs.errors import NotFound
from tests.parity import report
from tests.parity.rows import Topic, chosen, topics

ROWS = [row for topic in topics() for row in topic.rows]


@pytest.mark.parametrize(("subject", "least"), [("linkerd", 60), ("kubelet", 40)])
def test_there_are_enough_rows(subject: str, least: int) -> None:
    assert sum(len(topic.rows) for topic in topics() if topic.subject == subject) >= least


def test_ids_are_unique() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_every_row_names_its_recording_or_the_document_it_is_from() -> None:
    form = re.compile(r"(experiments/)?[\w.-]+\.(txt|json|prom|md)|documented: (linkerd\.io|linkerd2|linkerd2-proxy)/[-\w./ ]+")
    assert [row.id for row in ROWS if not form.fullmatch(row.source)] == []


def test_a_row_that_is_not_the_same_says_why() -> None:
    assert [row.id for row in ROWS if (row.verdict == "same") == bool(row.reason)] == []


def test_the_document_lists_exactly_the_rows() -> None:
    assert report.DOCUMENT.read_text() == report.document(topics()), "docs/parity.md is old; type: scripts/parity --write"


def test_topics_are_chosen_by_name_or_subject() -> None:
    assert [topic.name for topic in chosen(["kubelet_probes"])] == ["kubelet_probes"]
    assert {topic.subject for topic in chosen(["linkerd"])} == {"linkerd"}
    assert len(chosen([])) == len(topics())
    with pytest.raises(NotFound, match="kubelet_probes"):
        chosen(["probes"])


def test_a_topic_registers_what_it_decorates() -> None:
    topic = Topic("t", "kubelet", "T")

    @topic.row("how many", real=1, source="x.txt", missing="not yet")
    def count(context: object) -> int:
        return 1

    (row,) = topic.rows
    assert (row.id, row.verdict, row.reason) == ("t.count", "missing", "not yet")
