"""Variables from a file in a volume (``fileKeyRef``): lines ``NAME='value'``, comments, blank lines; a value may span lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

BLANK = " \t"


class EnvFileError(ValueError):
    """The file does not follow the syntax; the message names the line."""


def read(path: Path) -> dict[str, str]:
    """All variables of the file at ``path``; if a name occurs twice, the first value counts.

    Raises:
        EnvFileError: a line is neither a comment nor ``NAME='value'``.
        OSError: the file cannot be read.
    """
    found: dict[str, str] = {}
    lines = iter(enumerate(path.read_text().split("\n"), 1))
    for number, line in lines:
        text = line.lstrip(BLANK)
        if text and not text.startswith("#"):
            name, value = _variable(number, text, lines)
            found.setdefault(name, value)
    return found


def _variable(number: int, text: str, following: Iterator[tuple[int, str]]) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or name != name.rstrip(BLANK):
        raise EnvFileError(f"expected NAME='value' in line {number}; found {text!r}")
    # As in a shell: a blank right after the sign makes the value empty.
    if value[:1] in tuple(BLANK):
        return name, ""
    if not value.startswith("'"):
        raise EnvFileError(f"expected a value in single quotes in line {number}; found {text!r}")
    value = value[1:]
    while "'" not in value:
        more = next(following, None)
        if more is None:
            raise EnvFileError(f"expected a closing quote for the value in line {number}; found the end of the file")
        value += "\n" + more[1]
    value, _, rest = value.partition("'")
    if rest.strip(BLANK) and not rest.lstrip(BLANK).startswith("#"):
        raise EnvFileError(f"expected nothing but a comment after the value in line {number}; found {rest!r}")
    return name, value
