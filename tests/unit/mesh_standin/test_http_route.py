"""What an HTTPRoute's matches and filters come to, and which routes are unusable; source: linkerd2, policy-controller."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.mesh_standin import http_route
from labs.pods.mesh_standin.http_route import Unusable
from labs.pods.mesh_standin.proxy_config import EVERY_PATH
from tests.unit.mesh_standin import objects

Object = dict[str, Any]


def route(rule: Object | None = None, group: str = http_route.GATEWAY_API, **spec: Any) -> Object:
    rules = [] if rule is None else [rule]
    return {"apiVersion": f"{group}/v1", "metadata": objects.meta("route"), "spec": {"rules": rules, **spec}}


def matched(match: Object) -> Any:
    (found,) = http_route.matches(route(), {"matches": [match]})
    return found


def test_a_rule_without_matches_matches_everything() -> None:
    assert http_route.matches(route(), {}) == [EVERY_PATH]
    assert http_route.rules_of(route()) == [{}]


def test_every_kind_of_match() -> None:
    found = matched(
        {
            "path": {"type": "Exact", "value": "/a"},
            "method": "POST",
            "headers": [{"name": "x-v", "value": "[12]", "type": "RegularExpression"}],
            "queryParams": [{"name": "v", "value": "2"}],
        }
    )
    assert found == {
        "path_type": "Exact",
        "path": "/a",
        "method": "POST",
        "headers": [{"name": "x-v", "value": "[12]", "regex": True}],
        "query": [{"name": "v", "value": "2", "regex": False}],
    }


def test_each_host_name_has_each_match() -> None:
    rule = {"matches": [{"path": {"value": "/a"}}, {"path": {"value": "/b"}}]}
    found = http_route.matches(route(hostnames=["one.example.com", "*.example.com"]), rule)
    pairs = [(match["host"], match["path"]) for match in found]
    assert pairs == [(host, path) for host in ("one.example.com", "*.example.com") for path in ("/a", "/b")]


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"path": {"value": "a"}}, "must be absolute"),
        ({"path": {"type": "RegularExpression", "value": "("}}, "regex parse error"),
        ({"headers": [{"name": "x", "value": "(?=a)", "type": "RegularExpression"}]}, "regex parse error"),
        ({"queryParams": [{"name": "x", "value": r"(a)\1", "type": "RegularExpression"}]}, "regex parse error"),
        ({"headers": [{"name": "x y", "value": "1"}]}, "invalid HTTP header name"),
        ({"method": "BREW"}, "unknown method"),
    ],
)
def test_a_match_that_cannot_be_converted(match: Object, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        matched(match)


@pytest.mark.parametrize("text", [r"\p{Lu}+", r"\pN", r"(?P<v>v\d+)-.*", r"a\z", "[[:alpha:]]*"])
def test_patterns_that_both_of_them_have(text: str) -> None:
    assert matched({"path": {"type": "RegularExpression", "value": text}})["path"] == text


@pytest.mark.parametrize("kind", http_route.UNSUPPORTED_FILTERS)
def test_an_unsupported_filter_makes_the_route_unusable(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    rule = {"filters": [{"type": kind, kind[0].lower() + kind[1:]: {}}]}
    whole = route(rule)
    with caplog.at_level(logging.WARNING):
        assert http_route.converted(whole, lambda: http_route.filters(rule["filters"])) is None
    assert f"Failed to convert route error={kind} filter is not supported" in caplog.text


def test_answers_are_changed_outbound_only() -> None:
    rule = {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "X-A", "value": "1"}]}}]}
    assert http_route.filters(rule["filters"]) == {"response": {"remove": ["x-a"], "append": [["x-a", "1"]]}}
    assert http_route.inbound_filters(rule) == {}


def test_a_redirect_with_all_its_parts_ends_the_list() -> None:
    item = {"scheme": "https", "hostname": "new.example.com", "port": 8443, "statusCode": 308}
    later = {"requestHeaderModifier": {"remove": ["x-a"]}}
    found = http_route.filters([{"requestRedirect": {**item, "path": {"replacePrefixMatch": "/v2"}}}, later])
    wanted = {"status": 308, "scheme": "https", "host": "new.example.com", "port": 8443, "prefix": "/v2"}
    assert found == {"redirect": wanted}
    assert http_route.filters([{"requestRedirect": {}}]) == {"redirect": {"status": 301}}


@pytest.mark.parametrize(
    "path",
    [{"replaceFullPath": "a"}, {"replacePrefixMatch": "a"}, {"type": "ReplaceFullPath"}],
    ids=["full", "prefix", "neither"],
)
def test_a_redirect_to_no_path(path: Object) -> None:
    with pytest.raises(Unusable, match="RequestRedirect filter"):
        http_route.filters([{"requestRedirect": {"path": path}}])


NAMES = st.sampled_from(["x-a", "X-A", "x-b"])
PAIRS = st.lists(st.fixed_dictionaries({"name": NAMES, "value": st.sampled_from("12")}), max_size=3)
MODIFIERS = st.lists(st.fixed_dictionaries({}, optional={"add": PAIRS, "set": PAIRS, "remove": st.lists(NAMES)}), max_size=3)
PRESENT = st.lists(st.tuples(st.sampled_from(["x-a", "x-b", "x-c"]), st.sampled_from("89")), max_size=4)


def applied_one_by_one(modifiers: list[Object], headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As the proxy does it: each modifier appends, then replaces, then removes."""
    for modifier in modifiers:
        headers = headers + [(row["name"].lower(), row["value"]) for row in modifier.get("add", [])]
        for row in modifier.get("set", []):
            name = row["name"].lower()
            headers = [pair for pair in headers if pair[0] != name] + [(name, row["value"])]
        gone = {name.lower() for name in modifier.get("remove", [])}
        headers = [pair for pair in headers if pair[0] not in gone]
    return headers


@given(MODIFIERS, PRESENT)
def test_many_modifiers_come_to_one(modifiers: list[Object], present: list[tuple[str, str]]) -> None:
    changes = http_route.net_changes(modifiers)
    kept = [pair for pair in present if pair[0] not in changes["remove"]]
    at_once = kept + [(name, value) for name, value in changes["append"]]
    one_by_one = applied_one_by_one(modifiers, present)
    for name in ("x-a", "x-b", "x-c"):
        assert [v for n, v in at_once if n == name] == [v for n, v in one_by_one if n == name]
