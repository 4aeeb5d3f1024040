"""Tables for a screen reader and a keyboard: no empty headers, every header says what it heads, what scrolls can be reached."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from labs.telemetry import tables

FRAMES = {
    "a plain index": pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    "a named index": pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=pd.Index(["x", "y"], name="way")),
    "a named line of columns": pd.DataFrame({"a": [1]}).rename_axis(columns="what"),
    "two levels": pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", "y")], names=["one", "two"])),
    "no rows": pd.DataFrame(columns=["a"]),
    "more rows than are shown": pd.DataFrame({"a": range(100)}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_no_header_is_empty_and_each_says_what_it_heads(name: str) -> None:
    text = tables.html(FRAMES[name])
    headers = re.findall(r"<th\b([^>]*)>(.*?)</th>", text, re.DOTALL)
    assert headers and all(words.strip() for _, words in headers)
    assert all("scope=" in attributes for attributes, _ in headers)
    assert not re.search(r"<th\b[^>]*>\s*</th>", text)


def test_pandas_itself_leaves_headers_empty() -> None:
    assert [name for name in FRAMES if "<th></th>" not in FRAMES[name].to_html()] == ["a named line of columns"]


def test_the_name_of_an_index_is_the_header_of_its_column() -> None:
    text = tables.html(FRAMES["a named index"])
    head = text[text.index("<thead") : text.index("</thead>")]
    assert re.findall(r'<th scope="col">(\w+)</th>', head) == ["way", "a", "b"] and head.count("<tr") == 1
    assert re.findall(r'<th scope="row">(\w+)</th>', text) == ["x", "y"]


def test_a_table_scrolls_in_a_named_region_that_the_keyboard_reaches() -> None:
    text = tables.html(pd.DataFrame({f'"{n}"': [n] for n in range(9)}))
    (region,) = re.findall(r"<div role=[^>]*>", text)
    assert 'role="region"' in region and 'tabindex="0"' in region and "overflow-x:auto" in region
    assert 'aria-label="Table: &#34;0&#34;, &#34;1&#34;, &#34;2&#34;, &#34;3&#34;, …"' in region
    assert 'aria-label="Burn rates"' in tables.html(FRAMES["no rows"], "Burn rates")


def test_what_a_cell_says_is_escaped() -> None:
    text = tables.html(pd.DataFrame({"<b>": ["<script>"]}, index=pd.Index(["&"], name="<i>")))
    assert not re.search("<(b|i|script)>", text)


def test_headers_that_are_right_are_left_alone() -> None:
    once = tables.with_headers(FRAMES["a named index"].to_html())
    assert tables.with_headers(once) == once
