"""The stand-in mesh under bad luck: what annotations and routes do to calls, rollouts, and a control plane that goes away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.integration.test_mesh import ECHO, apply, becomes, workload
from tests.integration.test_mesh import mesh as mesh
from tests.support.lab import Kubectl
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SLEEP = '        time.sleep(float(self.path.partition("sleep=")[2] or 0))\n        body ='
SERVER = ECHO.replace("        body =", SLEEP).replace("import http.server", "import time, http.server")
LOAD = """
import collections, json, sys, threading, time, urllib.error, urllib.request
url, seconds, pause = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
seen, end = collections.Counter(), time.monotonic() + seconds
def ask():
    while time.monotonic() < end:
        try:
            seen[urllib.request.urlopen(url, timeout=10).status] += 1
        except urllib.error.HTTPError as error:
            seen[error.code] += 1
        except OSError as error:
            seen[repr(error)] += 1
        time.sleep(pause)
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(json.dumps(seen))
"""
HEADERS = """
import json, sys, time, urllib.error, urllib.request
start = time.monotonic()
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, time.monotonic() - start, {k.lower(): v for k, v in answer.headers.items()}]))
"""


@pytest.fixture
def demo(mesh: None, kubectl: Kubectl, namespace: str) -> Iterator[str]:
    """A meshed namespace with two servers, which finish what they do before they go, and a client."""
    kubectl("app", "annotate", "namespace", namespace, "linkerd.io/inject=enabled")
    server = workload("server", ["python", "-c", SERVER], port=8080)
    spec = server[-1]["spec"]
    assert isinstance(spec, dict)
    spec["replicas"] = 2
    spec["template"]["spec"]["terminationGracePeriodSeconds"] = 10
    spec["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "2"]}}}
    apply(kubectl, namespace, *server, *workload("client", ["sleep", "3600"]))
    kubectl("app", "wait", "-n", namespace, "--for=condition=Available", "deploy", "--all", "--timeout=90s", timeout=120)
    becomes(kubectl, namespace, 200)
    yield namespace


def in_client(kubectl: Kubectl, namespace: str, script: str, *arguments: str, timeout: float = 60) -> str:
    command = ["exec", "-n", namespace, "deploy/client", "-c", "app", "--", "python", "-c", script, *arguments]
    return kubectl("app", *command, timeout=timeout)


def ask(kubectl: Kubectl, namespace: str, path: str) -> tuple[int, float, dict[str, str]]:
    """Status, seconds and headers of one call."""
    url = f"http://server.{namespace}.svc.cluster.local:8080{path}"
    status, seconds, headers = json.loads(in_client(kubectl, namespace, HEADERS, url))
    return int(status), float(seconds), headers


def load(kubectl: Kubectl, namespace: str, seconds: float, pause: float = 0.03) -> dict[str, int]:
    """How often each status came, under load from four threads."""
    url = f"http://server.{namespace}.svc.cluster.local:8080/"
    answer = in_client(kubectl, namespace, LOAD, url, str(seconds), str(pause), timeout=seconds + 60)
    return dict(json.loads(answer))


def test_a_timeout_a_route_and_no_endpoints(demo: str, kubectl: Kubectl) -> None:
    kubectl("app", "-n", demo, "annotate", "service", "server", "timeout.linkerd.io/request=300ms")
    found = eventually(lambda: ask(kubectl, demo, "/?sleep=1"), holds=lambda answer: answer[0] == 504)
    assert found[2]["l5d-proxy-error"].endswith("timed out waiting for response headers: request timeout: 300ms")

    parent = {"group": "", "kind": "Service", "name": "server", "port": 8080}
    rule = {"backendRefs": [{"name": "nosuch", "port": 8080}]}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "lost"}}
    apply(kubectl, demo, route | {"spec": {"parentRefs": [parent], "rules": [rule]}})
    becomes(kubectl, demo, 500)
    assert ask(kubectl, demo, "/")[2]["l5d-proxy-error"] == "Service not found nosuch"
    resolved = '{.status.parents[0].conditions[?(@.type=="ResolvedRefs")].reason}'
    kubectl("app", "-n", demo, "wait", "httproute/lost", f"--for=jsonpath={resolved}=BackendNotFound", "--timeout=10s")
    kubectl("app", "-n", demo, "delete", "httproute", "lost")
    becomes(kubectl, demo, 200)

    kubectl("app", "-n", demo, "annotate", "service", "server", "timeout.linkerd.io/request-")
    kubectl("app", "-n", demo, "scale", "deploy/server", "--replicas=0")
    kubectl("app", "-n", demo, "wait", "--for=delete", "pod", "-l", "app=server", "--timeout=60s", timeout=80)
    status, seconds, headers = ask(kubectl, demo, "/")
    assert status == 504 and seconds > 2.9 and headers["l5d-proxy-error"].endswith("service in fail-fast")
    status, seconds, _ = ask(kubectl, demo, "/")
    assert status == 503 and seconds < 2.9, "the second one is not kept waiting"


def test_no_request_is_lost_while_a_deployment_rolls_and_destination_dies(demo: str, kubectl: Kubectl) -> None:
    kubectl("app", "-n", demo, "rollout", "restart", "deploy/server")
    rolled = load(kubectl, demo, 15)
    assert set(rolled) == {"200"} and rolled["200"] > 200, rolled
    kubectl("app", "-n", demo, "rollout", "status", "deploy/server", "--timeout=60s", timeout=80)
    selector = "linkerd.io/control-plane-component in (destination,identity)"
    kubectl("app", "-n", "linkerd", "delete", "pod", "-l", selector, "--wait=false")
    killed = load(kubectl, demo, 6)
    assert set(killed) == {"200"}, killed
    kubectl("app", "wait", "-n", "linkerd", "--for=condition=Available", "deploy", "--all", "--timeout=120s", timeout=150)


def test_without_injector_pods_come_without_a_proxy_and_without_identity_they_wait(demo: str, kubectl: Kubectl) -> None:
    try:
        for part in ("proxy-injector", "identity"):
            kubectl("app", "-n", "linkerd", "scale", f"deploy/linkerd-{part}", "--replicas=0")
        components = "linkerd.io/control-plane-component in (proxy-injector,identity)"
        kubectl("app", "-n", "linkerd", "wait", "--for=delete", "pod", "-l", components, "--timeout=60s", timeout=80)
        apply(kubectl, demo, *workload("plain", ["sleep", "3600"]))
        kubectl("app", "-n", demo, "wait", "--for=condition=Available", "deploy/plain", "--timeout=60s", timeout=80)
        names = "{.items[0].spec.initContainers[*].name}"
        assert kubectl("app", "-n", demo, "get", "pods", "-l", "app=plain", "-o", f"jsonpath={names}") == ""

        kubectl("app", "-n", "linkerd", "scale", "deploy/linkerd-proxy-injector", "--replicas=1")
        kubectl("app", "-n", "linkerd", "rollout", "status", "deploy/linkerd-proxy-injector", "--timeout=60s", timeout=80)
        apply(kubectl, demo, *workload("waits", ["sleep", "3600"]))
        waits = ("-n", demo, "get", "pods", "-l", "app=waits")
        eventually(lambda: kubectl("app", *waits), holds=lambda row: "Init:0/1" in row)
        time.sleep(4)
        assert "Init:0/1" in kubectl("app", *waits), "it goes on waiting"
    finally:
        for part in ("proxy-injector", "identity"):
            kubectl("app", "-n", "linkerd", "scale", f"deploy/linkerd-{part}", "--replicas=1")
        kubectl("app", "wait", "-n", "linkerd", "--for=condition=Available", "deploy", "--all", "--timeout=120s", timeout=150)
    kubectl("app", "-n", demo, "wait", "--for=condition=Available", "deploy/waits", "--timeout=60s", timeout=80)
