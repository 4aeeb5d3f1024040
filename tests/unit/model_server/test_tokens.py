"""Tokens and their ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.model_server import tokens

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_tokens_joined_are_the_text_and_so_are_their_ids(text: str) -> None:
    pieces = tokens.split(text)
    assert "".join(pieces) == text and all(pieces)
    ids = [tokens.encode(piece) for piece in pieces]
    assert [tokens.decode(id) for id in ids] == pieces and all(0 <= id < tokens.SIZE for id in ids)


@given(st.integers(0, tokens.SIZE - 1))
def test_an_id_spells_one_piece_or_is_refused(id: int) -> None:
    try:
        piece = tokens.decode(id)
    except tokens.UnknownToken:
        return
    piece.encode()  # it is text
    assert len(tokens.split(piece)) == (1 if piece else 0)
    if piece:
        assert tokens.decode(tokens.encode(piece)) == piece


def test_every_block_of_the_vocabulary_is_found_again() -> None:
    for word in ("", "a", "z", "aa", "zzzzzzz", "A", "aB", "ZZZZZZZ", "0", "999", "é", ".", "\U0010ffff"):
        for before in tokens.BEFORE:
            assert before + word == "" or tokens.decode(tokens.encode(before + word)) == before + word, (before, word)


def test_small_ids_spell_words_of_their_own() -> None:
    """Ids of another model's vocabulary (100 000 of them) must not all come out as the same word, or as none."""
    words = {tokens.decode(id).strip() for id in range(1, 100_000)}
    assert len(words) == 99_999 and max(map(len, words)) == 4


@pytest.mark.parametrize("id", [-1, tokens.SIZE, 10**30, tokens.encode("é") - ord("é") + 0xD800])
def test_ids_beyond_the_vocabulary_are_refused(id: int) -> None:
    with pytest.raises(tokens.UnknownToken, match="expected token ids"):
        tokens.decode(id)


def test_only_as_many_as_asked_for() -> None:
    assert tokens.split("one two three", 2) == ["one", " two"]
    assert tokens.split("a  b\r\nc") == ["a", " ", " b", "\r", "\nc"]
