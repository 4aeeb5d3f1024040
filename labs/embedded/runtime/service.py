"""The gRPC services of one node: a thin layer over the node."""

from __future__ import annotations

from pathlib import Path

import grpc

from labs.embedded.namespaces import identity
from labs.embedded.runtime import status
from labs.embedded.runtime.calls import Context, attempt, fail
from labs.embedded.runtime.images import ImageTable
from labs.embedded.runtime.node import Node
from labs.embedded.runtime.records import Container, Sandbox
from labs.embedded.runtime.shim_client import ShimError
from labs.embedded.runtime.statistics import Statistics
from labs.embedded.runtime.streaming import Streaming
from labs.embedded.runtime.translate import Unsupported
from labs.wire import cri
from labs.wire.cri import cri_pb2 as pb
from labs.wire.cri import cri_pb2_grpc as rpc

NAME = "boring-ops-lab"
RELEASE = "1.0.0"
KUBELET_API = "0.1.0"
"""The version a kubelet insists on: that of the interface before it had a name."""


class RuntimeService(rpc.RuntimeServiceServicer):
    """Sandboxes and containers of one node."""

    def __init__(self, node: Node, table: ImageTable, streaming: Streaming) -> None:
        self._node = node
        self._table = table
        self._streaming = streaming
        self._statistics = Statistics(node)

    def Version(self, request: pb.VersionRequest, context: Context) -> pb.VersionResponse:
        return pb.VersionResponse(
            version=KUBELET_API, runtime_name=NAME, runtime_version=RELEASE, runtime_api_version=cri.VERSION
        )

    def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        conditions = [pb.RuntimeCondition(type=kind, status=True) for kind in ("RuntimeReady", "NetworkReady")]
        return pb.StatusResponse(
            status=pb.RuntimeStatus(conditions=conditions),
            runtime_handlers=[pb.RuntimeHandler(name="", features=pb.RuntimeHandlerFeatures())],
            features=pb.RuntimeFeatures(supplemental_groups_policy=identity.knows_many()),
        )

    def RuntimeConfig(self, request: pb.RuntimeConfigRequest, context: Context) -> pb.RuntimeConfigResponse:
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=pb.CGROUPFS))

    def UpdateRuntimeConfig(self, request: pb.UpdateRuntimeConfigRequest, context: Context) -> pb.UpdateRuntimeConfigResponse:
        return pb.UpdateRuntimeConfigResponse()

    # --- sandboxes

    def RunPodSandbox(self, request: pb.RunPodSandboxRequest, context: Context) -> pb.RunPodSandboxResponse:
        return pb.RunPodSandboxResponse(pod_sandbox_id=attempt(context, lambda: self._node.run_sandbox(request.config)).id)

    def StopPodSandbox(self, request: pb.StopPodSandboxRequest, context: Context) -> pb.StopPodSandboxResponse:
        attempt(context, lambda: self._node.stop_sandbox(request.pod_sandbox_id))
        return pb.StopPodSandboxResponse()

    def RemovePodSandbox(self, request: pb.RemovePodSandboxRequest, context: Context) -> pb.RemovePodSandboxResponse:
        attempt(context, lambda: self._node.remove_sandbox(request.pod_sandbox_id))
        return pb.RemovePodSandboxResponse()

    def PodSandboxStatus(self, request: pb.PodSandboxStatusRequest, context: Context) -> pb.PodSandboxStatusResponse:
        return pb.PodSandboxStatusResponse(status=status.sandbox_status(self._sandbox(request.pod_sandbox_id, context)))

    def ListPodSandbox(self, request: pb.ListPodSandboxRequest, context: Context) -> pb.ListPodSandboxResponse:
        wanted = request.filter
        rows = [
            status.sandbox_row(sandbox)
            for sandbox in list(self._node.sandboxes.values())
            if sandbox.id.startswith(wanted.id)
            and (not wanted.HasField("state") or wanted.state.state == status.sandbox_state(sandbox))
            and status.has_labels(sandbox.config.labels, wanted.label_selector)
        ]
        return pb.ListPodSandboxResponse(items=rows)

    def UpdatePodSandboxResources(
        self, request: pb.UpdatePodSandboxResourcesRequest, context: Context
    ) -> pb.UpdatePodSandboxResourcesResponse:
        return pb.UpdatePodSandboxResourcesResponse()

    # --- containers

    def CreateContainer(self, request: pb.CreateContainerRequest, context: Context) -> pb.CreateContainerResponse:
        sandbox = self._sandbox(request.pod_sandbox_id, context)
        image = self._table.find(request.config.image.image)
        if image is None:
            fail(context, Unsupported(self._table.pull_error(request.config.image.user_specified_image)))
        return pb.CreateContainerResponse(
            container_id=attempt(context, lambda: self._node.create(sandbox, request.config, image)).id
        )

    def StartContainer(self, request: pb.StartContainerRequest, context: Context) -> pb.StartContainerResponse:
        container = self._container(request.container_id, context)
        attempt(context, lambda: self._node.start(container))
        return pb.StartContainerResponse()

    def StopContainer(self, request: pb.StopContainerRequest, context: Context) -> pb.StopContainerResponse:
        container = self._node.containers.get(request.container_id)
        if container:
            attempt(context, lambda: self._node.stop(container, request.timeout))
        return pb.StopContainerResponse()

    def RemoveContainer(self, request: pb.RemoveContainerRequest, context: Context) -> pb.RemoveContainerResponse:
        container = self._node.containers.get(request.container_id)
        if container:
            attempt(context, lambda: self._node.remove(container))
        return pb.RemoveContainerResponse()

    def ListContainers(self, request: pb.ListContainersRequest, context: Context) -> pb.ListContainersResponse:
        wanted = request.filter
        rows = [
            status.container_row(container)
            for container in list(self._node.containers.values())
            if container.id.startswith(wanted.id)
            and container.sandbox.startswith(wanted.pod_sandbox_id)
            and (not wanted.HasField("state") or wanted.state.state == container.state)
            and status.has_labels(container.config.labels, wanted.label_selector)
        ]
        return pb.ListContainersResponse(containers=rows)

    def ContainerStatus(self, request: pb.ContainerStatusRequest, context: Context) -> pb.ContainerStatusResponse:
        container = self._container(request.container_id, context)
        sandbox = self._node.sandboxes.get(container.sandbox)
        path = container.config.log_path
        log_path = str(Path(sandbox.config.log_directory, path)) if sandbox and path else ""
        return pb.ContainerStatusResponse(status=status.container_status(container, log_path), info={"pid": str(container.pid)})

    def UpdateContainerResources(
        self, request: pb.UpdateContainerResourcesRequest, context: Context
    ) -> pb.UpdateContainerResourcesResponse:
        attempt(context, lambda: self._node.update(self._container(request.container_id, context), request.linux))
        return pb.UpdateContainerResourcesResponse()

    def ReopenContainerLog(self, request: pb.ReopenContainerLogRequest, context: Context) -> pb.ReopenContainerLogResponse:
        attempt(context, lambda: self._node.shim.ask({"op": "reopen", "container": request.container_id}))
        return pb.ReopenContainerLogResponse()

    # --- programs and streams

    def ExecSync(self, request: pb.ExecSyncRequest, context: Context) -> pb.ExecSyncResponse:
        container = self._running(request.container_id, context)
        try:
            done = self._node.shim.run(container.id, request.cmd, request.timeout)
        except TimeoutError:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"command {list(request.cmd)} timed out after {request.timeout} s")
        except ShimError as error:
            fail(context, error)
        return pb.ExecSyncResponse(stdout=done.stdout, stderr=done.stderr, exit_code=done.code)

    def Exec(self, request: pb.ExecRequest, context: Context) -> pb.ExecResponse:
        container = self._running(request.container_id, context)
        return pb.ExecResponse(url=self._url("exec", context, request, id=container.id, cmd=list(request.cmd)))

    def Attach(self, request: pb.AttachRequest, context: Context) -> pb.AttachResponse:
        container = self._running(request.container_id, context)
        return pb.AttachResponse(url=self._url("attach", context, request, id=container.id))

    def PortForward(self, request: pb.PortForwardRequest, context: Context) -> pb.PortForwardResponse:
        sandbox = self._sandbox(request.pod_sandbox_id, context)
        details: dict[str, object] = {"id": sandbox.id, "network": f"/proc/{sandbox.pid}/ns/net", "ports": list(request.port)}
        return pb.PortForwardResponse(url=attempt(context, lambda: self._streaming.url("portforward", details)))

    def _url(self, kind: str, context: Context, request: pb.ExecRequest | pb.AttachRequest, **details: object) -> str:
        streams = {name: getattr(request, name) for name in ("tty", "stdin", "stdout", "stderr")}
        return attempt(context, lambda: self._streaming.url(kind, details | streams | {"shim": str(self._node.shim.path)}))

    # --- statistics

    def ContainerStats(self, request: pb.ContainerStatsRequest, context: Context) -> pb.ContainerStatsResponse:
        container = self._running(request.container_id, context)
        return pb.ContainerStatsResponse(stats=next(iter(self._statistics.containers([container])), None))

    def ListContainerStats(self, request: pb.ListContainerStatsRequest, context: Context) -> pb.ListContainerStatsResponse:
        wanted = request.filter
        containers = [
            container
            for container in list(self._node.containers.values())
            if container.id.startswith(wanted.id)
            and container.sandbox.startswith(wanted.pod_sandbox_id)
            and status.has_labels(container.config.labels, wanted.label_selector)
        ]
        return pb.ListContainerStatsResponse(stats=self._statistics.containers(containers))

    def PodSandboxStats(self, request: pb.PodSandboxStatsRequest, context: Context) -> pb.PodSandboxStatsResponse:
        return pb.PodSandboxStatsResponse(stats=self._statistics.sandbox(self._sandbox(request.pod_sandbox_id, context)))

    def ListPodSandboxStats(self, request: pb.ListPodSandboxStatsRequest, context: Context) -> pb.ListPodSandboxStatsResponse:
        wanted = request.filter
        rows = [
            self._statistics.sandbox(sandbox)
            for sandbox in list(self._node.sandboxes.values())
            if sandbox.ready
            and sandbox.id.startswith(wanted.id)
            and status.has_labels(sandbox.config.labels, wanted.label_selector)
        ]
        return pb.ListPodSandboxStatsResponse(stats=rows)

    def ListMetricDescriptors(
        self, request: pb.ListMetricDescriptorsRequest, context: Context
    ) -> pb.ListMetricDescriptorsResponse:
        return pb.ListMetricDescriptorsResponse()

    def ListPodSandboxMetrics(
        self, request: pb.ListPodSandboxMetricsRequest, context: Context
    ) -> pb.ListPodSandboxMetricsResponse:
        return pb.ListPodSandboxMetricsResponse()

    # --- finding them

    def _sandbox(self, id: str, context: Context) -> Sandbox:
        sandbox = self._node.sandboxes.get(id)
        if sandbox is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no sandbox {id!r}")
        return sandbox

    def _container(self, id: str, context: Context) -> Container:
        container = self._node.containers.get(id)
        if container is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no container {id!r}")
        return container

    def _running(self, id: str, context: Context) -> Container:
        container = self._container(id, context)
        if not container.is_running:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"container {id!r} does not run")
        return container
