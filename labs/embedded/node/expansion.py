"""``$(NAME)`` references in command, args and env values."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with each ``$(NAME)`` replaced; unknown names stay as they are, ``$$`` is a literal ``$``.

    >>> expand("$(A)-$(B)-$$(A)", {"A": "1"})
    '1-$(B)-$(A)'
    """

    return expand_all(text, variables)[0]


def expand_all(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """``text`` expanded, and the names that are not among ``variables``.

    >>> expand_all("$(A)/$(B)", {"A": "1"})
    ('1/$(B)', ['B'])
    """
    missing: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match[1] not in variables:
            missing.append(match[1])
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text), missing
