"""Server-sent events: what is encoded comes back, however the bytes are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from labs.wire.sse import Decoder, Event, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAME = st.sampled_from(["", "token", "done"])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(bounds)]


def lines(text: str) -> str:
    """The one thing the format loses: which kind of line break it was."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.tuples(TEXT, NAME), max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_events_survive_any_cutting(events: list[tuple[str, str]], places: list[int]) -> None:
    decoder = Decoder()
    stream = b"".join(encode(data, name) for data, name in events)
    found = [event for chunk in cut(stream, places) for event in decoder.feed(chunk)]
    assert found == [Event(lines(data), name or "message") for data, name in events]


@given(st.lists(st.integers(0, 100), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_line_break_of_the_format_is_read(places: list[int], newline: str) -> None:
    stream = newline.join([": a comment", "event: done", "id: 7", "data:one", "data: two", "", "data: three", "", ""]).encode()
    decoder = Decoder()
    found = [event for chunk in cut(stream, places) for event in decoder.feed(chunk)]
    if newline == "\r":  # the last one may be half of a CRLF, until more comes
        found += decoder.feed(b"\n")
    assert found == [Event("one\ntwo", "done"), Event("three")]


def test_an_unfinished_event_is_not_handed_out() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: half\n") == []
    assert decoder.feed(b"\n") == [Event("half")]
