"""Tokens: pieces that give the text when joined, about as many as a language model's tokenizer makes, and their ids.

The vocabulary is open: every piece has a computed id, so there is no table. A piece is a white-space character or
none, and behind it one of: nothing, up to seven letters, up to three digits, any other character. The commonest kind (a space
and small letters) has the lowest ids, so that ids of another model's vocabulary, as LangChain sends them, spell words of their
own.
"""

from __future__ import annotations

import re
from itertools import islice
from string import ascii_letters, ascii_lowercase, digits

PIECE = re.compile(r"\s?(?:[A-Za-z]{1,7}|[0-9]{1,3}|[^\sA-Za-z0-9])|\s")
"""A piece takes the white space before it, as byte-pair tokenizers do. English comes out at about 4 characters a token."""
LETTERS, DIGITS = 7, 3
"""The most of each in a piece."""
BEFORE = [" ", "", *(chr(i) for i in range(0x3001) if chr(i).isspace() and chr(i) != " ")]
"""White space a piece can begin with; U+3000 is the last white-space character of Unicode."""


class UnknownToken(ValueError):
    """An id that spells no piece."""


def split(text: str, most: int | None = None) -> list[str]:
    """The tokens of ``text``, or the first ``most`` of them; all of them joined are ``text`` again.

    >>> split("XID 79: lost")
    ['XID', ' 79', ':', ' lost']
    """
    return [match.group() for match in islice(PIECE.finditer(text), most)]


def _words(alphabet: str, most: int) -> int:
    """How many words of at most ``most`` characters of ``alphabet`` there are, including the empty one."""
    return sum(len(alphabet) ** length for length in range(most + 1))


BLOCKS = ((ascii_lowercase, LETTERS), (ascii_letters, LETTERS), (digits, DIGITS))
"""Alphabets of words and the most characters; words take their numbers in this order, then single characters theirs."""
SINGLE = sum(_words(alphabet, most) for alphabet, most in BLOCKS)
"""The number of the single character U+0000, after all words."""
KINDS = SINGLE + 0x110000
SIZE = KINDS * len(BEFORE)
"""Ids are below this. It is less than 2**53, so every JSON library keeps them exactly."""


def encode(piece: str) -> int:
    """The id of a piece that ``split`` makes."""
    before = piece[:1] if piece[:1].isspace() else ""
    return BEFORE.index(before) * KINDS + _number(piece[len(before) :])


def _number(word: str) -> int:
    base = 0
    for alphabet, most in BLOCKS:
        if len(word) <= most and all(char in alphabet for char in word):
            return base + _words(alphabet, len(word) - 1) + _place(word, alphabet)
        base += _words(alphabet, most)
    return base + ord(word)


def _place(word: str, alphabet: str) -> int:
    """Where ``word`` stands among the words of its length."""
    place = 0
    for char in word:
        place = place * len(alphabet) + alphabet.index(char)
    return place


def decode(id: int) -> str:
    """The piece of an id.

    Raises:
        UnknownToken: no piece has that id.
    """
    if not 0 <= id < SIZE:
        raise UnknownToken(f"expected token ids from 0 to {SIZE - 1}; found one beyond")
    before, number = divmod(id, KINDS)
    return BEFORE[before] + _word(number)


def _word(number: int) -> str:
    for alphabet, most in BLOCKS:
        if number < _words(alphabet, most):
            return _spelled(number, alphabet)
        number -= _words(alphabet, most)
    if 0xD800 <= number < 0xE000:
        raise UnknownToken("expected token ids that spell text; found a surrogate's")
    return chr(number)


def _spelled(number: int, alphabet: str) -> str:
    length = next(length for length in range(LETTERS + 1) if number < _words(alphabet, length))
    place = number - _words(alphabet, length - 1)
    chars = []
    for _ in range(length):
        place, index = divmod(place, len(alphabet))
        chars.append(alphabet[index])
    return "".join(reversed(chars))
