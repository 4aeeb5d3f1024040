"""Comparing an answer with what was recorded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parity.expect import Between, Text, containing, including, same, shown

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_data_is_the_same_as_itself(value: Any) -> None:
    assert same(value, value)


@given(JSON, JSON)
def test_unequal_data_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other) or one == other


@pytest.mark.parametrize(
    ("real", "answer"),
    [
        (Text(r"back-off \d+s"), "back-off 10s"),
        (containing("a", "b"), "xx a\n y b z"),
        (Between(1, 2), 1.5),
        (including("x", "y"), ["z", "y", "x"]),
        ({"code": 0, "text": Text("b.*")}, {"code": 0, "text": "bye"}),
        ([Between(0, 1), 2], (0.5, 2)),
    ],
)
def test_patterns_that_match(real: Any, answer: Any) -> None:
    assert same(real, answer)


@pytest.mark.parametrize(
    ("real", "answer"),
    [
        (Text("back"), "back-off"),
        (Text("1"), 1),
        (containing("b", "a"), "a b"),
        (Between(1, 2), 2.1),
        (Between(1, 2), None),
        (including("x"), ["y"]),
        (including("x"), "x"),
        ({"code": 0}, {"code": 0, "text": ""}),
        ([1], [1, 1]),
        # JSON tells true from 1, Python's == does not.
        (1, True),
    ],
)
def test_patterns_that_do_not(real: Any, answer: Any) -> None:
    assert not same(real, answer)


def test_what_is_shown_fits_on_a_line() -> None:
    value = {"status": 403, "text": "two\nlines", "time": Between(1, 2, "s"), "none": None, "all": ["a", "b"]}
    assert shown(value) == "status: 403, text: two lines, time: 1 to 2 s, none: none, all: [a, b]"
