"""Other people's inputs to a node that once went wrong, held against the real kubelet."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.conftest import Object, Pods
from tests.integration.sandbox.test_pods import phase, running
from tests.support.lab import Kubectl

QOS = {
    "zero": ({"requests": {"cpu": "0"}}, "BestEffort"),
    "spelled": ({"limits": {"cpu": "1", "memory": "64Mi"}, "requests": {"cpu": "1000m", "memory": "67108864"}}, "Guaranteed"),
}


@pytest.mark.parametrize("name", QOS)
def test_quality_of_service(pods: Pods, name: str) -> None:
    resources, expected = QOS[name]
    pods.apply(pods.pod(name, "sleep 600", resources=resources))
    assert pods.until(name, running, 60)["status"]["qosClass"] == expected


def test_quality_of_service_of_a_whole_pod(pods: Pods) -> None:
    limits = {"cpu": "1", "memory": "64Mi"}
    pods.apply(pods.pod("whole", "sleep 600", spec={"resources": {"limits": limits, "requests": limits}}))
    assert pods.until("whole", running, 60)["status"]["qosClass"] == "Guaranteed"


def test_a_container_exits_with_a_code_that_means_restart(pods: Pods) -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    script = "test -e /keep/done || { touch /keep/done; exit 42; }"
    spec = {"restartPolicy": "Never", "volumes": [{"name": "keep", "emptyDir": {}}]}
    mounts = [{"name": "keep", "mountPath": "/keep"}]
    pods.apply(pods.pod("again", script, spec=spec, volumeMounts=mounts, restartPolicy="Never", restartPolicyRules=rules))
    pod = pods.until("again", phase("Succeeded"), 60)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


def test_a_variable_from_a_file(pods: Pods) -> None:
    volumes = [{"name": "env", "emptyDir": {}}]
    init = {
        "name": "write",
        "image": "busybox:1",
        "command": ["sh", "-c", "echo \"WORD='boring'\" > /env/file"],
        "volumeMounts": [{"name": "env", "mountPath": "/env"}],
    }
    source = {"fileKeyRef": {"volumeName": "env", "path": "file", "key": "WORD"}}
    spec = {"volumes": volumes, "initContainers": [init], "restartPolicy": "Never"}
    pods.apply(pods.pod("from-file", "echo $WORD", spec=spec, env=[{"name": "WORD", "valueFrom": source}]))
    pods.until("from-file", phase("Succeeded"), 60)
    assert pods.run("logs", "from-file") == "boring\n"


def resize(pods: Pods, name: str, resources: Object) -> None:
    patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    pods.run("patch", "pod", name, "--subresource", "resize", "--patch", json.dumps(patch))


def test_resize_in_place_and_the_kubelet_lives_on(pods: Pods, kubectl: Kubectl) -> None:
    both = {"cpu": "100m", "memory": "64Mi"}
    pods.apply(pods.pod("resized", "sleep 600", resources={"requests": both, "limits": both}))
    before = pods.until("resized", running, 60)["status"]["containerStatuses"][0]
    more = {"cpu": "150m", "memory": "96Mi"}
    resize(pods, "resized", {"requests": more, "limits": more})

    def done(pod: Object) -> bool:
        status = pod["status"]["containerStatuses"][0]
        limits: dict[str, str] = status.get("resources", {}).get("limits", {})
        return bool(status.get("allocatedResources") == more and limits.get("memory") == "96Mi")

    after = pods.until("resized", done, 60)["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    # Only a kubelet that is alive reports a new pod.
    pods.apply(pods.pod("next", "sleep 600"))
    pods.until("next", running, 60)


def test_only_variables_of_the_pod_are_expanded(pods: Pods) -> None:
    env = [{"name": "OWN", "value": "x"}]
    words = "$(OWN) $(HOSTNAME) $(HOME) $(PATH) $(http_proxy) $(KUBERNETES_SERVICE_PORT_HTTPS)"
    pods.apply(pods.pod("expand", command=["echo"], args=words.split(), env=env, spec={"restartPolicy": "Never"}))
    pods.until("expand", phase("Succeeded"), 60)
    assert pods.run("logs", "expand").split() == ["x", "$(HOSTNAME)", "$(HOME)", "$(PATH)", "$(http_proxy)", "443"]


@pytest.mark.parametrize("path", ["/etc", "../.."])
def test_a_path_out_of_its_volume_is_refused(pods: Pods, path: str) -> None:
    mount = {"name": "data", "mountPath": "/data", "subPathExpr": "$(P)"}
    volume = {"volumes": [{"name": "data", "emptyDir": {}}]}
    name = "escape"
    pods.apply(pods.pod(name, "ls /data; sleep 600", env=[{"name": "P", "value": path}], volumeMounts=[mount], spec=volume))

    def refused(pod: Object) -> bool:
        waiting: dict[str, str] = pod["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {})
        return waiting.get("reason") == "CreateContainerConfigError"

    pods.until(name, refused, 60)


def test_another_operating_system_is_refused(pods: Pods) -> None:
    pods.apply(pods.pod("windows", "sleep 600", spec={"os": {"name": "windows"}}))
    assert pods.until("windows", phase("Failed"), 60)["status"]["reason"] == "PodOSNotSupported"


def test_a_readiness_gate(pods: Pods) -> None:
    pods.apply(pods.pod("gated", "sleep 600", spec={"readinessGates": [{"conditionType": "example.com/ok"}]}))
    pods.until("gated", phase("Running"), 60)
    assert not running(pods.get("gated"))
    condition = {"status": {"conditions": [{"type": "example.com/ok", "status": "True"}]}}
    pods.run("patch", "pod", "gated", "--subresource", "status", "--patch", json.dumps(condition))
    pods.until("gated", running, 30)


def test_a_deadline_that_is_patched(pods: Pods) -> None:
    pods.apply(pods.pod("late", "sleep 600"))
    pods.until("late", running, 60)
    pods.run("patch", "pod", "late", "--patch", json.dumps({"spec": {"activeDeadlineSeconds": 1}}))
    assert pods.until("late", phase("Failed"), 60)["status"]["reason"] == "DeadlineExceeded"


def test_modes_of_an_empty_volume(pods: Pods) -> None:
    mount = [{"name": "data", "mountPath": "/data"}]
    spec = {"volumes": [{"name": "data", "emptyDir": {}}], "restartPolicy": "Never", "securityContext": {"runAsUser": 1001}}
    pods.apply(pods.pod("modes", "stat -c %a /data; touch /data/x && id -u", volumeMounts=mount, spec=spec))
    pods.until("modes", phase("Succeeded"), 60)
    assert pods.run("logs", "modes").split() == ["777", "1001"]


def test_a_host_port_twice(pods: Pods) -> None:
    here, port = {"nodeName": "n1"}, [{"containerPort": 80, "hostPort": 18080}]
    pods.apply(pods.pod("first-port", "sleep 600", spec=here, ports=port))
    pods.until("first-port", phase("Running"), 60)
    pods.apply(pods.pod("second-port", "sleep 600", spec=here, ports=port))
    assert pods.until("second-port", phase("Failed"), 60)["status"]["reason"] == "NodePorts"
    assert pods.get("first-port")["status"]["phase"] == "Running"


def test_an_extended_resource_that_nobody_registered(pods: Pods) -> None:
    path = "/status/capacity/example.com~1dongle"
    pods.run("patch", "node", "n1", "--subresource", "status", "--type", "json", "--patch", json_patch("add", path, "1"))
    try:
        pods.apply(pods.pod("dongle", "sleep 600", resources={"limits": {"example.com/dongle": "1"}}))
        pods.until("dongle", phase("Running"), 60)
    finally:
        pods.run("patch", "node", "n1", "--subresource", "status", "--type", "json", "--patch", json_patch("remove", path))


def json_patch(operation: str, path: str, value: str | None = None) -> str:
    return json.dumps([{"op": operation, "path": path} | ({} if value is None else {"value": value})])


def test_a_probe_that_times_out_is_tried_at_every_tick(pods: Pods) -> None:
    """Three attempts of three seconds each are over after nine, not after fifteen."""
    probe = {"exec": {"command": ["sleep", "60"]}, "periodSeconds": 3, "timeoutSeconds": 3, "failureThreshold": 3}
    pods.apply(pods.pod("ticks", "trap 'exit 0' TERM; while :; do sleep 0.2; done", livenessProbe=probe))
    pods.until("ticks", phase("Running"), 60)
    began = time.monotonic()
    pods.until_event("ticks", "Killing", "failed liveness probe", 30)
    assert time.monotonic() - began < 14


REDIRECT = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers = {
            "/inside": (302, {"Location": "/broken"}),
            "/outside": (302, {"Location": "http://other.example.com/"}),
        }.get(self.path, (500, {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

http.server.HTTPServer(("", 80), Handler).serve_forever()
"""


def test_a_probe_follows_a_redirect_on_its_host(pods: Pods) -> None:
    probe = {"httpGet": {"path": "/inside", "port": 80}, "periodSeconds": 1}
    pods.apply(pods.pod("inside", command=["python3", "-c", REDIRECT], readinessProbe=probe))
    pods.until_event("inside", "Unhealthy", "HTTP probe failed with statuscode: 500", 60)
    assert not running(pods.get("inside"))


def test_a_probe_warns_of_a_redirect_to_another_host(pods: Pods) -> None:
    probe = {"httpGet": {"path": "/outside", "port": 80}, "periodSeconds": 1}
    pods.apply(pods.pod("outside", command=["python3", "-c", REDIRECT], readinessProbe=probe))
    pods.until("outside", running, 60)
    pods.until_event("outside", "ProbeWarning", "Probe terminated redirects", 30)


def test_liveness_is_no_longer_asked_of_a_pod_that_terminates(pods: Pods) -> None:
    liveness = {"exec": {"command": ["test", "-e", "/keep/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "touch /keep/alive; trap 'rm /keep/alive; sleep 4; exit 0' TERM; while :; do sleep 0.2; done"
    spec = {"terminationGracePeriodSeconds": 20, "volumes": [{"name": "keep", "emptyDir": {}}]}
    mounts = [{"name": "keep", "mountPath": "/keep"}]
    probe = liveness | {"initialDelaySeconds": 1}
    pods.apply(pods.pod("ending", script, spec=spec, volumeMounts=mounts, livenessProbe=probe))
    pods.until("ending", running, 60)
    pods.run("delete", "pod", "ending", "--timeout=30s")
    assert not [message for reason, message in pods.events("ending") if reason == "Unhealthy"]
