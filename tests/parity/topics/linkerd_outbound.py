"""Retries, timeouts and failure accrual by annotation of the Service."""

from __future__ import annotations

import time
from typing import Any

from tests.parity import demo
from tests.parity.context import Object, ParityContext, until
from tests.parity.expect import Between, containing
from tests.parity.rows import Topic

topic = Topic("linkerd_outbound", "linkerd", "Retries, timeouts, failure accrual")
RETRY = "30-retry-http.txt"
TIMEOUT = "31-timeout.txt"
ACCRUAL = "32-failure-accrual.txt"
RETRIES = {"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "2"}
CONSECUTIVE = {
    "balancer.linkerd.io/failure-accrual": "consecutive",
    "balancer.linkerd.io/failure-accrual-consecutive-max-failures": "3",
    "balancer.linkerd.io/failure-accrual-consecutive-min-penalty": "20s",
    "balancer.linkerd.io/failure-accrual-consecutive-max-penalty": "30s",
}
TAKES_HOLD = 2.0
"""Seconds that annotations get to reach the client's proxy, once it knows the Service."""


def annotated(context: ParityContext, name: str, app: str = "server", **annotations: str) -> str:
    """A Service with annotations in front of the pods ``app``; returns its base URL."""
    return known(context, demo.service(name, app=app, annotations=annotations))


def known(context: ParityContext, service: Object) -> str:
    """Make a Service and wait until the client's proxy knows it; returns its base URL."""
    namespace, name = demo.meshed(context), service["metadata"]["name"]
    base = demo.url(name, namespace, "")

    def make() -> None:
        context.apply(namespace, service)
        # The one path that no server fails: it does not count against anyone.
        until(lambda: demo.status(context, namespace, f"{base}/healthz"), lambda status: status == 200, 30)
        time.sleep(TAKES_HOLD)

    context.once(f"service {name}", make)
    return base


def call(context: ParityContext, target: str, **request: Any) -> demo.Answer:
    return demo.ask(context, demo.meshed(context), target, **request)[0]


def attempts(context: ParityContext, path: str) -> int:
    """How many requests for ``path`` the servers have seen."""
    ran = context.kubectl("logs", "-n", demo.meshed(context), "-l", "app=server", "-c", "app", "--tail=-1")
    return sum(line.endswith(f" {path}") for line in ran.text.splitlines())


@topic.row("a call that fails once, without annotations", real=503, source=RETRY)
def no_retry(context: ParityContext) -> Any:
    return call(context, annotated(context, "plainly") + "/flaky/first")["status"]


@topic.row("the same with retry.linkerd.io/http: 5xx, limit 2", real=200, source=RETRY)
def retry(context: ParityContext) -> Any:
    return call(context, annotated(context, "retried", **RETRIES) + "/flaky/second")["status"]


@topic.row(
    "a call that always fails with 503, limit 2: status, and attempts that the servers saw",
    real={"status": 503, "attempts": 3},
    source=RETRY,
)
def retry_limit(context: ParityContext) -> Any:
    status = call(context, annotated(context, "retried", **RETRIES) + "/status/503/limit")["status"]
    return {"status": status, "attempts": attempts(context, "/status/503/limit")}


@topic.row("a POST with a body that always fails: attempts", real=3, source=RETRY)
def retry_post(context: ParityContext) -> Any:
    call(context, annotated(context, "retried", **RETRIES) + "/status/503/post", method="POST", body=100)
    return attempts(context, "/status/503/post")


@topic.row("a POST with a body of 70,000 bytes: attempts", real=1, source="experiments/04-retries.txt")
def retry_large_post(context: ParityContext) -> Any:
    call(context, annotated(context, "retried", **RETRIES) + "/status/503/large", method="POST", body=70_000)
    return attempts(context, "/status/503/large")


@topic.row("a 404 with retry.linkerd.io/http: 5xx: attempts", real=1, source=RETRY)
def no_retry_of_404(context: ParityContext) -> Any:
    call(context, annotated(context, "retried", **RETRIES) + "/status/404/once")
    return attempts(context, "/status/404/once")


@topic.row(
    "an answer that takes 2 s with retry.linkerd.io/timeout: 400ms: status, attempts",
    real={"status": 200, "attempts": 3, "seconds": Between(2.6, 5)},
    source=RETRY,
    differs="an attempt that exceeds its time is not cut off: another is sent as well, and the first answer counts",
)
def retry_timeout(context: ParityContext) -> Any:
    base = annotated(context, "impatient", **RETRIES, **{"retry.linkerd.io/timeout": "400ms"})
    answer = call(context, base + "/sleep/2/slow")
    return {"status": answer["status"], "attempts": attempts(context, "/sleep/2/slow"), "seconds": answer["seconds"]}


def timed(context: ParityContext, kind: str, value: str) -> demo.Answer:
    """A call that takes 2 s to a Service with this timeout."""
    base = annotated(context, f"timeout-{kind}-{value}".lower(), **{f"timeout.linkerd.io/{kind}": value})
    return context.once(f"timed {kind} {value}", lambda: call(context, base + "/sleep/2"))


@topic.row(
    "an answer that takes 2 s with timeout.linkerd.io/request: 500ms",
    real={"status": 504, "seconds": Between(0.4, 1.8)},
    source=TIMEOUT,
)
def request_timeout(context: ParityContext) -> Any:
    answer = timed(context, "request", "500ms")
    return {"status": answer["status"], "seconds": answer["seconds"]}


@topic.row(
    "its l5d-proxy-error", source=TIMEOUT, real=containing("timed out waiting for response headers: request timeout: 500ms")
)
def request_timeout_error(context: ParityContext) -> Any:
    return timed(context, "request", "500ms")["headers"].get("l5d-proxy-error")


@topic.row("the same with timeout.linkerd.io/response: 500ms", real=504, source=TIMEOUT)
def response_timeout(context: ParityContext) -> Any:
    return timed(context, "response", "500ms")["status"]


@topic.row(
    "its l5d-proxy-error",
    source=TIMEOUT,
    real=containing("timed out waiting for response headers: response stream timeout: 500ms"),
)
def response_timeout_error(context: ParityContext) -> Any:
    return timed(context, "response", "500ms")["headers"].get("l5d-proxy-error")


@topic.row(
    "the same with timeout.linkerd.io/idle: 500ms (no headers have come yet)",
    real=200,
    source=TIMEOUT,
    differs="the idle time before the headers counts too: the call ends with 504",
)
def idle_timeout(context: ParityContext) -> Any:
    return timed(context, "idle", "500ms")["status"]


@topic.row("the same with timeout.linkerd.io/request: abc", real=200, source=TIMEOUT)
def invalid_timeout(context: ParityContext) -> Any:
    return timed(context, "request", "abc")["status"]


def fragile(context: ParityContext) -> None:
    """One good pod and one that answers 500 to everything, behind the label ``fragile``."""
    good = demo.deployment("good", app="fragile")
    bad = demo.deployment("bad", app="fragile", env={"FAILS": "yes"})
    context.once("fragile", lambda: demo.play(context, demo.meshed(context), *good, *bad))


def failures(context: ParityContext, target: str, times: int) -> int:
    answers = demo.ask(context, demo.meshed(context), target, times=times, every=0.03, reuse=True)
    return sum(answer["status"] != 200 for answer in answers)


@topic.row(
    "60 calls to two pods, one of which fails, with failure accrual after 3 failures: failed calls",
    real=Between(3, 5),
    source=ACCRUAL,
)
def accrual(context: ParityContext) -> Any:
    fragile(context)
    return failures(context, annotated(context, "ejects", "fragile", **CONSECUTIVE) + "/x", 60)


@topic.row("the same without failure accrual", real=Between(15, 55), source="experiments/02-failure-accrual.txt")
def no_accrual(context: ParityContext) -> Any:
    fragile(context)
    return failures(context, annotated(context, "endures", "fragile") + "/x", 60)


def hopeless(context: ParityContext) -> list[demo.Answer]:
    """Six calls to a Service whose only pod answers 500, with failure accrual after 3."""
    fragile(context)
    target = demo.service("hopeless", annotations=CONSECUTIVE)
    target["spec"]["selector"] = {"part": "bad"}
    base = known(context, target)
    return context.once("hopeless", lambda: demo.ask(context, demo.meshed(context), f"{base}/x", times=6))


@topic.row(
    "statuses of six calls when failure accrual has taken the only pod out", real=[500, 500, 500, 504, 503, 503], source=ACCRUAL
)
def all_ejected(context: ParityContext) -> Any:
    return [answer["status"] for answer in hopeless(context)]


@topic.row("seconds that the fourth and the fifth take", real=[Between(2.8, 6), Between(0, 1.5)], source=ACCRUAL)
def all_ejected_times(context: ParityContext) -> Any:
    return [answer["seconds"] for answer in hopeless(context)[3:5]]
