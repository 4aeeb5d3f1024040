"""The pod-resources API: GPU exporters ask it which pod holds which device, to label their metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc

from labs.embedded.node.devices.manager import Devices
from labs.embedded.node.model import Allocation, PodRecord
from labs.wire.deviceplugin import podresources_pb2 as pb
from labs.wire.deviceplugin import podresources_pb2_grpc as rpc


class PodResources(rpc.PodResourcesListerServicer):
    """Answers from the pods of this node and the ledger of their devices."""

    def __init__(self, devices: Devices, pods: Callable[[], Iterable[PodRecord]]) -> None:
        self._devices = devices
        self._pods = pods

    async def List(self, request: pb.ListPodResourcesRequest, context: grpc.aio.ServicerContext) -> pb.ListPodResourcesResponse:
        active = [pod for pod in self._pods() if pod.phase not in ("Succeeded", "Failed")]
        return pb.ListPodResourcesResponse(pod_resources=[self._describe(pod) for pod in active])

    async def GetAllocatableResources(
        self, request: pb.AllocatableResourcesRequest, context: grpc.aio.ServicerContext
    ) -> pb.AllocatableResourcesResponse:
        rows = [(name, device) for name, devices in self._devices.offered().items() for device in devices]
        return pb.AllocatableResourcesResponse(
            devices=[pb.ContainerDevices(resource_name=name, device_ids=[device]) for name, device in rows]
        )

    async def Get(self, request: pb.GetPodResourcesRequest, context: grpc.aio.ServicerContext) -> pb.GetPodResourcesResponse:
        for pod in self._pods():
            if (pod.namespace, pod.name) == (request.pod_namespace, request.pod_name):
                return pb.GetPodResourcesResponse(pod_resources=self._describe(pod))
        # UNKNOWN is what an error without a code becomes in the kubelet.
        missing = f"pod {request.pod_name} in namespace {request.pod_namespace} not found"
        await context.abort(grpc.StatusCode.UNKNOWN, missing)
        raise AssertionError("abort raises")

    def _describe(self, pod: PodRecord) -> pb.PodResources:
        spec = pod.pod["spec"]
        sidecars = [row for row in spec.get("initContainers", ()) if row.get("restartPolicy") == "Always"]
        containers = [self._container(pod, row) for row in [*sidecars, *spec["containers"]]]
        return pb.PodResources(name=pod.name, namespace=pod.namespace, containers=containers)

    def _container(self, pod: PodRecord, spec: dict[str, Any]) -> pb.ContainerResources:
        held = self._devices.ledger.container(pod.uid, spec["name"])
        return pb.ContainerResources(name=spec["name"], devices=[row for allocation in held for row in _rows(allocation)])


def _rows(allocation: Allocation) -> list[pb.ContainerDevices]:
    # One row per device, as the kubelet answers for plugins that do not report NUMA nodes.
    return [pb.ContainerDevices(resource_name=allocation.resource, device_ids=[device]) for device in allocation.device_ids]
