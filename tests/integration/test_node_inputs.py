"""What other people's pods ask of a node, one input for each kind of fault that was found: the right answer is a kubelet's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from labs import errors, waiting

pytestmark = pytest.mark.integration

LOOP = "while :; do sleep 0.2; done"
Object = dict[str, Any]


def phase(*wanted: str) -> Callable[[Object], bool]:
    return lambda pod: pod["status"].get("phase") in wanted


def first(pod: Object) -> Object:
    statuses: list[Object] = pod["status"].get("containerStatuses") or [{}]
    return statuses[0]


def waiting_for(reason: str) -> Callable[[Object], bool]:
    return lambda pod: first(pod).get("state", {}).get("waiting", {}).get("reason") == reason


def condition(pod: Object, kind: str) -> Object:
    return next((row for row in pod["status"].get("conditions", []) if row["type"] == kind), {})


@pytest.mark.parametrize(
    ("name", "resources", "whole_pod", "expected"),
    [
        ("zero", {"requests": {"cpu": "0"}}, {}, "BestEffort"),
        (
            "spelled",
            {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "0.1", "memory": "67108864"}},
            {},
            "Guaranteed",
        ),
        ("whole", {}, {"resources": {"limits": {"cpu": "100m", "memory": "64Mi"}}}, "Guaranteed"),
    ],
)
def test_quality_of_service(pods: Any, name: str, resources: Object, whole_pod: Object, expected: str) -> None:
    pods.apply(pods.pod(name, LOOP, spec=whole_pod, resources=resources))
    assert pods.until(name, phase("Running"))["status"]["qosClass"] == expected


def test_rejected_pods(pods: Any) -> None:
    node = json.loads(pods.run("get", "nodes", "-o", "json"))["items"][-1]["metadata"]["name"]
    here = {"nodeName": node}
    port = [{"containerPort": 80, "hostPort": 18080}]
    pods.apply(pods.pod("first-port", LOOP, spec=here, ports=port))
    pods.until("first-port", phase("Running"))
    pods.apply(
        pods.pod("windows", LOOP, spec=here | {"os": {"name": "windows"}}),
        pods.pod("sysctl", LOOP, spec=here | {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}}),
        pods.pod("second-port", LOOP, spec=here, ports=port),
        pods.pod("elsewhere", LOOP, spec=here | {"nodeSelector": {"disk": "of-glass"}}),
    )
    reasons = {
        "windows": "PodOSNotSupported",
        "sysctl": "SysctlForbidden",
        "second-port": "NodePorts",
        "elsewhere": "NodeAffinity",
    }
    for name, reason in reasons.items():
        assert pods.until(name, phase("Failed"))["status"]["reason"] == reason
    assert pods.get("first-port")["status"]["phase"] == "Running"


def test_newer_fields(pods: Any) -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    once = "if [ -e /v/seen ]; then exit 0; fi; touch /v/seen; exit 42"
    volume = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mount = [{"name": "v", "mountPath": "/v"}]
    never = {"restartPolicy": "Never"}
    pods.apply(
        pods.pod("rules", once, spec=volume | never, volumeMounts=mount, restartPolicy="Never", restartPolicyRules=rules),
        pods.pod(
            "file-key",
            'echo "$COLOR"',
            spec=volume
            | never
            | {
                "initContainers": [
                    {
                        "name": "write",
                        "image": "busybox:1",
                        "command": ["sh", "-c", "echo \"COLOR='deep red'\" > /v/env"],
                        "volumeMounts": mount,
                    }
                ]
            },
            env=[{"name": "COLOR", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "env", "key": "COLOR"}}}],
        ),
    )
    assert first(pods.until("rules", phase("Succeeded", "Failed"), 60))["restartCount"] == 1
    pods.until("file-key", phase("Succeeded"))
    assert pods.run("logs", "file-key").strip() == "deep red"


def test_a_feature_that_the_node_does_not_declare_keeps_pods_away(pods: Any) -> None:
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}]
    pods.apply(pods.pod("all", LOOP, restartPolicy="Never", restartPolicyRules=rules))
    found = pods.until("all", lambda pod: condition(pod, "PodScheduled").get("status") == "False")
    assert (
        "RestartAllContainers" in condition(found, "PodScheduled")["message"]
        or "feature" in condition(found, "PodScheduled")["message"]
    )


def test_what_is_not_honoured_is_named(pods: Any) -> None:
    pods.apply(pods.pod("fields", LOOP, spec={"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}, tty=True, stdin=True))
    pods.until("fields", phase("Running"))
    pods.until_event("fields", "UnsupportedField", "spec.containers[main].tty (nobody can attach to a container)")
    pods.until_event("fields", "UnsupportedField", "spec.hostAliases")


def test_references_in_arguments(pods: Any) -> None:
    words = ["$(HOSTNAME)", "$(HOME)", "$(http_proxy)", "$(KUBERNETES_SERVICE_PORT_HTTPS)", "$(MINE)"]
    made = pods.pod("expand", spec={"restartPolicy": "Never"}, command=["echo"], args=words, env=[{"name": "MINE", "value": "1"}])
    pods.apply(made)
    pods.until("expand", phase("Succeeded"))
    assert pods.run("logs", "expand").split() == ["$(HOSTNAME)", "$(HOME)", "$(http_proxy)", "6443", "1"]


@pytest.mark.parametrize(("name", "value"), [("absolute", "/etc"), ("upwards", "../..")])
def test_a_path_out_of_its_volume(pods: Any, name: str, value: str) -> None:
    mount = [{"name": "v", "mountPath": "/v", "subPathExpr": "$(P)"}]
    volume = {"volumes": [{"name": "v", "emptyDir": {}}]}
    pods.apply(pods.pod(name, "ls /v", spec=volume, volumeMounts=mount, env=[{"name": "P", "value": value}]))
    found = pods.until(name, waiting_for("CreateContainerConfigError"))
    assert "SubPath" in first(found)["state"]["waiting"]["message"]


def test_modes_and_media_of_empty_dirs(pods: Any) -> None:
    volumes = [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]
    mounts = [{"name": row["name"], "mountPath": f"/{row['name']}"} for row in volumes]
    script = "stat -L -c %a /disk /memory; stat -L -f -c %T /memory"
    pods.apply(pods.pod("modes", script, spec={"volumes": volumes, "restartPolicy": "Never"}, volumeMounts=mounts))
    pods.until("modes", phase("Succeeded"))
    assert pods.run("logs", "modes").split() == ["777", "777", "tmpfs"]


def test_a_resize_in_place(pods: Any) -> None:
    pods.apply(pods.pod("resize", LOOP, resources={"requests": {"cpu": "100m"}}))
    before = pods.until("resize", phase("Running"))

    def patch(cpu: str) -> None:
        body = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]}}
        pods.run("patch", "pod", "resize", "--subresource", "resize", "--patch", json.dumps(body))

    patch("150m")
    found = pods.until("resize", lambda pod: first(pod).get("allocatedResources") == {"cpu": "150m"})
    assert first(found)["resources"]["requests"] == {"cpu": "150m"}
    assert first(found)["containerID"] == first(before)["containerID"], "no restart"
    done = pods.until("resize", lambda pod: not condition(pod, "PodResizeInProgress"))
    assert done["status"]["observedGeneration"] == done["metadata"]["generation"]
    pods.until_event("resize", "ResizeCompleted", '"generation":')
    with pytest.raises(errors.CommandFailed, match="didn't have enough allocatable resources"):
        patch("900")
    assert first(pods.get("resize"))["allocatedResources"] == {"cpu": "150m"}


def test_a_readiness_gate_that_somebody_opens(pods: Any) -> None:
    pods.apply(pods.pod("gate", LOOP, spec={"readinessGates": [{"conditionType": "example.com/ok"}]}))
    pods.until("gate", lambda pod: condition(pod, "ContainersReady").get("status") == "True")
    assert condition(pods.get("gate"), "Ready")["status"] == "False"
    for value in ("True", "False"):
        body = {"status": {"conditions": [{"type": "example.com/ok", "status": value}]}}
        pods.run("patch", "pod", "gate", "--subresource", "status", "--patch", json.dumps(body))
        pods.until("gate", lambda pod, value=value: condition(pod, "Ready")["status"] == value, 10)


def test_a_deadline_that_is_set_later(pods: Any) -> None:
    pods.apply(pods.pod("deadline", LOOP))
    pods.until("deadline", phase("Running"))
    pods.run("patch", "pod", "deadline", "--patch", json.dumps({"spec": {"activeDeadlineSeconds": 1}}))
    assert pods.until("deadline", phase("Failed"), 20)["status"]["reason"] == "DeadlineExceeded"


def test_a_probe_that_times_out_is_tried_at_every_tick(pods: Any) -> None:
    """Three attempts of three seconds each are over after nine, not after fifteen."""
    probe = {"exec": {"command": ["sleep", "60"]}, "periodSeconds": 3, "timeoutSeconds": 3, "failureThreshold": 3}
    pods.apply(pods.pod("ticks", f"trap 'exit 0' TERM; {LOOP}", livenessProbe=probe))
    began = time.monotonic()
    pods.until("ticks", phase("Running"))
    pods.until_event("ticks", "Killing", "failed liveness probe", 30)
    assert time.monotonic() - began < 14


def test_an_extended_resource_that_nobody_registered(pods: Any) -> None:
    name = json.loads(pods.run("get", "nodes", "-o", "json"))["items"][-1]["metadata"]["name"]

    def node() -> Object:
        status: Object = json.loads(pods.run("get", "node", name, "-o", "json"))["status"]
        return status

    def heartbeat() -> str:
        return str(next(row["lastHeartbeatTime"] for row in node()["conditions"] if row["type"] == "Ready"))

    add = [{"op": "add", "path": "/status/capacity/example.com~1dongle", "value": "1"}]
    pods.run("patch", "node", name, "--subresource", "status", "--type", "json", "--patch", json.dumps(add))
    before = heartbeat()
    try:
        pods.apply(pods.pod("dongle", LOOP, resources={"limits": {"example.com/dongle": "1"}}))
        pods.until("dongle", phase("Running"))
        assert waiting.wait_until(lambda: heartbeat() != before, 30, interval=0.5), "the node writes its status every ten seconds"
        assert node()["capacity"]["example.com/dongle"] == "1"
    finally:
        remove = [{"op": "remove", "path": "/status/capacity/example.com~1dongle"}]
        pods.run("patch", "node", name, "--subresource", "status", "--type", "json", "--patch", json.dumps(remove))


def test_no_root_where_the_image_is_roots(pods: Any) -> None:
    pods.apply(pods.pod("root", LOOP, spec={"securityContext": {"runAsNonRoot": True}}))
    found = pods.until("root", waiting_for("CreateContainerConfigError"))
    assert "image will run as root" in first(found)["state"]["waiting"]["message"]
