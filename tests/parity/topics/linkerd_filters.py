"""HTTPRoutes of a Service: every kind of match and filter, the Service's own defaults, and routes that cannot be converted."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import Object, ParityContext
from tests.parity.expect import containing
from tests.parity.rows import Topic

topic = Topic("linkerd_filters", "linkerd", "HTTPRoutes: matches and filters")
MATCHING = "documented: linkerd2-proxy/linkerd/http/route/src"
FILTERS = "documented: linkerd2/policy-controller/k8s/index/src/outbound/index/http.rs"
DEFAULTS = "documented: linkerd2/policy-controller/grpc/src/outbound/http.rs"
STATUS = "documented: linkerd2/policy-controller/k8s/status/src/index.rs"
KIND = "gateway.networking.k8s.io/v1/HTTPRoute"
TAKES_HOLD = 10


def routed(context: ParityContext, name: str, *rules: Object, annotations: dict[str, str] | None = None, **more: Any) -> str:
    """A Service ``name`` with a route of these rules; returns its base URL. ``annotations`` are the Service's."""
    namespace = demo.meshed(context)
    parent = {"group": "", "kind": "Service", "name": name, "port": demo.PORT}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, **more.pop("metadata", {})},
        "spec": {"parentRefs": [parent], "rules": list(rules), **more},
    }
    service = demo.service(name, app="server", annotations=annotations or {})
    context.once(f"route {name}", lambda: context.apply(namespace, service, route))
    return demo.url(name, namespace, "")


def call(context: ParityContext, target: str, **request: Any) -> demo.Answer:
    return demo.ask(context, demo.meshed(context), target, **request)[0]


def statuses(context: ParityContext, *targets: str) -> list[int]:
    return [call(context, target)["status"] for target in targets]


@topic.row("a rule for ?v=2: calls with v=2, with v=1 and without", real=[200, 404, 404], source=MATCHING, within=TAKES_HOLD)
def query_parameter(context: ParityContext) -> Any:
    base = routed(context, "by-query", {"matches": [{"queryParams": [{"name": "v", "value": "2"}]}]})
    return statuses(context, f"{base}/?v=2", f"{base}/?v=1", f"{base}/")


@topic.row("a route for another host name", real=404, source=MATCHING, within=TAKES_HOLD)
def another_host(context: ParityContext) -> Any:
    return call(context, routed(context, "by-host", {}, hostnames=["other.example.com"]) + "/")["status"]


@topic.row("a route for the Service's own name", real=200, source=MATCHING, within=TAKES_HOLD)
def own_host(context: ParityContext) -> Any:
    name = f"own-host.{demo.meshed(context)}.svc.cluster.local"
    return call(context, routed(context, "own-host", {}, hostnames=[name]) + "/")["status"]


@topic.row(
    "RequestHeaderModifier: what the server sees of a header that is set and one that is removed",
    real={"x-set": "new", "x-gone": None},
    source=FILTERS,
    within=TAKES_HOLD,
)
def request_headers(context: ParityContext) -> Any:
    change = {"set": [{"name": "x-set", "value": "new"}], "remove": ["x-gone"]}
    rule = {"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": change}]}
    answer = call(context, routed(context, "asked-otherwise", rule) + "/", headers={"x-set": "old", "x-gone": "1"})
    seen = demo.seen(answer)
    return {name: seen.get(name) for name in ("x-set", "x-gone")}


@topic.row("ResponseHeaderModifier: a header that is set", real="1", source=FILTERS, within=TAKES_HOLD)
def response_headers(context: ParityContext) -> Any:
    change = {"set": [{"name": "x-by-route", "value": "1"}]}
    rule = {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": change}]}
    return call(context, routed(context, "answered-otherwise", rule) + "/")["headers"].get("x-by-route")


@topic.row(
    "RequestRedirect to another prefix",
    real={"status": 302, "location": containing("/new/path?a=b")},
    source=FILTERS,
    within=TAKES_HOLD,
)
def redirect(context: ParityContext) -> Any:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"path": path, "statusCode": 302}}],
    }
    answer = call(context, routed(context, "moved", rule) + "/old/path?a=b")
    return {"status": answer["status"], "location": answer["headers"].get("location")}


REWRITE: Object = {
    "matches": [{"path": {"type": "PathPrefix", "value": "/only"}}],
    "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "other.example.com"}}],
}


@topic.row("URLRewrite, which Linkerd does not support: a call that no rule would match", real=200, source=FILTERS, within=5)
def unsupported_filter(context: ParityContext) -> Any:
    return call(context, routed(context, "rewritten", REWRITE) + "/else")["status"]


@topic.row("the status of that route", real={"Accepted": "True", "ResolvedRefs": "True"}, source=STATUS, within=TAKES_HOLD)
def unsupported_filter_status(context: ParityContext) -> Any:
    routed(context, "rewritten", REWRITE)
    found = kube.get(context.api(), KIND, "rewritten", demo.meshed(context)) or {}
    parents = found.get("status", {}).get("parents") or [{}]
    return {row["type"]: row["status"] for row in parents[0].get("conditions", [])}


@topic.row(
    "retry.linkerd.io/http: 5xx on a Service that has a route: a call that fails once",
    real=200,
    source=DEFAULTS,
    within=TAKES_HOLD,
)
def service_retries(context: ParityContext) -> Any:
    base = routed(context, "retried-route", {}, annotations={"retry.linkerd.io/http": "5xx"})
    context.once("retried route is known", lambda: call(context, f"{base}/flaky/warm"))
    return call(context, f"{base}/flaky/routed")["status"]


@topic.row(
    "timeout.linkerd.io/request: 500ms on such a Service: an answer after 1.5 s", real=504, source=DEFAULTS, within=TAKES_HOLD
)
def service_timeout(context: ParityContext) -> Any:
    base = routed(context, "timed-route", {}, annotations={"timeout.linkerd.io/request": "500ms"})
    return call(context, f"{base}/sleep/1.5")["status"]


@topic.row(
    "timeout.linkerd.io/request: 5s on a route whose rule says 500ms: an answer after 1.5 s",
    real=200,
    source=FILTERS,
    within=TAKES_HOLD,
)
def annotation_over_rule(context: ParityContext) -> Any:
    annotated = {"annotations": {"timeout.linkerd.io/request": "5s"}}
    base = routed(context, "twice-timed", {"timeouts": {"request": "500ms"}}, metadata=annotated)
    return call(context, f"{base}/sleep/1.5")["status"]
