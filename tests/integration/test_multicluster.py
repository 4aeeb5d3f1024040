"""A link between the lab's clusters, made with the command lines a learner types; then broken and healed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labs import config
from labs.errors import LabError
from labs.mesh.standin import StandinMesh
from labs.paths import Paths
from tests.integration.test_mesh import ECHO, workload
from tests.support.lab import Kubectl
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
NAMESPACE = "linkerd-multicluster"
CLUSTERS = ("app", "gpu")


def linkerd(context: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [str(Paths.current().bin / "linkerd"), "--context", context, *args, "--kubeconfig", str(Paths.current().kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def linked(kubectl: Kubectl) -> None:
    """Both clusters have the mesh, and app is linked to gpu; applying what is there already changes nothing."""
    mesh = StandinMesh()
    mesh.install_cli(Paths.current().bin)
    certs = {row.name: row for row in mesh.make_certificates()}
    for context in CLUSTERS:
        issuer = certs[f"issuer-{context}"]
        identity = [
            f"--identity-trust-anchors-file={certs['ca'].certificate}",
            f"--identity-issuer-certificate-file={issuer.certificate}",
            f"--identity-issuer-key-file={issuer.key}",
        ]
        kubectl(context, "apply", "--server-side", "-k", str(config.CLUSTERS / "gateway-api"))
        apply(kubectl, context, linkerd(context, "install", "--crds"))
        apply(kubectl, context, linkerd(context, "install", *identity))
    for context, peer in (CLUSTERS, CLUSTERS[::-1]):
        checked = linkerd(context, "check", "--wait", "60s")
        assert checked.returncode == 0, checked.stdout
        apply(kubectl, context, linkerd(context, "multicluster", "install", "--set", f"controllers[0].link.ref.name={peer}"))
    for context in CLUSTERS:
        kubectl(context, "-n", NAMESPACE, "wait", "--for=condition=Available", "deploy", "--all", "--timeout=60s")
    apply(kubectl, "app", linkerd("gpu", "multicluster", "link-gen", "--cluster-name", "gpu"))
    eventually(gateway_is(True), 60)


def apply(kubectl: Kubectl, context: str, printed: subprocess.CompletedProcess[str]) -> None:
    assert printed.returncode == 0, printed.stderr
    kubectl(context, "apply", "-f", "-", input=printed.stdout)


def gateway_is(alive: bool) -> Callable[[], bool]:
    def look() -> bool:
        states = json.loads(linkerd("app", "multicluster", "gateways", "-o", "json").stdout)
        return [state["alive"] for state in states if state["clusterName"] == "gpu"] == [alive]

    return look


def test_an_exported_service_is_mirrored_and_goes_with_its_label(linked: None, kubectl: Kubectl, namespace: str) -> None:
    kubectl("gpu", "create", "namespace", namespace)
    try:
        kubectl("gpu", "-n", namespace, "create", "service", "clusterip", "server", "--tcp=8000:8000")
        kubectl("gpu", "-n", namespace, "label", "service", "server", "mirror.linkerd.io/exported=true")
        kubectl("app", "-n", namespace, "wait", "--for=create", "service/server-gpu", "--timeout=40s")
        mirror = json.loads(kubectl("app", "-n", namespace, "get", "service", "server-gpu", "-o", "json"))
        assert mirror["metadata"]["labels"]["mirror.linkerd.io/cluster-name"] == "gpu"
        assert (
            mirror["metadata"]["annotations"]["mirror.linkerd.io/remote-svc-fq-name"] == f"server.{namespace}.svc.cluster.local"
        )
        kubectl("gpu", "-n", namespace, "label", "service", "server", "mirror.linkerd.io/exported-")
        kubectl("app", "-n", namespace, "wait", "--for=delete", "service/server-gpu", "--timeout=40s")
    finally:
        kubectl("gpu", "delete", "namespace", namespace, "--wait=false")


def test_check_passes_fails_without_the_gateway_and_passes_again(linked: None, kubectl: Kubectl) -> None:
    assert linkerd("app", "multicluster", "check", "--wait", "60s").returncode == 0
    kubectl("gpu", "-n", NAMESPACE, "scale", "deploy/linkerd-gateway", "--replicas=0")
    try:
        eventually(gateway_is(False), 60)
        broken = linkerd("app", "multicluster", "check", "--wait", "1s")
        assert broken.returncode == 1
        assert "liveness checks failed for gpu" in broken.stdout
    finally:
        kubectl("gpu", "-n", NAMESPACE, "scale", "deploy/linkerd-gateway", "--replicas=1")
    eventually(gateway_is(True), 60)


CLIENT = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
"""


def echo(cluster: str) -> list[dict[str, object]]:
    """A server that says its cluster and who calls."""
    marked = 'for k, v in [*self.headers.items(), ("cluster", "' + cluster + '")]}'
    code = ECHO.replace("for k, v in self.headers.items()}", marked)
    return workload("server", ["python", "-c", code], port=8080)


@pytest.fixture
def both(linked: None, kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """A meshed namespace in both clusters, each with a Service ``server``; a client in app."""
    kubectl("gpu", "create", "namespace", namespace)
    for context in CLUSTERS:
        kubectl(context, "annotate", "namespace", namespace, "linkerd.io/inject=enabled")
        items = [*echo(context), *(workload("client", ["sleep", "3600"]) if context == "app" else [])]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": tolerant(items)})
        kubectl(context, "apply", "-n", namespace, "-f", "-", input=text)
    for context in CLUSTERS:
        kubectl(context, "wait", "-n", namespace, "--for=condition=Available", "deploy", "--all", "--timeout=90s", timeout=120)
    yield namespace
    kubectl("gpu", "delete", "namespace", namespace, "--wait=false")


def tolerant(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for item in items:
        if item["kind"] == "Deployment":
            item["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    return items


def call(kubectl: Kubectl, namespace: str, service: str) -> dict[str, str]:
    """The headers the server saw; empty when it did not answer."""
    url = f"http://{service}.{namespace}.svc.cluster.local:8080/"
    command = ["exec", "-n", namespace, "deploy/client", "-c", "app", "--", "python", "-c", CLIENT, url]
    try:
        answer = kubectl("app", *command)
    except LabError:
        return {}
    return dict(json.loads(answer))


def test_a_flat_mirror_shows_the_clients_identity(both: str, kubectl: Kubectl) -> None:
    kubectl("gpu", "-n", both, "label", "service", "server", "mirror.linkerd.io/exported=remote-discovery")
    eventually(lambda: call(kubectl, both, "server-gpu").get("cluster") == "gpu", 60)
    seen = call(kubectl, both, "server-gpu")
    assert seen["l5d-client-id"] == f"client.{both}.serviceaccount.identity.linkerd.cluster.local"
    assert seen["host"] == f"server-gpu.{both}.svc.cluster.local:8080"
    mirror = json.loads(kubectl("app", "-n", both, "get", "service", "server-gpu", "-o", "json"))
    assert mirror["metadata"]["labels"]["multicluster.linkerd.io/remote-discovery"] == "gpu"
    assert "server-gpu" not in kubectl("app", "-n", both, "get", "endpoints", "-o", "name")


def test_a_gateway_mirror_hides_the_client(both: str, kubectl: Kubectl) -> None:
    kubectl("gpu", "-n", both, "label", "service", "server", "mirror.linkerd.io/exported=true")
    eventually(lambda: call(kubectl, both, "server-gpu").get("cluster") == "gpu", 60)
    seen = call(kubectl, both, "server-gpu")
    assert seen["l5d-client-id"] == f"linkerd-gateway.{NAMESPACE}.serviceaccount.identity.linkerd.cluster.local"
    assert f"for=client.{both}." in seen["forwarded"]


def test_a_federated_service_loses_only_the_half_whose_credentials_are_gone(both: str, kubectl: Kubectl) -> None:
    for context in CLUSTERS:
        kubectl(context, "-n", both, "label", "service", "server", "mirror.linkerd.io/federated=member")

    def clusters() -> set[str]:
        return {call(kubectl, both, "server-federated").get("cluster", "none") for _ in range(8)}

    eventually(lambda: clusters() == {"app", "gpu"}, 60)
    federated = json.loads(kubectl("app", "-n", both, "get", "service", "server-federated", "-o", "json"))
    annotations = federated["metadata"]["annotations"]
    assert annotations["multicluster.linkerd.io/remote-discovery"] == "server@gpu"
    assert annotations["multicluster.linkerd.io/local-discovery"] == "server"
    secret = kubectl("app", "-n", "linkerd", "get", "secret", "cluster-credentials-gpu", "-o", "json")
    kubectl("app", "-n", "linkerd", "delete", "secret", "cluster-credentials-gpu")
    try:
        eventually(lambda: clusters() == {"app"}, 60)
    finally:
        kept = {key: value for key, value in json.loads(secret).items() if key != "status"}
        kept["metadata"] = {key: kept["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
        kubectl("app", "apply", "-f", "-", input=json.dumps(kept))
    eventually(lambda: clusters() == {"app", "gpu"}, 60)
