"""Configuration: env, ConfigMap, Secret, projected and downward-API volumes, tokens."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration

LOOP = "while :; do sleep 0.2; done"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def waiting(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = pod["status"].get("containerStatuses")
    return statuses[0]["state"].get("waiting", {}) if statuses else {}


def running(pod: dict[str, Any]) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def test_env_and_volumes(pods: Any) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"password": "s3"}}
    reference = {"valueFrom": {"configMapKeyRef": {"name": "cm", "key": "color"}}}
    env = [
        {"name": "COLOR"} | reference,
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "BOTH", "value": "$(COLOR)-$(PASSWORD)-$(NOPE)"},
        {"name": "FILE", "value": "/etc/conf/color"},
    ]
    volumes = [
        {"name": "conf", "configMap": {"name": "cm"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"secret": {"name": "sec"}},
                    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                ]
            },
        },
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "conf", "mountPath": "/etc/conf"},
        {"name": "all", "mountPath": "/etc/all"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "conf", "mountPath": "/etc/one/color", "subPath": "color"},
    ]
    script = (
        'echo "$COLOR $PASSWORD $NODE $CPU $BOTH $PREFIX_size"; cat "$FILE"; echo; cat /etc/all/password /etc/one/color; echo;'
        "cat /etc/all/labels; echo; wc -c < /var/run/secrets/kubernetes.io/serviceaccount/token; echo x > /scratch/x;"
        "ls -A /etc/conf; " + LOOP
    )
    pods.apply(config_map("cm", color="red", size="xl"), secret)
    source = [{"prefix": "PREFIX_", "configMapRef": {"name": "cm"}}]
    limits = {"limits": {"cpu": "250m"}}
    pods.apply(pods.pod("all", script, spec={"volumes": volumes}, env=env, envFrom=source, volumeMounts=mounts, resources=limits))
    pod = pods.until("all", running)
    pods.until("all", lambda _: "..data" in pods.run("logs", "all"))
    lines = pods.run("logs", "all").splitlines()
    assert lines[0] == f"red s3 {pod['spec']['nodeName']} 250 red-s3-$(NOPE) xl"
    assert lines[1:4] == ["red", "s3red", 'test="all"']
    assert int(lines[4]) > 500
    pods.apply(config_map("cm", color="blue", size="xl"))
    pods.until("all", lambda _: pods.run("exec", "all", "--", "cat", "/etc/conf/color") == "blue", 60)
    assert pods.run("exec", "all", "--", "cat", "/etc/one/color") == "red"


def test_missing_sources(pods: Any) -> None:
    volume = {"volumes": [{"name": "v", "configMap": {"name": "later"}}]}
    key = {"valueFrom": {"configMapKeyRef": {"name": "here", "key": "nokey"}}}
    optional = {"valueFrom": {"configMapKeyRef": {"name": "nocm", "key": "x", "optional": True}}}
    pods.apply(
        config_map("here", a="1"),
        pods.pod("no-map", LOOP, env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "nocm", "key": "x"}}}]),
        pods.pod("no-key", LOOP, env=[{"name": "X"} | key]),
        pods.pod("optional", LOOP, env=[{"name": "X"} | optional]),
        pods.pod("no-volume", LOOP, spec=volume, volumeMounts=[{"name": "v", "mountPath": "/v"}]),
    )
    no_map = pods.until("no-map", lambda pod: waiting(pod).get("reason") == "CreateContainerConfigError")
    assert waiting(no_map)["message"] == 'configmap "nocm" not found'
    pods.until_event("no-map", "Failed", 'Error: configmap "nocm" not found')
    no_key = pods.until("no-key", lambda pod: waiting(pod).get("reason") == "CreateContainerConfigError")
    assert waiting(no_key)["message"] == f"couldn't find key nokey in ConfigMap {pods.namespace}/here"
    pods.until("optional", running)
    pods.until_event("no-volume", "FailedMount", 'MountVolume.SetUp failed for volume "v" : configmap "later" not found')
    assert waiting(pods.get("no-volume")) == {"reason": "ContainerCreating"}
    pods.apply(config_map("later", b="2"))
    pods.until("no-volume", running)
