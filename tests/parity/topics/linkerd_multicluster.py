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
def mirrored_name(stage: ParityContext) -> Any:
    found = gateway_mode(stage, "web-gpu")
    return found["metadata"]["name"] if found else None


@topic.row(
    "its labels", source=GATEWAY, real={"mirror.linkerd.io/cluster-name": "gpu", "mirror.linkerd.io/mirrored-service": "true"}
)
def mirrored_labels(stage: ParityContext) -> Any:
    return mirror(stage, "web-gpu", "labels")


@topic.row(
    "its annotations",
    source=GATEWAY,
    real={
        "mirror.linkerd.io/remote-resource-version": Text(r"\d+"),
        "mirror.linkerd.io/remote-svc-fq-name": "web.NAMESPACE.svc.cluster.local",
    },
)
def mirrored_annotations(stage: ParityContext) -> Any:
    return mirror(stage, "web-gpu", "annotations")


@topic.row("its ports: name, port, targetPort", real=[("http", 8080, "http")], source=GATEWAY)
def mirrored_ports(stage: ParityContext) -> Any:
    found = gateway_mode(stage, "web-gpu") or {}
    return [(port["name"], port["port"], port["targetPort"]) for port in found["spec"]["ports"]]


def endpoints(stage: ParityContext, name: str) -> Object:
    return kube.get(stage.api(), "Endpoints", name, caller(stage)) or {}


@topic.row(
    "its endpoints: port and the identity of the gateway",
    source=GATEWAY,
    within=3,
    real={"port": 4143, "identity": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"},
)
def mirrored_endpoints(stage: ParityContext) -> Any:
    found = endpoints(stage, "web-gpu")
    identity = found["metadata"].get("annotations", {}).get("mirror.linkerd.io/remote-gateway-identity")
    return {"port": found["subsets"][0]["ports"][0]["port"], "identity": identity}


@topic.row("a call through the gateway", real=200, source=GATEWAY, within=20)
def through_the_gateway(stage: ParityContext) -> Any:
    return remote_call(stage, "web-gpu")["status"]


@topic.row("which caller the server in the other cluster sees", real="linkerd-gateway.linkerd-multicluster", source=GATEWAY)
def gateway_calls(stage: ParityContext) -> Any:
    found = demo.seen(remote_call(stage, "web-gpu")).get("l5d-client-id", "")
    return found.partition(".serviceaccount.")[0]


@topic.row("where the server can still see the real client", real=containing("client.", "serviceaccount"), source=GATEWAY)
def forwarded(stage: ParityContext) -> Any:
    return demo.seen(remote_call(stage, "web-gpu")).get("forwarded")


@topic.row("the host that the server sees", real=Text(r"web\.NAMESPACE\.svc\.cluster\.local(:8080)?"), source=GATEWAY)
def host_is_rewritten(stage: ParityContext) -> Any:
    return demo.seen(remote_call(stage, "web-gpu"))["host"].replace(caller(stage), "NAMESPACE")


@topic.row("a client without a proxy calls the mirror: status", real=0, source=GATEWAY)
def unmeshed_client(stage: ParityContext) -> Any:
    return remote_call(stage, "web-gpu", meshed=False)["status"]


@topic.row(
    "linkerd multicluster gateways -o json",
    source="43-multicluster-gateways.txt",
    within=20,
    real={"clusterName": "gpu", "alive": True, "numberOfServices": Between(1, 99), "latency": Between(0, 500)},
)
def gateways(stage: ParityContext) -> Any:
    return next(row for row in stage.linkerd("multicluster", "gateways", "-o", "json").json() if row["clusterName"] == "gpu")


@topic.row("linkerd multicluster check: exit code", real=0, source="42-multicluster-check.txt", within=10)
def check(stage: ParityContext) -> Any:
    return stage.linkerd("multicluster", "check", "--wait", "20s").code


@topic.row(
    "the credentials that a link creates: namespaces of its Secrets",
    source="41-link.txt",
    real=["linkerd", "linkerd-multicluster"],
)
def credentials(stage: ParityContext) -> Any:
    mesh.linked(stage)
    found = kube.select(stage.api(), "Secret", fields=f"type={CREDENTIALS}")
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
def link_spec(stage: ParityContext) -> Any:
    mesh.linked(stage)
    found = kube.get(stage.api(), "multicluster.linkerd.io/v1alpha3/Link", "gpu", mesh.MULTICLUSTER) or {}
    names = ("targetClusterName", "gatewayPort", "clusterCredentialsSecret", "probeSpec")
    return {name: found["spec"].get(name) for name in names}


@topic.row(
    "the Link's status of a mirrored Service",
    real={"type": "Mirrored", "status": "True", "reason": "Mirrored"},
    source=FLAT,
    within=5,
)
def link_status(stage: ParityContext) -> Any:
    gateway_mode(stage, "web-gpu")
    found = kube.get(stage.api(), "multicluster.linkerd.io/v1alpha3/Link", "gpu", mesh.MULTICLUSTER) or {}
    rows = found.get("status", {}).get("mirrorServices") or []
    mine = [row for row in rows if row["remoteRef"]["namespace"] == caller(stage) and row["remoteRef"]["name"] == "web"]
    return {name: mine[0]["conditions"][0].get(name) for name in ("type", "status", "reason")} if mine else None


@topic.row(
    "a policy in the other cluster that admits only the client's identity, through the gateway", real=403, source=AUTHZ, within=6
)
def policy_through_the_gateway(stage: ParityContext) -> Any:
    admit_the_client(stage)
    return remote_call(stage, "web-gpu")["status"]


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
def flat_labels(stage: ParityContext) -> Any:
    export(stage, "flat", {EXPORTED: "remote-discovery"})
    return mirror(stage, "flat-gpu", "labels")


@topic.row("its Endpoints object", real="none", source=FLAT, within=3)
def flat_endpoints(stage: ParityContext) -> Any:
    export(stage, "flat", {EXPORTED: "remote-discovery"})
    return "there" if endpoints(stage, "flat-gpu") else "none"


@topic.row("which caller the server there sees in flat mode", real="client", source=FLAT, within=10)
def flat_client(stage: ParityContext) -> Any:
    export(stage, "flat", {EXPORTED: "remote-discovery"})
    answer = remote_call(stage, "flat-gpu")
    return demo.seen(answer).get("l5d-client-id", "").partition(".")[0] if answer["status"] == 200 else answer["status"]


@topic.row("the policy that admits only the client's identity, in flat mode", real=200, source=FLAT, within=6)
def policy_in_flat_mode(stage: ParityContext) -> Any:
    admit_the_client(stage)
    return remote_call(stage, "flat-gpu")["status"]


@topic.row(
    "annotations of a federated Service",
    source=FEDERATED,
    within=6,
    real={"multicluster.linkerd.io/local-discovery": "both", "multicluster.linkerd.io/remote-discovery": "both@gpu"},
)
def federated_annotations(stage: ParityContext) -> Any:
    federate(stage)
    return mirror(stage, "both-federated", "annotations")


@topic.row("clusters that answer 40 calls to it", real=["app", "gpu"], source=FEDERATED, within=10)
def federated_calls(stage: ParityContext) -> Any:
    federate(stage)
    answers = demo.ask(stage, caller(stage), demo.url("both-federated", caller(stage)), times=40)
    pods = {answer["body"].partition('"pod": "')[2].partition('"')[0].partition("-")[0] for answer in answers}
    return sorted({"local": "app", "web": "gpu"}.get(name, name) for name in pods)


@topic.row("the mirror after the export label is removed", real="gone", source=FEDERATED, within=8)
def unexported(stage: ParityContext) -> Any:
    export(stage, "shortly", {EXPORTED: "true"})
    stage.once("unexport", lambda: export(stage, "shortly", {EXPORTED: None}, again=True))
    return "gone" if kube.get(stage.api(), "Service", "shortly-gpu", caller(stage)) is None else "there"


# The gateway goes away. From here on the rows are about one that is down.


def without_gateway(stage: ParityContext) -> None:
    """The other cluster's gateway is scaled to 0; a first call has been made."""

    def make() -> None:
        no_policy(stage)
        scale_gateway(stage, 0)

    stage.once("gateway down", make)


def calls_without_gateway(stage: ParityContext) -> list[demo.Answer]:
    without_gateway(stage)
    return stage.once("calls without", lambda: demo.ask(stage, caller(stage), demo.url("web-gpu", caller(stage)), times=2))


@topic.row(
    "the gateway is down: first call",
    source=DOWN,
    real={"status": 504, "seconds": Between(2.8, 6)},
    differs="Envoy does not wait: 504 at once, again and again",
)
def first_call_without_gateway(stage: ParityContext) -> Any:
    answer = calls_without_gateway(stage)[0]
    return {"status": answer["status"], "seconds": answer["seconds"]}


@topic.row(
    "the next call",
    source=DOWN,
    real={"status": 503, "seconds": Between(0, 1.5)},
    differs="Envoy does not wait: 504 at once, again and again",
)
def next_call_without_gateway(stage: ParityContext) -> Any:
    answer = calls_without_gateway(stage)[1]
    return {"status": answer["status"], "seconds": answer["seconds"]}


@topic.row("ALIVE in linkerd multicluster gateways, within 25 s", real=False, source=DOWN, within=25)
def dead_in_gateways(stage: ParityContext) -> Any:
    without_gateway(stage)
    rows = stage.linkerd("multicluster", "gateways", "-o", "json").json()
    return next(row["alive"] for row in rows if row["clusterName"] == "gpu")


@topic.row(
    "linkerd multicluster check: exit code and what it says",
    source=DOWN,
    real={"exit code": 1, "says": "liveness checks failed for gpu"},
)
def check_without_gateway(stage: ParityContext) -> Any:
    without_gateway(stage)
    ran = stage.linkerd("multicluster", "check", "--wait", "1s")
    line = "liveness checks failed for gpu"
    return {"exit code": ran.code, "says": line if line in ran.text else ran.text}


@topic.row("where in its Endpoints the mirror's address is", real="notReadyAddresses", source=DOWN, within=5)
def address_is_not_ready(stage: ParityContext) -> Any:
    without_gateway(stage)
    subset = endpoints(stage, "web-gpu")["subsets"][0]
    return next(name for name in ("addresses", "notReadyAddresses") if subset.get(name))


@topic.row("a flat mirror meanwhile", real=200, source="experiments/07-gateway-down.txt", within=3)
def flat_without_gateway(stage: ParityContext) -> Any:
    without_gateway(stage)
    return remote_call(stage, "flat-gpu")["status"]


@topic.row("seconds until calls succeed once the gateway is back", real=Between(0, 35, "s"), source=DOWN)
def gateway_is_back(stage: ParityContext) -> Any:
    without_gateway(stage)
    return seconds_until_back(stage)
