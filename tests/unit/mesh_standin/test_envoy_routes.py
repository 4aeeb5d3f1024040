"""In the order we give Envoy, the first match is the one that Linkerd's proxy finds best."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labs.pods.mesh_standin.envoy_routes import header_changes, host_pattern, host_rewrite, precedence, redirect
from labs.pods.mesh_standin.proxy_config import Match

PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "/b"])
VALUES = st.lists(st.sampled_from("12").map(lambda v: {"name": v, "value": v, "regex": False}), max_size=2, unique_by=str)
MATCHES = st.fixed_dictionaries(
    {"path_type": st.sampled_from(["Exact", "PathPrefix"]), "path": PATHS},
    optional={
        "host": st.sampled_from(["a.b.c", "*.b.c", "*.c"]),
        "method": st.just("GET"),
        "headers": VALUES,
        "query": VALUES,
    },
)
Summary = tuple[Any, ...]


def summary(match: Match, host: str, path: str) -> Summary | None:
    """How well ``match`` fits a GET of ``path`` with every header and parameter there is; None if it does not.

    Of linkerd2-proxy, http/route/src: ``RouteMatch``, ``RequestMatch``, ``HostMatch``, ``MatchPath``.
    """
    wanted = match.get("host", "")
    if wanted and not re.fullmatch(host_pattern(wanted), host):
        return None
    of_host = (0, 0) if not wanted else (1, len(wanted) - 2) if wanted.startswith("*.") else (2, len(wanted))
    if match["path_type"] == "Exact":
        length = len(path) if match["path"] == path else None
    elif match["path"] == "/":
        length = 1
    else:
        prefix = match["path"].rstrip("/")
        rest = path.rstrip("/").removeprefix(prefix)
        fits = path.startswith(prefix) and (not rest or rest.startswith("/"))
        length = len(prefix) if fits else None
    if length is None:
        return None
    return of_host, length, len(match.get("headers", ())), len(match.get("query", ())), "method" in match


def is_ambiguous(matches: list[Match]) -> bool:
    """Whether an exact path and a prefix of its length compete: Envoy is given the exact one first, whatever else it asks for."""
    exact = {match["path"].rstrip("/") for match in matches if match["path_type"] == "Exact"}
    return any(match["path_type"] == "PathPrefix" and match["path"].rstrip("/") in exact for match in matches)


@given(st.lists(MATCHES, min_size=1, max_size=6), st.sampled_from(["a.b.c", "x.b.c", "y.c", "z"]), PATHS)
def test_the_first_match_is_the_best(matches: list[Match], host: str, path: str) -> None:
    found = [(match, fit) for match in matches if (fit := summary(match, host, path)) is not None]
    if not found or is_ambiguous(matches):
        return
    first = min(found, key=lambda pair: precedence(pair[0]))
    assert first[1] == max(fit for _, fit in found)


def test_a_host_is_matched_in_any_case_with_its_dot_and_port() -> None:
    assert re.fullmatch(host_pattern("server.demo"), "SERVER.demo.:8080")
    assert not re.fullmatch(host_pattern("server.demo"), "serverxdemo")
    assert not re.fullmatch(host_pattern("*.demo"), "demo")


def test_a_per_cent_sign_stays_one() -> None:
    added = header_changes({"request": {"remove": [], "append": [["x-a", "50%"]]}})["request_headers_to_add"]
    assert added[0]["header"]["value"] == "50%%"


def test_the_host_is_changed_by_its_own_field() -> None:
    changes = {"request": {"remove": ["host"], "append": [["host", "other.example.com"]]}}
    assert header_changes(changes) == {}  # type: ignore[arg-type]
    assert host_rewrite(changes) == {"host_rewrite_literal": "other.example.com"}  # type: ignore[arg-type]


def test_a_redirect_keeps_the_port_unless_it_is_the_schemes_own() -> None:
    prefix: Match = {"path_type": "PathPrefix", "path": "/a"}
    assert redirect({"status": 302, "host": "h"}, prefix, 8080)["redirect"]["port_redirect"] == 8080
    assert "port_redirect" not in redirect({"status": 302, "host": "h"}, prefix, 80)["redirect"]
    assert "port_redirect" not in redirect({"status": 302}, prefix, 8080)["redirect"]


def test_a_new_prefix_needs_a_prefix_match() -> None:
    exact: Match = {"path_type": "Exact", "path": "/a"}
    assert redirect({"status": 302, "prefix": "/b"}, exact, 80) == {"direct_response": {"status": 500}}
    root: Match = {"path_type": "PathPrefix", "path": "/"}
    assert redirect({"status": 302, "prefix": "/b"}, root, 80)["redirect"]["prefix_rewrite"] == "/b/"
