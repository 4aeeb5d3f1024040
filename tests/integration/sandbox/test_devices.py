"""Devices on the real kubelet: main containers reuse what their init containers had."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Object, Pods
from tests.integration.sandbox.test_pods import phase, running
from tests.support.lab import Kubectl
from tests.support.waiting import eventually

CHIP, COUNT = "example.com/chip", 4
PLUGIN = f"""
import threading
from concurrent.futures import ThreadPoolExecutor
import grpc
from labs.wire.deviceplugin import deviceplugin_pb2 as pb, deviceplugin_pb2_grpc as rpc

FOLDER, SOCKET = "/var/lib/kubelet/device-plugins", "chip.sock"

class Plugin(rpc.DevicePluginServicer):
    def GetDevicePluginOptions(self, request, context):
        return pb.DevicePluginOptions()

    def ListAndWatch(self, request, context):
        yield pb.ListAndWatchResponse(devices=[pb.Device(ID=f"chip-{{n}}", health="Healthy") for n in range({COUNT})])
        threading.Event().wait()

    def Allocate(self, request, context):
        chips = [",".join(sorted(one.devices_ids)) for one in request.container_requests]
        return pb.AllocateResponse(container_responses=[pb.ContainerAllocateResponse(envs={{"CHIPS": ids}}) for ids in chips])

server = grpc.server(ThreadPoolExecutor(8))
rpc.add_DevicePluginServicer_to_server(Plugin(), server)
server.add_insecure_port(f"unix://{{FOLDER}}/{{SOCKET}}")
server.start()
with grpc.insecure_channel(f"unix://{{FOLDER}}/kubelet.sock") as kubelet:
    request = pb.RegisterRequest(version="v1beta1", endpoint=SOCKET, resource_name="{CHIP}", options=pb.DevicePluginOptions())
    rpc.RegistrationStub(kubelet).Register(request)
server.wait_for_termination()
"""


@pytest.fixture(scope="module", autouse=True)
def chips(kubectl: Kubectl) -> Iterator[None]:
    """The node offers its chips, by a plugin in a pod, as plugins run."""
    folder = {"name": "plugins", "hostPath": {"path": "/var/lib/kubelet/device-plugins", "type": "Directory"}}
    container = {
        "name": "plugin",
        "image": "boring-ops-lab/lab:dev",
        "command": [sys.executable, "-c", PLUGIN],
        "volumeMounts": [{"name": "plugins", "mountPath": "/var/lib/kubelet/device-plugins"}],
    }
    spec = {"containers": [container], "volumes": [folder], "terminationGracePeriodSeconds": 0}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chip-plugin"}, "spec": spec}
    kubectl("sandbox", "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
    kubectl("sandbox", "apply", "-f", "-", input=json.dumps(pod))
    eventually(lambda: node(kubectl)["allocatable"].get(CHIP) == str(COUNT), 60)
    yield
    kubectl("sandbox", "delete", "pod", "chip-plugin", "--timeout=30s")


def node(kubectl: Kubectl) -> Object:
    status: Object = json.loads(kubectl("sandbox", "get", "node", "n1", "-o", "json"))["status"]
    return status


def chips_of(count: int) -> Object:
    return {"limits": {CHIP: str(count)}}


def pod(pods: Pods, name: str, script: str, count: int, **spec: object) -> Object:
    """A pod whose init container has as many chips as its main container, and says which."""
    init = {
        "name": "before",
        "image": "busybox:1",
        "command": ["sh", "-c", "echo $CHIPS"],
        "resources": chips_of(count),
    }
    return pods.pod(name, script, resources=chips_of(count), spec={"initContainers": [init], **spec})


def test_the_main_container_has_the_chips_of_the_init_container(pods: Pods) -> None:
    pods.apply(pod(pods, "all", "echo $CHIPS", COUNT, restartPolicy="Never"))
    pods.until("all", phase("Succeeded"), 60)
    everything = ",".join(f"chip-{number}" for number in range(COUNT))
    assert pods.run("logs", "all", "-c", "before").strip() == pods.run("logs", "all", "-c", "main").strip() == everything


def test_one_before_and_one_after_is_one(pods: Pods) -> None:
    """So as many such pods run as there are chips, each with a chip of its own."""
    names = [f"one-{number}" for number in range(COUNT)]
    for name in names:
        pods.apply(pod(pods, name, "echo $CHIPS; sleep 600", 1))
    for name in names:
        pods.until(name, running, 60)
    had = [pods.run("logs", name, "-c", "main").strip() for name in names]
    assert sorted(had) == [f"chip-{number}" for number in range(COUNT)]
    assert had == [pods.run("logs", name, "-c", "before").strip() for name in names]
