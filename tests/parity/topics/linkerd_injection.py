"""Which pods get a proxy, and what they look like then."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo
from tests.parity.context import Object, ParityContext, events, named
from tests.parity.expect import including
from tests.parity.rows import Topic

topic = Topic("linkerd_injection", "linkerd", "Injection")
CALLS = "10-incluster-http.txt"
EVENTS = "26-events.txt"
PROXY_TEMPLATE = "documented: linkerd2/charts/partials/templates/_proxy.tpl"
LABELS = "documented: linkerd2/pkg/k8s/labels.go"
PROXY = "linkerd-proxy"
SHELL = {"name": "app", "image": "busybox:1", "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.5; done"]}


def server(context: ParityContext) -> Object:
    return demo.pods(context, demo.meshed(context), "server")[0]


def proxy(context: ParityContext) -> Object:
    return named(server(context)["spec"].get("initContainers", []), PROXY)


def created(context: ParityContext, namespace: str, name: str, annotations: dict[str, str]) -> list[str]:
    """Names of all containers of a pod with these annotations, as the API server made it."""
    metadata = {"name": name, "annotations": annotations}
    spec = {"containers": [SHELL], "terminationGracePeriodSeconds": 1}
    context.once(
        f"pod {namespace}/{name}",
        lambda: context.apply(namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
    )
    found = kube.get(context.api(), "Pod", name, namespace) or {}
    return [row["name"] for row in found["spec"].get("initContainers", []) + found["spec"]["containers"]]


@topic.row("READY that kubectl shows for a meshed pod", real="2/2", source="26-default-inbound-policy-deny.txt", within=10)
def ready(context: ParityContext) -> Any:
    name = server(context)["metadata"]["name"]
    return context.kubectl("get", "pod", name, "-n", demo.meshed(context), "--no-headers").text.split()[1]


@topic.row("how the proxy runs: as an init container with restartPolicy", real="Always", source=PROXY_TEMPLATE)
def native_sidecar(context: ParityContext) -> Any:
    return proxy(context).get("restartPolicy")


@topic.row(
    "the other init containers",
    real=["linkerd-init"],
    source="experiments/10-control-plane-down.txt",
    differs="no linkerd-init: there is no network namespace to set up redirects in; the app gets another address instead",
)
def init_containers(context: ParityContext) -> Any:
    return [row["name"] for row in server(context)["spec"].get("initContainers", []) if row["name"] != PROXY]


@topic.row(
    "annotations on a meshed pod", real=including("linkerd.io/proxy-version", "linkerd.io/trust-root-sha256"), source=LABELS
)
def added_annotations(context: ParityContext) -> Any:
    return sorted(server(context)["metadata"]["annotations"])


@topic.row(
    "labels on a meshed pod",
    real=including("linkerd.io/control-plane-ns", "linkerd.io/proxy-deployment", "linkerd.io/workload-ns"),
    source=LABELS,
)
def added_labels(context: ParityContext) -> Any:
    return sorted(server(context)["metadata"]["labels"])


@topic.row(
    "ports that the proxy declares",
    real={"linkerd-proxy": 4143, "linkerd-admin": 4191},
    source=PROXY_TEMPLATE,
    differs="nothing is redirected to 4143: a proxy listens on the app's ports, and only a gateway's on 4143",
)
def ports(context: ParityContext) -> Any:
    return {port["name"]: port["containerPort"] for port in proxy(context).get("ports", [])}


@topic.row("paths of the proxy's own probes", real={"readiness": "/ready", "liveness": "/live"}, source=PROXY_TEMPLATE)
def probes(context: ParityContext) -> Any:
    return {kind: proxy(context).get(f"{kind}Probe", {}).get("httpGet", {}).get("path") for kind in ("readiness", "liveness")}


@topic.row("the event on the Deployment", real=["Linkerd sidecar proxy injected"], source=EVENTS, within=5)
def injected_event(context: ParityContext) -> Any:
    found = events(context, demo.meshed(context), "server")
    return sorted({event["message"] for event in found if event["reason"] == "Injected"})


@topic.row("containers of a pod in a namespace without the annotation", real=["app"], source=CALLS)
def without_annotation(context: ParityContext) -> Any:
    demo.meshed(context)
    return created(context, demo.plain(context), "bare", {})


@topic.row(
    "a pod that opts out (linkerd.io/inject: disabled) in an annotated namespace", real=["app"], source="33-no-endpoints.txt"
)
def opt_out(context: ParityContext) -> Any:
    return created(context, demo.meshed(context), "opts-out", {"linkerd.io/inject": "disabled"})


@topic.row(
    "a pod that opts in (linkerd.io/inject: enabled) in a namespace without the annotation has a proxy",
    real=True,
    source="documented: linkerd.io/2-edge/features/proxy-injection",
)
def opt_in(context: ParityContext) -> Any:
    demo.meshed(context)
    return PROXY in created(context, demo.plain(context), "opts-in", {"linkerd.io/inject": "enabled"})


@topic.row(
    "what the webhook does when the injector does not answer (failurePolicy)",
    real="Ignore",
    source="experiments/10-control-plane-down.txt",
)
def failure_policy(context: ParityContext) -> Any:
    demo.meshed(context)
    kind = "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration"
    found = kube.get(context.api(), kind, "linkerd-proxy-injector-webhook-config") or {}
    return found["webhooks"][0]["failurePolicy"]
