"""Server, AuthorizationPolicy and who gets past them: one server, policies added one after the other."""

from __future__ import annotations

import re
from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import Object, ParityContext
from tests.parity.expect import Text
from tests.parity.metrics import labels_of, samples
from tests.parity.rows import Topic

topic = Topic("linkerd_policy", "linkerd", "Authorization policy", ordered=True)
DENIED = "21-policy-server-no-authz.txt"
OTHER = "22-policy-authz-other-identity.txt"
ADMITTED = "23-policy-authz-client.txt"
ROUTE = "24-policy-route.txt"
AUDIT = "25-policy-audit.txt"
GROUP = "policy.linkerd.io"
SERVER = {"group": GROUP, "kind": "Server", "name": "http"}
SETTLES = 6
"""Seconds a change of policy gets to take hold; a real Linkerd needs 0.03 s."""


def space(context: ParityContext) -> str:
    """A namespace with one meshed ``server``; its clients are those of the other namespaces."""
    namespace = context.namespace("policy", annotations=demo.INJECT)

    def make() -> None:
        demo.meshed(context)
        # Once a route is attached the probes get 404: the pod shall stay an endpoint all the same.
        demo.play(context, namespace, *demo.deployment("server", failures=1000), demo.service("server"))

    context.once("demo policy", make)
    return namespace


def put(context: ParityContext, version: str, kind: str, name: str, **spec: Any) -> None:
    """Apply a policy object, once."""
    body: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}
    namespace = space(context)
    context.once(f"{kind}/{name}/{spec}", lambda: context.apply(namespace, body))


def call(context: ParityContext, meshed: bool = True, path: str = "/hello", **request: Any) -> demo.Answer:
    caller = demo.meshed(context) if meshed else demo.plain(context)
    return demo.ask(context, caller, demo.url("server", space(context), path), **request)[0]


def both(context: ParityContext, path: str = "/hello") -> dict[str, int]:
    """Statuses that a meshed client and one without a proxy get."""
    return {"meshed": call(context, True, path)["status"], "unmeshed": call(context, False, path)["status"]}


def a_server(context: ParityContext, access: str = "deny") -> None:
    selector = {"matchLabels": {"app": "server"}}
    put(
        context,
        f"{GROUP}/v1beta3",
        "Server",
        "http",
        podSelector=selector,
        port="http",
        proxyProtocol="HTTP/1",
        accessPolicy=access,
    )


@topic.row("no policy at all", real={"meshed": 200, "unmeshed": 200}, source="20-policy-baseline.txt")
def baseline(context: ParityContext) -> Any:
    return both(context)


@topic.row("a Server and no AuthorizationPolicy", real={"meshed": 403, "unmeshed": 403}, source=DENIED, within=SETTLES)
def server_denies(context: ParityContext) -> Any:
    a_server(context)
    return both(context)


@topic.row("body and headers of that 403", real={"content-length": "0", "l5d-proxy-error": None, "server": None}, source=DENIED)
def headers_of_a_denial(context: ParityContext) -> Any:
    headers = call(context)["headers"]
    return {name: headers.get(name) for name in ("content-length", "l5d-proxy-error", "server")}


@topic.row("the kubelet's probes meanwhile: ready pods", real=1, source=DENIED)
def probes_pass(context: ParityContext) -> Any:
    found = kube.get(context.api(), "Deployment", "server", space(context)) or {}
    return found["status"].get("readyReplicas")


@topic.row(
    "the server proxy's log entry for a denial",
    source=DENIED,
    within=3,
    real=Text(
        "Request denied server.group=policy.linkerd.io server.kind=server server.name=http route.group= "
        "route.kind=default route.name=default client.tls=.*"
    ),
)
def log_of_a_denial(context: ParityContext) -> Any:
    text = context.kubectl("logs", "-n", space(context), "deploy/server", "-c", "linkerd-proxy", "--tail=200").text
    found = re.findall(r"Request denied .*", text)
    return found[-1] if found else None


@topic.row(
    "how the server's proxy counts a denial to a meshed client",
    source=DENIED,
    within=5,
    real={
        "srv_group": GROUP,
        "srv_kind": "server",
        "srv_name": "http",
        "srv_port": "8080",
        "route_kind": "default",
        "route_name": "default",
        "tls": "true",
        "client_id": Text(r"client\..*"),
    },
)
def count_of_a_denial(context: ParityContext) -> Any:
    names = ("srv_group", "srv_kind", "srv_name", "srv_port", "route_kind", "route_name", "tls", "client_id")
    found = samples(context, space(context), "server", "inbound_http_authz_deny_total", tls="true")
    return labels_of(found, *names)


@topic.row("requests of denied clients in request_total and response_total", real=0, source=DENIED)
def denials_are_no_responses(context: ParityContext) -> Any:
    found = samples(context, space(context), "server", "response_total", direction="inbound", status_code="403")
    return len(found)


@topic.row("an AuthorizationPolicy for another identity", real={"meshed": 403, "unmeshed": 403}, source=OTHER, within=2)
def another_identity(context: ParityContext) -> Any:
    put(context, f"{GROUP}/v1alpha1", "MeshTLSAuthentication", "other", identities=[demo.identity("nobody", space(context))])
    put(
        context,
        f"{GROUP}/v1alpha1",
        "AuthorizationPolicy",
        "other",
        targetRef=SERVER,
        requiredAuthenticationRefs=[{"group": GROUP, "kind": "MeshTLSAuthentication", "name": "other"}],
    )
    return both(context)


@topic.row("what linkerd authz lists then", real=["*", "http", "other"], source=OTHER, within=3)
def authz_lists_it(context: ParityContext) -> Any:
    return context.linkerd("authz", "-n", space(context), "deploy/server").last_line.split()


@topic.row(
    "an AuthorizationPolicy for the client's identity", real={"meshed": 200, "unmeshed": 403}, source=ADMITTED, within=SETTLES
)
def the_client_is_admitted(context: ParityContext) -> Any:
    put(
        context,
        f"{GROUP}/v1alpha1",
        "MeshTLSAuthentication",
        "client",
        identities=[demo.identity("client", demo.meshed(context))],
    )
    put(
        context,
        f"{GROUP}/v1alpha1",
        "AuthorizationPolicy",
        "client",
        targetRef=SERVER,
        requiredAuthenticationRefs=[{"group": GROUP, "kind": "MeshTLSAuthentication", "name": "client"}],
    )
    return both(context)


@topic.row(
    "labels of an admitted request",
    source=ADMITTED,
    within=5,
    real={
        "srv_kind": "server",
        "srv_name": "http",
        "authz_group": GROUP,
        "authz_kind": "authorizationpolicy",
        "authz_name": "client",
    },
)
def count_of_an_admission(context: ParityContext) -> Any:
    found = samples(context, space(context), "server", "inbound_http_authz_allow_total", authz_kind="authorizationpolicy")
    names = ("srv_kind", "srv_name", "authz_group", "authz_kind", "authz_name")
    return labels_of(found, *names)


def with_route(context: ParityContext) -> None:
    """An HTTPRoute on the Server for GET /public that everybody may use."""
    match = {"path": {"type": "PathPrefix", "value": "/public"}, "method": "GET"}
    put(context, "gateway.networking.k8s.io/v1", "HTTPRoute", "public", parentRefs=[SERVER], rules=[{"matches": [match]}])
    put(context, f"{GROUP}/v1alpha1", "NetworkAuthentication", "everyone", networks=[{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}])
    put(
        context,
        f"{GROUP}/v1alpha1",
        "AuthorizationPolicy",
        "public",
        targetRef={"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "public"},
        requiredAuthenticationRefs=[{"group": GROUP, "kind": "NetworkAuthentication", "name": "everyone"}],
    )


@topic.row(
    "an HTTPRoute on the Server for GET /public with a policy for everyone: GET /public",
    real={"meshed": 200, "unmeshed": 200},
    source=ROUTE,
    within=SETTLES,
)
def route_admits(context: ParityContext) -> Any:
    with_route(context)
    return both(context, "/public/a")


@topic.row("a path that no route of the Server matches", real={"meshed": 404, "unmeshed": 404}, source=ROUTE, within=2)
def no_route(context: ParityContext) -> Any:
    return both(context)


@topic.row("a method that no route matches", real=404, source=ROUTE, within=2)
def no_route_for_the_method(context: ParityContext) -> Any:
    return call(context, path="/public/a", method="POST", body=1)["status"]


@topic.row("the kubelet's probe of /healthz, now that a route exists", real="404", source="26-events.txt", within=12)
def probe_needs_a_route(context: ParityContext) -> Any:
    found = kube.select(context.api(), "Event", space(context), fields="reason=Unhealthy")
    messages = [event["message"] for event in found if "404" in event["message"]]
    return "404" if messages else None


@topic.row(
    "the HTTPRoute's status", real={"Accepted": "True", "controller": "linkerd.io/policy-controller"}, source=ROUTE, within=3
)
def route_status(context: ParityContext) -> Any:
    found = kube.get(context.api(), "gateway.networking.k8s.io/v1/HTTPRoute", "public", space(context)) or {}
    parents = found.get("status", {}).get("parents") or [{}]
    accepted = {row["type"]: row["status"] for row in parents[0].get("conditions", [])}.get("Accepted")
    return {"Accepted": accepted, "controller": parents[0].get("controllerName")}


@topic.row(
    "accessPolicy audit instead of deny, without the route", real={"meshed": 200, "unmeshed": 200}, source=AUDIT, within=SETTLES
)
def audit_admits(context: ParityContext) -> Any:
    kind = "gateway.networking.k8s.io/v1/HTTPRoute"
    context.once("route away", lambda: kube.delete(context.api(), kind, "public", space(context)))
    a_server(context, "audit")
    return both(context)


@topic.row(
    "the server proxy's log entry for an audited request",
    source=AUDIT,
    within=3,
    real=Text(
        "Request allowed server.group=policy.linkerd.io server.kind=server server.name=http .*authz.kind=default authz.name=audit"
    ),
)
def log_of_an_audit(context: ParityContext) -> Any:
    text = context.kubectl("logs", "-n", space(context), "deploy/server", "-c", "linkerd-proxy", "--tail=200").text
    found = re.findall(r"Request allowed .*", text)
    return found[-1] if found else None
