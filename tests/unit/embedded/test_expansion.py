"""``$(NAME)`` references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node.expansion import expand

NAME = st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(A)$(A)-$(B)", "11-$(A)"),  # what came in is not expanded again
        ("$(NOPE)", "$(NOPE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $ $( $(", "$A $ $( $("),
        ("kill $$$$", "kill $$"),
        ("$()", "$()"),
    ],
)
def test_references(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "$(A)"}) == expanded


@given(st.text(), st.dictionaries(NAME, st.text()))
def test_a_doubled_dollar_protects_any_text(text: str, variables: dict[str, str]) -> None:
    assert expand(text.replace("$", "$$"), variables) == text


@given(st.lists(NAME, max_size=5), st.dictionaries(NAME, st.text()))
def test_each_reference_becomes_its_value_or_stays(names: list[str], variables: dict[str, str]) -> None:
    text = "|".join(f"$({name})" for name in names)
    assert expand(text, variables) == "|".join(variables.get(name, f"$({name})") for name in names)
