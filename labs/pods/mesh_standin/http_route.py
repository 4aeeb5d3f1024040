"""HTTPRoutes of both API groups: what their rules match and what their filters do, for both directions.

A route that Linkerd's policy controller cannot convert has no effect there, although its status says that it is accepted
(linkerd2, policy-controller/k8s/index, ``routes/http.rs``): `convert` raises `Unusable` for the same routes.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from labs.pods.mesh_standin.proxy_config import HeaderChanges, Match, Redirect, RouteFilters, ValueMatch

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")
GATEWAY_API = "gateway.networking.k8s.io"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
DEFAULT_REDIRECT_STATUS = 301
UNSUPPORTED_FILTERS = ("RequestMirror", "URLRewrite", "ExtensionRef")
ONLY_PYTHON = re.compile(r"\\[1-9ZuUN]|\(\?(?:[=!>(#]|<[=!]|P[=>])|[*+?}]\+")
"""Look-around, back-references, conditions, atomic groups, possessive quantifiers: neither Rust's regex nor RE2 supports them."""
NOT_PYTHON = re.compile(r"\\[pP](?:\w|\{\^?\w+\})|\\z")
"""Unicode classes and the end of the text, which both support."""
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")


class Unusable(ValueError):
    """The route cannot be converted, and so has no effect; worded as in Linkerd's log."""


def group_of(route: Object) -> str:
    """The API group of a route."""
    return str(route["apiVersion"]).partition("/")[0]


def rules_of(route: Object) -> list[Object]:
    """Its rules; where there is none, the schemas of both groups add one that matches everything."""
    return route["spec"].get("rules") or [{}]


def converted(route: Object, convert: Callable[[], T]) -> T | None:
    """What ``convert`` makes of ``route``; None and a line in the log where it is unusable."""
    try:
        return convert()
    except Unusable as error:
        meta = route["metadata"]
        log.warning("Failed to convert route error=%s name=%r namespace=%r", error, meta["name"], meta["namespace"])
        return None


def matches(route: Object, rule: Object) -> list[Match]:
    """All matches of a rule under all host names of its route; a rule without any matches every request."""
    of_rule = [_match(item) for item in rule.get("matches") or [{}]]
    hosts = route["spec"].get("hostnames") or []
    return [{**match, "host": host} for host in hosts for match in of_rule] if hosts else of_rule


def _match(item: Object) -> Match:
    path = item.get("path") or {}
    found: Match = {"path_type": path.get("type") or "PathPrefix", "path": path.get("value") or "/"}
    if found["path_type"] == "RegularExpression":
        _check_regex(found["path"])
    elif not found["path"].startswith("/"):
        raise Unusable(f'HttpPathMatch paths must be absolute (begin with `/`); "{found["path"]}" is not an absolute path')
    if method := item.get("method"):
        if method not in METHODS:
            raise Unusable(f"unknown method {method}")
        found["method"] = method
    if item.get("headers"):
        found["headers"] = [_value_match(row, _header_name(row["name"])) for row in item["headers"]]
    if item.get("queryParams"):
        found["query"] = [_value_match(row, row["name"]) for row in item["queryParams"]]
    return found


def _value_match(row: Object, name: str) -> ValueMatch:
    is_regex = row.get("type") == "RegularExpression"
    if is_regex:
        _check_regex(row["value"])
    return {"name": name, "value": row["value"], "regex": is_regex}


def _check_regex(text: str) -> None:
    pythons = NOT_PYTHON.sub("a", text)
    if ONLY_PYTHON.search(pythons):
        raise Unusable(f"regex parse error: look-around and back-references are not supported: {text}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about classes such as [[:alpha:]], which Python reads differently
            re.compile(pythons)
    except re.error as error:
        raise Unusable(f"regex parse error: {error}: {text}") from error


def _header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise Unusable("invalid HTTP header name")
    return name


def inbound_filters(rule: Object) -> RouteFilters:
    """The combined filters of a rule of a Server's route: answers are never changed there (``grpc/src/inbound/http.rs``)."""
    found = filters(rule.get("filters") or ())
    found.pop("response", None)
    return found


def filters(items: Iterable[Object]) -> RouteFilters:
    """Several filters combined; a redirect ends the list, since what follows is never reached."""
    changes: dict[str, list[Object]] = {"request": [], "response": []}
    found: RouteFilters = {}
    for item in items:
        kind = _filter_kind(item)
        if kind == "requestRedirect":
            found["redirect"] = _redirect(item[kind])
            break
        changes["request" if kind == "requestHeaderModifier" else "response"].append(item[kind])
    if changes["request"]:
        found["request"] = net_changes(changes["request"])
    if changes["response"]:
        found["response"] = net_changes(changes["response"])
    return found


def _filter_kind(item: Object) -> str:
    for kind in ("requestHeaderModifier", "responseHeaderModifier", "requestRedirect"):
        if item.get(kind) is not None:
            return kind
    kind = str(item.get("type", ""))
    raise Unusable(f"{kind} filter is not supported" if kind in UNSUPPORTED_FILTERS else "unknown filter")


def net_changes(modifiers: Iterable[Object]) -> HeaderChanges:
    """Consecutive header modifiers, as names to remove and values to append.

    Each one adds first, then sets, then removes (linkerd2-proxy, ``http/filter/modify_header.rs``).
    """
    removed: set[str] = set()
    values: dict[str, list[str]] = {}
    for modifier in modifiers:
        for name, value in _pairs(modifier.get("add")):
            values.setdefault(name, []).append(value)
        for name, value in _pairs(modifier.get("set")):
            removed.add(name)
            values[name] = [value]
        for name in modifier.get("remove") or ():
            removed.add(_header_name(name).lower())
            values.pop(name.lower(), None)
    return {"remove": sorted(removed), "append": [[name, value] for name, added in values.items() for value in added]}


def _pairs(rows: Iterable[Mapping[str, str]] | None) -> Iterator[tuple[str, str]]:
    for row in rows or ():
        if any((ord(char) < 32 and char != "\t") or ord(char) == 127 for char in row["value"]):
            raise Unusable("failed to parse header value")
        yield _header_name(row["name"]).lower(), row["value"]


def _redirect(item: Object) -> Redirect:
    found: Redirect = {"status": item.get("statusCode") or DEFAULT_REDIRECT_STATUS}
    if found["status"] not in REDIRECT_STATUSES:
        raise Unusable(f"invalid redirect status {found['status']}")
    if item.get("scheme"):
        found["scheme"] = item["scheme"]
    if item.get("hostname"):
        found["host"] = item["hostname"]
    if item.get("port"):
        found["port"] = item["port"]
    if path := item.get("path"):
        if path.get("replaceFullPath") is not None:
            found["path"] = _absolute(path["replaceFullPath"])
        elif path.get("replacePrefixMatch") is not None:
            found["prefix"] = _absolute(path["replacePrefixMatch"])
        else:
            raise Unusable("RequestRedirect filter must contain either replace_full_path or replace_prefix_match")
    return found


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        start = "RequestRedirect filters may only contain absolute paths (starting with '/')"
        raise Unusable(f'{start}; "{path}" is not an absolute path')
    return path
