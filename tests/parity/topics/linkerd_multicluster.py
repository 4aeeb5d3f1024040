"""A linked cluster: mirrored objects, gateway mode, flat mode, federated services, a gateway that goes away."""

from __future__ import annotations

from typing import Any

from labs import kube
from tests.parity import demo, mesh
from tests.parity.context import Object, ParityContext
from tests.parity.expect import Between, Text, containing
from tests.parity.linked import (
    EXPORTED,
    admit_the_client,
    caller,
    export,
    federate,
    gateway_mode,
    mirror,
    no_policy,
    remote_call,
    scale_gateway,
    seconds_until_back,
)
from tests.parity.rows import Topic

topic = Topic("linkerd_multicluster", "linkerd", "Linked clusters", ordered=True)
GATEWAY = "50-gateway-mode.txt"
AUTHZ = "53-gateway-authz.txt"
FLAT = "60-flat-mode.txt"
FEDERATED = "62-federated.txt"
DOWN = "52-gateway-down.txt"
CREDENTIALS = "mirror.linkerd.io/remote-kubeconfig"


@topic.row(
    "a Service exported with the label mirror.linkerd.io/exported: true: the mirror's name",
    real="web-gpu",
    source=GATEWAY,
    within=5,
)
def mirrored_name(context: ParityContext) -> Any:
    found = gateway_mode(context, "web-gpu")
    return found["metadata"]["name"] if found else None


@topic.row(
    "its labels", source=GATEWAY, real={"mirror.linkerd.io/cluster-name": "gpu", "mirror.linkerd.io/mirrored-service": "true"}
)
def mirrored_labels(context: ParityContext) -> Any:
    return mirror(context, "web-gpu", "labels")


@topic.row(
    "its annotations",
    source=GATEWAY,
    real={
        "mirror.linkerd.io/remote-resource-version": Text(r"\d+"),
        "mirror.linkerd.io/remote-svc-fq-name": "web.NAMESPACE.svc.cluster.local",
    },
)
def mirrored_annotations(context: ParityContext) -> Any:
    return mirror(context, "web-gpu", "annotations")


@topic.row("its ports: name, port, targetPort", real=[("http", 8080, "http")], source=GATEWAY)
def mirrored_ports(context: ParityContext) -> Any:
    found = gateway_mode(context, "web-gpu") or {}
    return [(port["name"], port["port"], port["targetPort"]) for port in found["spec"]["ports"]]


def endpoints(context: ParityContext, name: str) -> Object:
    return kube.get(context.api(), "Endpoints", name, caller(context)) or {}


@topic.row(
    "its endpoints: port and the identity of the gateway",
    source=GATEWAY,
    within=3,
    real={"port": 4143, "identity": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"},
)
def mirrored_endpoints(context: ParityContext) -> Any:
    found = endpoints(context, "web-gpu")
    identity = found["metadata"].get("annotations", {}).get("mirror.linkerd.io/remote-gateway-identity")
    return {"port": found["subsets"][0]["ports"][0]["port"], "identity": identity}


@topic.row("a call through the gateway", real=200, source=GATEWAY, within=20)
def through_the_gateway(context: ParityContext) -> Any:
    return remote_call(context, "web-gpu")["status"]


@topic.row("which caller the server in the other cluster sees", real="linkerd-gateway.linkerd-multicluster", source=GATEWAY)
def gateway_calls(context: ParityContext) -> Any:
    found = demo.seen(remote_call(context, "web-gpu")).get("l5d-client-id", "")
    return found.partition(".serviceaccount.")[0]


@topic.row("where the server can still see the real client", real=containing("client.", "serviceaccount"), source=GATEWAY)
def forwarded(context: ParityContext) -> Any:
    return demo.seen(remote_call(context, "web-gpu")).get("forwarded")


@topic.row("the host that the server sees", real=Text(r"web\.NAMESPACE\.svc\.cluster\.local(:8080)?"), source=GATEWAY)
def host_is_rewritten(context: ParityContext) -> Any:
    return demo.seen(remote_call(context, "web-gpu"))["host"].replace(caller(context), "NAMESPACE")


@topic.row("a client without a proxy calls the mirror: status", real=0, source=GATEWAY)
def unmeshed_client(context: ParityContext) -> Any:
    return remote_call(context, "web-gpu", meshed=False)["status"]


@topic.row(
    "linkerd multicluster gateways -o json",
    source="43-multicluster-gateways.txt",
    within=20,
    real={"clusterName": "gpu", "alive": True, "numberOfServices": Between(1, 99), "latency": Between(0, 500)},
)
def gateways(context: ParityContext) -> Any:
    return next(row for row in context.linkerd("multicluster", "gateways", "-o", "json").json() if row["clusterName"] == "gpu")


@topic.row("linkerd multicluster check: exit code", real=0, source="42-multicluster-check.txt", within=10)
def check(context: ParityContext) -> Any:
    return context.linkerd("multicluster", "check", "--wait", "20s").code


@topic.row(
    "the credentials that a link creates: namespaces of its Secrets",
    source="41-link.txt",
    real=["linkerd", "linkerd-multicluster"],
)
def credentials(context: ParityContext) -> Any:
    mesh.linked(context)
    found = kube.select(context.api(), "Secret", fields=f"type={CREDENTIALS}")
    return sorted(secret["metadata"]["namespace"] for secret in found if secret["metadata"]["name"].endswith("-gpu"))


@topic.row(
    "the Link's spec",
    source="41-link.txt",
    real={
        "targetClusterName": "gpu",
        "gatewayPort": "4143",
        "clusterCredentialsSecret": "cluster-credentials-gpu",
        "probeSpec": {"path": "/ready", "period": "3s", "port": "4191", "failureThreshold": "3", "timeout": "30s"},
    },
)
def link_spec(context: ParityContext) -> Any:
    mesh.linked(context)
    found = kube.get(context.api(), "multicluster.linkerd.io/v1alpha3/Link", "gpu", mesh.MULTICLUSTER) or {}
    names = ("targetClusterName", "gatewayPort", "clusterCredentialsSecret", "probeSpec")
    return {name: found["spec"].get(name) for name in names}


@topic.row(
    "the Link's status of a mirrored Service",
    real={"type": "Mirrored", "status": "True", "reason": "Mirrored"},
    source=FLAT,
    within=5,
)
def link_status(context: ParityContext) -> Any:
    gateway_mode(context, "web-gpu")
    found = kube.get(context.api(), "multicluster.linkerd.io/v1alpha3/Link", "gpu", mesh.MULTICLUSTER) or {}
    rows = found.get("status", {}).get("mirrorServices") or []
    mine = [row for row in rows if row["remoteRef"]["namespace"] == caller(context) and row["remoteRef"]["name"] == "web"]
    return {name: mine[0]["conditions"][0].get(name) for name in ("type", "status", "reason")} if mine else None


@topic.row(
    "a policy in the other cluster that admits only the client's identity, through the gateway", real=403, source=AUTHZ, within=6
)
def policy_through_the_gateway(context: ParityContext) -> Any:
    admit_the_client(context)
    return remote_call(context, "web-gpu")["status"]


@topic.row(
    "labels of a Service exported with remote-discovery",
    source=FLAT,
    within=5,
    real={
        "mirror.linkerd.io/cluster-name": "gpu",
        "mirror.linkerd.io/mirrored-service": "true",
        "multicluster.linkerd.io/remote-discovery": "gpu",
        "multicluster.linkerd.io/remote-service": "flat",
    },
)
def flat_labels(context: ParityContext) -> Any:
    export(context, "flat", {EXPORTED: "remote-discovery"})
    return mirror(context, "flat-gpu", "labels")


@topic.row("its Endpoints object", real="none", source=FLAT, within=3)
def flat_endpoints(context: ParityContext) -> Any:
    export(context, "flat", {EXPORTED: "remote-discovery"})
    return "there" if endpoints(context, "flat-gpu") else "none"


@topic.row("which caller the server there sees in flat mode", real="client", source=FLAT, within=10)
def flat_client(context: ParityContext) -> Any:
    export(context, "flat", {EXPORTED: "remote-discovery"})
    answer = remote_call(context, "flat-gpu")
    return demo.seen(answer).get("l5d-client-id", "").partition(".")[0] if answer["status"] == 200 else answer["status"]


@topic.row("the policy that admits only the client's identity, in flat mode", real=200, source=FLAT, within=6)
def policy_in_flat_mode(context: ParityContext) -> Any:
    admit_the_client(context)
    return remote_call(context, "flat-gpu")["status"]


@topic.row(
    "annotations of a federated Service",
    source=FEDERATED,
    within=6,
    real={"multicluster.linkerd.io/local-discovery": "both", "multicluster.linkerd.io/remote-discovery": "both@gpu"},
)
def federated_annotations(context: ParityContext) -> Any:
    federate(context)
    return mirror(context, "both-federated", "annotations")


@topic.row("clusters that answer 40 calls to it", real=["app", "gpu"], source=FEDERATED, within=10)
def federated_calls(context: ParityContext) -> Any:
    federate(context)
    answers = demo.ask(context, caller(context), demo.url("both-federated", caller(context)), times=40)
    pods = {answer["body"].partition('"pod": "')[2].partition('"')[0].partition("-")[0] for answer in answers}
    return sorted({"local": "app", "web": "gpu"}.get(name, name) for name in pods)


@topic.row("the mirror after the export label is removed", real="gone", source=FEDERATED, within=8)
def unexported(context: ParityContext) -> Any:
    export(context, "shortly", {EXPORTED: "true"})
    context.once("unexport", lambda: export(context, "shortly", {EXPORTED: None}, again=True))
    return "gone" if kube.get(context.api(), "Service", "shortly-gpu", caller(context)) is None else "there"


# The gateway goes away. From here on the rows are about one that is down.


def without_gateway(context: ParityContext) -> None:
    """The other cluster's gateway is scaled to 0; a first call has been made."""

    def make() -> None:
        no_policy(context)
        scale_gateway(context, 0)

    context.once("gateway down", make)


def calls_without_gateway(context: ParityContext) -> list[demo.Answer]:
    without_gateway(context)
    return context.once(
        "calls without", lambda: demo.ask(context, caller(context), demo.url("web-gpu", caller(context)), times=2)
    )


@topic.row(
    "the gateway is down: first call",
    source=DOWN,
    real={"status": 504, "seconds": Between(2.8, 6)},
    differs="Envoy does not wait: 504 at once, again and again",
)
def first_call_without_gateway(context: ParityContext) -> Any:
    answer = calls_without_gateway(context)[0]
    return {"status": answer["status"], "seconds": answer["seconds"]}


@topic.row(
    "the next call",
    source=DOWN,
    real={"status": 503, "seconds": Between(0, 1.5)},
    differs="Envoy does not wait: 504 at once, again and again",
)
def next_call_without_gateway(context: ParityContext) -> Any:
    answer = calls_without_gateway(context)[1]
    return {"status": answer["status"], "seconds": answer["seconds"]}


@topic.row("ALIVE in linkerd multicluster gateways, within 25 s", real=False, source=DOWN, within=25)
def dead_in_gateways(context: ParityContext) -> Any:
    without_gateway(context)
    rows = context.linkerd("multicluster", "gateways", "-o", "json").json()
    return next(row["alive"] for row in rows if row["clusterName"] == "gpu")


@topic.row(
    "linkerd multicluster check: exit code and what it says",
    source=DOWN,
    real={"exit code": 1, "says": "liveness checks failed for gpu"},
)
def check_without_gateway(context: ParityContext) -> Any:
    without_gateway(context)
    ran = context.linkerd("multicluster", "check", "--wait", "1s")
    line = "liveness checks failed for gpu"
    return {"exit code": ran.code, "says": line if line in ran.text else ran.text}


@topic.row("where in its Endpoints the mirror's address is", real="notReadyAddresses", source=DOWN, within=5)
def address_is_not_ready(context: ParityContext) -> Any:
    without_gateway(context)
    subset = endpoints(context, "web-gpu")["subsets"][0]
    return next(name for name in ("addresses", "notReadyAddresses") if subset.get(name))


@topic.row("a flat mirror meanwhile", real=200, source="experiments/07-gateway-down.txt", within=3)
def flat_without_gateway(context: ParityContext) -> Any:
    without_gateway(context)
    return remote_call(context, "flat-gpu")["status"]


@topic.row("seconds until calls succeed once the gateway is back", real=Between(0, 35, "s"), source=DOWN)
def gateway_is_back(context: ParityContext) -> Any:
    without_gateway(context)
    return seconds_until_back(context)
