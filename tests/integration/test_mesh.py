"""The stand-in mesh in a running lab: injection, identities, policy, and a control plane that goes away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import pytest

from labs import config, topology
from labs.mesh.certificates import make_certificates
from labs.mesh.standin import install_cli
from labs.paths import Paths
from labs.shell import run
from tests.support.lab import new_namespace, processes_of
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Kubectl = Callable[..., str]

ECHO = """
import http.server, json, os
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({k.lower(): v for k, v in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["BIND_ADDRESS"], 8080), Echo).serve_forever()
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""


def workload(name: str, command: list[str], *, port: int | None = None) -> list[dict[str, object]]:
    """A ServiceAccount and a Deployment in its name, with a probed port and a Service where it has one."""
    container: dict[str, object] = {"name": "app", "image": "busybox:1", "command": command}
    labels = {"app": name}
    found: list[dict[str, object]] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}]
    if port:
        container |= {"ports": [{"name": "http", "containerPort": port}]}
        container |= {"readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1}}
        spec = {"selector": labels, "ports": [{"name": "http", "port": port, "targetPort": "http"}]}
        found.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    pod = {"serviceAccountName": name, "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    found.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body})
    return found


@pytest.fixture(scope="session")
def mesh(kubectl: Kubectl) -> None:
    """The mesh's control plane runs in cluster app; installed as notebook 04 does it, and left there."""
    make_certificates(Paths.current().state / "certs", [cluster.name for cluster in topology.defaults()])
    linkerd = str(install_cli(Paths.current().bin))
    certs = Paths.current().state / "certs"
    kubectl("app", "apply", "--server-side", "-k", str(config.CLUSTERS / "gateway-api"))
    kubectl("app", "apply", "-f", "-", input=run([linkerd, "--context", "app", "install", "--crds"]))
    options = {"trust-anchors": "ca.crt", "issuer-certificate": "issuer-app.crt", "issuer-key": "issuer-app.key"}
    files = [part for name, file in options.items() for part in (f"--identity-{name}-file", str(certs / file))]
    kubectl("app", "apply", "-f", "-", input=run([linkerd, "--context", "app", "install", *files]))
    kubectl("app", "wait", "-n", "linkerd", "--for=condition=Available", "deploy", "--all", "--timeout=120s", timeout=150)


@pytest.fixture(scope="module")
def demo(mesh: None, kubectl: Kubectl) -> Iterator[str]:
    """A meshed namespace with an echo server and a client; every test leaves them answering."""
    client = workload("client", ["sleep", "3600"])
    items = [*workload("server", ["python", "-c", ECHO], port=8080), *client]
    with new_namespace(kubectl) as namespace:
        kubectl("app", "annotate", "namespace", namespace, "linkerd.io/inject=enabled")
        apply(kubectl, namespace, *items)
        kubectl("app", "wait", "-n", namespace, "--for=condition=Available", "deploy", "--all", "--timeout=90s", timeout=120)
        yield namespace


def apply(kubectl: Kubectl, namespace: str, *items: Mapping[str, object]) -> None:
    kubectl("app", "apply", "-n", namespace, "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def ask(kubectl: Kubectl, namespace: str) -> tuple[int, str]:
    """Status and body of the client's call to the server, through both proxies."""
    url = f"http://server.{namespace}.svc.cluster.local:8080/hello"
    answer = kubectl("app", "exec", "-n", namespace, "deploy/client", "-c", "app", "--", "python", "-c", ASK, url)
    status, _, body = answer.partition(" ")
    return int(status), body.strip()


def becomes(kubectl: Kubectl, namespace: str, status: int, seconds: float = 60) -> None:
    eventually(lambda: ask(kubectl, namespace)[0], seconds, holds=lambda found: found == status)


def test_pods_are_injected_and_the_server_sees_who_calls(demo: str, kubectl: Kubectl) -> None:
    pods = json.loads(kubectl("app", "get", "pods", "-n", demo, "-o", "json"))["items"]
    assert all(pod["spec"]["initContainers"][0]["name"] == "linkerd-proxy" for pod in pods)
    status, body = ask(kubectl, demo)
    assert (status, json.loads(body)["l5d-client-id"]) == (200, f"client.{demo}.serviceaccount.identity.linkerd.cluster.local")
    issued = f"issued certificate for server.{demo}.serviceaccount.identity.linkerd.cluster.local until"
    eventually(
        lambda: kubectl("app", "get", "events", "-n", demo),
        holds=lambda events: "Linkerd sidecar proxy injected" in events and issued in events,
    )


def test_a_server_denies_and_a_policy_admits(demo: str, kubectl: Kubectl) -> None:
    selector = {"matchLabels": {"app": "server"}}
    group = "policy.linkerd.io"
    server = {"apiVersion": f"{group}/v1beta3", "kind": "Server", "metadata": {"name": "http"}}
    apply(kubectl, demo, server | {"spec": {"podSelector": selector, "port": "http"}})
    becomes(kubectl, demo, 403)
    policy = {"apiVersion": f"{group}/v1alpha1", "kind": "AuthorizationPolicy", "metadata": {"name": "client"}}
    target = {"group": group, "kind": "Server", "name": "http"}
    required = [{"kind": "ServiceAccount", "name": "client"}]
    apply(kubectl, demo, policy | {"spec": {"targetRef": target, "requiredAuthenticationRefs": required}})
    becomes(kubectl, demo, 200)
    # The probes went on meanwhile: the pod is still ready.
    assert kubectl("app", "get", "deploy", "server", "-n", demo, "-o", "jsonpath={.status.readyReplicas}") == "1"


def test_a_killed_envoy_takes_its_proxy_along_and_both_come_back(demo: str, kubectl: Kubectl) -> None:
    (server,) = json.loads(kubectl("app", "get", "pods", "-n", demo, "-l", "app=server", "-o", "json"))["items"]
    (envoy,) = [process for process in processes_of(server, "linkerd-proxy") if process.name() == "envoy"]
    envoy.kill()
    pod = f"pod/{server['metadata']['name']}"
    restarted = "--for=jsonpath={.status.initContainerStatuses[0].restartCount}=1"
    kubectl("app", "wait", "-n", demo, restarted, pod, "--timeout=30s", timeout=40)
    kubectl("app", "wait", "-n", demo, "--for=condition=Ready", pod, "--timeout=60s", timeout=70)
    becomes(kubectl, demo, 200)


def test_traffic_goes_on_without_a_control_plane(demo: str, kubectl: Kubectl) -> None:
    becomes(kubectl, demo, 200)
    parts = ("identity", "destination", "proxy-injector")
    try:
        for part in parts:
            kubectl("app", "scale", "-n", "linkerd", f"deploy/linkerd-{part}", "--replicas=0")
        kubectl("app", "wait", "-n", "linkerd", "--for=delete", "pod", "--all", "--timeout=60s", timeout=90)
        assert all(ask(kubectl, demo)[0] == 200 for _ in range(5))
    finally:
        for part in parts:
            kubectl("app", "scale", "-n", "linkerd", f"deploy/linkerd-{part}", "--replicas=1")
        kubectl("app", "wait", "-n", "linkerd", "--for=condition=Available", "deploy", "--all", "--timeout=120s", timeout=150)
