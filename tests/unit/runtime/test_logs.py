"""A container's output in the CRI's log format: whatever the pieces it comes in, nothing is lost, added or reordered."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.runtime.shim.logs import LONGEST, LogFile, Stream

LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)", re.DOTALL)


def written(folder: Path, pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(tag, text) of each log line after the pieces came."""
    path = folder / "new" / "0.log"
    path.unlink(missing_ok=True)
    log = LogFile(str(path))
    stream = Stream(log, "stdout")
    for piece in pieces:
        stream.feed(piece)
    stream.end()
    log.close()
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        match = LINE.fullmatch(line)
        assert match, line
        found.append((match[3], match[4]))
    return found


@given(st.lists(st.binary(max_size=200) | st.just(b"x" * (LONGEST + 5)) | st.just(b"\n"), max_size=20))
def test_what_a_reader_puts_together_is_what_was_written(tmp_path_factory: object, pieces: list[bytes]) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    lines = written(folder, pieces)
    assert b"".join(text + (b"\n" if tag == b"F" else b"") for tag, text in lines) == b"".join(pieces)
    assert all(len(text) <= LONGEST for _, text in lines)


def test_streams_are_named_and_a_moved_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log = LogFile(str(path))
    Stream(log, "stderr").feed(b"first\n")
    path.rename(tmp_path / "0.log.old")
    Stream(log, "stderr").feed(b"second\n")
    log.reopen()
    Stream(log, "stderr").feed(b"third\n")
    log.close()
    assert [line.split(b" ", 1)[1] for line in (tmp_path / "0.log.old").read_bytes().splitlines()] == [
        b"stderr F first",
        b"stderr F second",
    ]
    assert path.read_bytes().endswith(b"stderr F third\n")


def test_a_container_without_a_log(tmp_path: Path) -> None:
    log = LogFile("")
    Stream(log, "stdout").feed(b"x\n")
    log.close()
