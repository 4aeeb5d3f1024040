"""HTTPRoute matches and filters in Envoy's terms, and the order in which Envoy must try them."""

from __future__ import annotations

import re

from labs.pods.mesh_standin.envoy_types import Message
from labs.pods.mesh_standin.proxy_config import HeaderChanges, Match, Redirect, RouteFilters, ValueMatch

HOST = "host"
"""Envoy uses a separate field to change this header."""
REDIRECT_CODES = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
DEFAULT_PORTS = {"http": 80, "https": 443}
Precedence = tuple[bool, bool, int, bool, int, int, int, bool]


def precedence(match: Match) -> Precedence:
    """A sort key in the order of linkerd2-proxy (``http/route/src``), best first.

    The host counts most, a whole name before a suffix; then how much of the path is matched (a regular expression matches
    all of it, as an exact path does), then the number of headers, of query parameters, and the method.
    """
    host, is_prefix = match.get("host", ""), match["path_type"] == "PathPrefix"
    return (
        not host,
        host.startswith("*."),
        -len(host),
        is_prefix,
        -len(match["path"].rstrip("/")) if is_prefix else 0,
        -len(match.get("headers", ())),
        -len(match.get("query", ())),
        "method" not in match,
    )


def route_match(match: Match) -> Message:
    """The ``match`` of a route."""
    headers = [_matcher(header) for header in match.get("headers", ())]
    if method := match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": method}})
    if host := match.get("host"):
        headers.append({"name": ":authority", "string_match": {"safe_regex": {"regex": host_pattern(host)}}})
    query = [_matcher(parameter) for parameter in match.get("query", ())]
    return {**_path_match(match["path_type"], match["path"]), "headers": headers, "query_parameters": query}


def _matcher(wanted: ValueMatch) -> Message:
    value = {"safe_regex": {"regex": wanted["value"]}} if wanted["regex"] else {"exact": wanted["value"]}
    return {"name": wanted["name"], "string_match": value}


def host_pattern(host: str) -> str:
    """A pattern for an authority: any case, with or without the root's dot and a port.

    >>> bool(re.fullmatch(host_pattern("*.example.com"), "A.b.Example.com.:8080"))
    True
    """
    name = host.removeprefix("*").rstrip(".")
    return f"(?i){'.+' if host.startswith('*.') else ''}{re.escape(name)}\\.?(:\\d+)?"


def _path_match(kind: str, path: str) -> Message:
    if kind == "Exact":
        return {"path": path}
    if kind == "RegularExpression":
        return {"safe_regex": {"regex": path}}
    stem = path.rstrip("/")
    return {"path_separated_prefix": stem} if stem else {"prefix": "/"}


def header_changes(filters: RouteFilters) -> Message:
    """The fields of a route, or of a weighted cluster, that change headers."""
    found: Message = {}
    if "request" in filters:
        found |= _changes("request", filters["request"])
    if "response" in filters:
        found |= _changes("response", filters["response"])
    return found


def _changes(direction: str, changes: HeaderChanges) -> Message:
    # A per cent sign begins a variable of Envoy's: doubled, it is itself.
    added = [
        {"header": {"key": name, "value": value.replace("%", "%%")}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
        for name, value in changes["append"]
        if name != HOST
    ]
    removed = [name for name in changes["remove"] if name != HOST]
    found = {f"{direction}_headers_to_remove": removed, f"{direction}_headers_to_add": added}
    return {field: value for field, value in found.items() if value}


def host_rewrite(filters: RouteFilters) -> Message:
    """The field of a route or weighted cluster that sets the request's host, where a filter does."""
    hosts = [value for name, value in filters.get("request", {"append": []})["append"] if name == HOST]
    return {"host_rewrite_literal": hosts[-1]} if hosts else {}


def redirect(wanted: Redirect, match: Match, port: int) -> Message:
    """The action of a route that answers with another location; ``port``: the port that the request was sent to.

    A new prefix is for prefix matches only: with any other match Linkerd answers 500.
    """
    if "prefix" in wanted and match["path_type"] != "PathPrefix":
        return {"direct_response": {"status": 500}}
    scheme = wanted.get("scheme", "http")
    found: Message = {"response_code": REDIRECT_CODES[wanted["status"]], "scheme_redirect": scheme}
    if "host" in wanted:
        found["host_redirect"] = wanted["host"]
    chosen = wanted.get("port", port if "host" in wanted else None)
    if chosen and (chosen != DEFAULT_PORTS[scheme] or "port" in wanted):
        found["port_redirect"] = chosen
    if "path" in wanted:
        found["path_redirect"] = wanted["path"]
    if "prefix" in wanted:
        at_root = not match["path"].rstrip("/")
        found["prefix_rewrite"] = wanted["prefix"].rstrip("/") + "/" if at_root else wanted["prefix"]
    return {"redirect": found}
