"""Ordinary calls: what client and server see, how calls are balanced, endpoints that are not there."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from tests.parity import demo
from tests.parity.context import ParityContext
from tests.parity.expect import Between, Text, containing
from tests.parity.rows import Topic

topic = Topic("linkerd_calls", "linkerd", "Calls inside a cluster")
CALLS = "10-incluster-http.txt"
NOBODY = "33-no-endpoints.txt"


def ours(headers: dict[str, str]) -> list[str]:
    """Headers that a mesh adds."""
    return sorted(
        name for name in headers if name.startswith(("l5d-", "x-envoy", "x-request-id", "x-forwarded")) or name == "via"
    )


@topic.row("mesh headers that a server sees in a call from a meshed client", real=["l5d-client-id"], source=CALLS)
def request_headers(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    return ours(demo.seen(demo.ask(context, namespace, demo.url("server", namespace))[0]))


@topic.row("mesh headers in the response", real=[], source=CALLS)
def response_headers(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    return ours(demo.ask(context, namespace, demo.url("server", namespace))[0]["headers"])


@topic.row("the Server header of the response is the application's own", real=Text("BaseHTTP/.*"), source=CALLS)
def server_header(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    return demo.ask(context, namespace, demo.url("server", namespace))[0]["headers"].get("server")


@topic.row(
    "the Host header that a server sees is what the client sent", real="server.NAMESPACE.svc.cluster.local:8080", source=CALLS
)
def host_header(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    seen = demo.seen(demo.ask(context, namespace, demo.url("server", namespace))[0])
    return seen["host"].replace(namespace, "NAMESPACE")


@topic.row("an application's own 500", real={"status": 500, "l5d-proxy-error": None}, source=CALLS)
def application_error(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    (answer,) = demo.ask(context, namespace, demo.url("server", namespace, "/status/500"))
    return {"status": answer["status"], "l5d-proxy-error": answer["headers"].get("l5d-proxy-error")}


@topic.row("a client without a proxy", real=200, source=CALLS)
def unmeshed_client(context: ParityContext) -> Any:
    return demo.status(context, demo.plain(context), demo.url("server", demo.meshed(context)))


@topic.row("a server without a proxy, called by a meshed client", real=200, source=NOBODY)
def unmeshed_server(context: ParityContext) -> Any:
    return demo.status(context, demo.meshed(context), demo.url("server", demo.plain(context)))


@topic.row("a pod called by its address", real=200, source=CALLS)
def by_address(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    address = demo.pods(context, namespace, "server")[0]["status"]["podIP"]
    return demo.status(context, namespace, f"http://{address}:{demo.PORT}/hello")


@topic.row(
    "40 calls over one HTTP/1.1 connection to two pods: the smaller share of the pods", real=Between(0.1, 0.5), source=CALLS
)
def balanced_per_request(context: ParityContext) -> Any:
    namespace = demo.meshed(context)
    answers = demo.ask(context, namespace, demo.url("server", namespace), times=40, reuse=True)
    counted = Counter(answer["headers"] and answer["body"].partition('"pod": "')[2].partition('"')[0] for answer in answers)
    return min(counted.values()) / 40 if len(counted) == 2 else 0


def nobody(context: ParityContext) -> list[demo.Answer]:
    """Two calls to a Service that selects no pod."""

    def make() -> list[demo.Answer]:
        namespace = demo.meshed(context)
        context.apply(namespace, demo.service("nobody"))
        time.sleep(2)  # the client's proxy shall know the Service
        return demo.ask(context, namespace, demo.url("nobody", namespace), times=2)

    return context.once("nobody", make)


@topic.row(
    "a Service without endpoints, first call",
    source=NOBODY,
    real={"status": 504, "seconds": Between(2.8, 6), "l5d-proxy-error": containing("service in fail-fast")},
)
def fail_fast(context: ParityContext) -> Any:
    first = nobody(context)[0]
    error = first["headers"].get("l5d-proxy-error")
    return {"status": first["status"], "seconds": first["seconds"], "l5d-proxy-error": error}


@topic.row("the next call", source=NOBODY, real={"status": 503, "seconds": Between(0, 1.5), "l5d-proxy-connection": "close"})
def load_shed(context: ParityContext) -> Any:
    second = nobody(context)[1]
    connection = second["headers"].get("l5d-proxy-connection")
    return {"status": second["status"], "seconds": second["seconds"], "l5d-proxy-connection": connection}
