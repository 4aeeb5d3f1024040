"""The recordings: each row's excerpt is in the repository and holds what the row says was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import pytest

from tests.parity import expect
from tests.parity.rows import RECORDINGS, Row, topics

RECORDED = [row for topic in topics() for row in topic.rows if row.recording]
OWN_NAMES = {
    "kubelet_commands.host_name",
    "linkerd_multicluster.federated_annotations",
    "linkerd_multicluster.unexported",
    "linkerd_control_plane.without_identity",
}
"""Rows whose words are names that the row itself chose, or kubectl's word for what was recorded: the recording has others."""
LARGEST = 40_000
"""Characters of an excerpt: more is no excerpt."""


def words(row: Row) -> set[str]:
    """The words of four letters and more of what was recorded."""
    text = " ".join(re.sub(r"\\[a-zA-Z]", " ", part).replace("\\", "") for part in texts(row.real))
    return set(re.findall(r"[A-Za-z][A-Za-z_]{3,}", text))


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case expect.Text(pattern):
            yield pattern
        case expect.Including(members):
            yield from members
        case Mapping():
            yield from texts(value.values())
        case Iterable():
            for part in value:
                yield from texts(part)


def share(row: Row, recording: str) -> float:
    """Which part of the row's words the recording holds; names of namespaces and objects are those of another cluster."""
    wanted = words(row)
    return sum(word in recording for word in wanted) / len(wanted) if wanted else 1.0


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row.id)
def test_the_recording_of_a_row_holds_its_answer(row: Row) -> None:
    assert row.recording is not None and row.recording.is_file(), f"tests/parity/recordings has no {row.subject}/{row.source}"
    if row.id not in OWN_NAMES:
        assert share(row, row.recording.read_text()) >= 0.5, words(row)


def test_an_answer_that_was_not_recorded_is_noticed() -> None:
    by_id = {row.id: row for row in RECORDED}
    row = by_id["linkerd_calls.fail_fast"]
    assert row.recording is not None
    assert share(row, row.recording.read_text()) == 1
    foreign = RECORDINGS / "kubelet" / "12-active-deadline.txt"
    assert share(row, foreign.read_text()) < 0.5


def test_rows_that_chose_their_names_exist() -> None:
    assert {row.id for row in RECORDED} >= OWN_NAMES


def test_every_recording_is_of_a_row_and_an_excerpt() -> None:
    files = {path for path in RECORDINGS.rglob("*") if path.is_file()} - {RECORDINGS / "README.md"}
    assert files == {row.recording for row in RECORDED}
    assert [path.name for path in files if len(path.read_text()) > LARGEST] == []
