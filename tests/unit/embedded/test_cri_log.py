"""Reading logs in the CRI's format."""

from __future__ import annotations

import datetime
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node.server import cri_log

LINES = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n"))


@given(lines=LINES, wanted=st.integers(0, 12), block=st.integers(1, 30))
def test_tail_offset_is_where_the_last_lines_begin(lines: list[bytes], wanted: int, block: int) -> None:
    before, cri_log.BLOCK = cri_log.BLOCK, block
    try:
        offset = cri_log.tail_offset(io.BytesIO(b"".join(lines)), wanted)
    finally:
        cri_log.BLOCK = before
    assert b"".join(lines)[offset:] == b"".join(lines[len(lines) - min(wanted, len(lines)) :])


@given(text=st.binary().map(lambda data: data.replace(b"\n", b"")), stream=st.sampled_from(["stdout", "stderr"]))
def test_parse_gives_back_what_was_written(text: bytes, stream: str) -> None:
    full = cri_log.parse(b"2026-11-24T15:28:46.4Z " + stream.encode() + b" F " + text + b"\n")
    partial = cri_log.parse(b"2026-11-24T15:28:46.4Z " + stream.encode() + b" P " + text + b"\n")
    assert full == cri_log.Entry(b"2026-11-24T15:28:46.4Z", stream, text + b"\n")
    assert partial == cri_log.Entry(b"2026-11-24T15:28:46.4Z", stream, text)


@given(st.binary())
def test_parse_survives_anything(line: bytes) -> None:
    cri_log.parse(line)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-24T15:28:46.489182214Z", 489182),
        ("2026-11-24T15:28:46.4Z", 400000),
        ("2026-11-24T15:28:46Z", 0),
        ("2026-11-24T17:28:46.08+02:00", 80000),
    ],
)
def test_parse_time(text: str, microsecond: int) -> None:
    expected = datetime.datetime(2026, 11, 24, 15, 28, 46, microsecond, datetime.UTC)
    assert cri_log.parse_time(text) == expected


def test_parse_time_refuses() -> None:
    with pytest.raises(ValueError):
        cri_log.parse_time("yesterday")


async def test_lines_that_are_no_log_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"garbage\n2026-11-24T15:28:46Z stdout F kept\nmore garbage without end")
    pieces = [piece async for piece in cri_log.read(path, cri_log.Options(), lambda: True)]
    assert pieces == [b"kept\n"]
