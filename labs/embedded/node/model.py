"""What the halves of the node agent share: the node, the records of its pods, and the protocols between them.

The pod workers write the records; ``server`` (the kubelet API), ``node_status`` and ``devices`` read them. All of it lives in one
asyncio loop: records change only between awaits, so a reader sees a consistent record as long as it does not await.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Protocol

from labs import errors
from labs.embedded import plan
from labs.paths import Paths
from labs.topology import NodeSpec
from labs.wire.network import Network

Object = dict[str, Any]
"""A Kubernetes object (or part of one) as decoded JSON."""

SHORT_HOST_PATHS = ("/var/lib/kubelet/device-plugins", "/var/lib/kubelet/pod-resources", "/var/run/gpu-simulator")
"""Host paths that hold Unix sockets: they map to short folders, since a socket's path may have 107 bytes at most."""


@dataclass(frozen=True)
class Node:
    """One node of the embedded backend: the arguments of its agent, and everything derived from them."""

    cluster: plan.ClusterPlan
    spec: NodeSpec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def network(self) -> Network:
        return plan.network()

    @property
    def address(self) -> str:
        """InternalIP: where the node's own API listens."""
        return self.cluster.node_host(self.spec)

    @property
    def pod_range(self) -> IPv4Network:
        """podCIDR."""
        return self.cluster.node_range(self.spec)

    @property
    def directory(self) -> Path:
        """Where this node keeps pods, logs and volumes. Pods' scripts get paths below it, unquoted."""
        return Paths.current().plain_state() / "nodes" / self.name

    def host_path(self, path: str) -> Path:
        """The folder that stands for ``path`` of the node's own file system (hostPath volumes, device-plugin mounts)."""
        for prefix in SHORT_HOST_PATHS:
            if path == prefix or path.startswith(prefix + "/"):
                return Paths.current().run_dir() / self.name / (prefix.rpartition("/")[2] + path[len(prefix) :])
        return self.directory / "host" / path.strip("/")


def find_node(cluster: str, name: str) -> Node:
    """The node ``name`` of cluster ``cluster`` in this checkout's lab.

    Raises:
        NotFound: the lab has no such cluster or node.
    """
    found = plan.cluster(cluster)
    for spec in found.spec.nodes:
        if spec.name == name:
            return Node(found, spec)
    raise errors.NotFound("node", name, [spec.name for spec in found.spec.nodes])


@dataclass(frozen=True)
class Allocation:
    """What a device plugin's Allocate gave one container of one pod, for one resource."""

    resource: str
    device_ids: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[tuple[str, str]] = ()
    """(container path, host path), host path as the plugin gave it: map it with ``Node.host_path``."""


@dataclass
class ContainerRecord:
    """One container of one pod, in its current incarnation."""

    name: str
    kind: str
    """``init``, ``sidecar`` (init container with restartPolicy Always) or ``main``."""
    spec: Object
    directory: Path
    """Holds ``root`` (in place of /) and the logs ``0.log``, ``1.log``, … one per incarnation, in the CRI's log format."""
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    """``{"waiting"|"running"|"terminated": {…}}`` as in the API."""
    last_state: Object = field(default_factory=dict)
    restart_count: int = 0
    container_id: str = ""
    pid: int | None = None
    """The container's first process, leader of its own session; None while it does not run."""
    env: dict[str, str] = field(default_factory=dict)
    """All that its processes see."""
    variables: dict[str, str] = field(default_factory=dict)
    """Those of ``env`` that ``$(NAME)`` may refer to."""
    working_dir: str = ""
    ready: bool = False
    started: bool = False
    allocated: Object = field(default_factory=dict)
    """``resources`` as the node has granted them; ``spec`` may ask for others while a resize is pending."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the image in ``spec`` differs from that of the incarnation that runs or waits for its image."""

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def log(self) -> Path:
        """The log of the incarnation that runs or ran last."""
        return self.directory / f"{self.restart_count}.log"

    @property
    def previous_log(self) -> Path | None:
        """The log of the previous incarnation, if there was one and the log still exists."""
        path = self.directory / f"{self.restart_count - 1}.log"
        return path if path.exists() else None

    @property
    def running(self) -> bool:
        return "running" in self.state


@dataclass
class PodRecord:
    """One pod bound to this node."""

    pod: Object
    """The latest object the API server sent (spec, metadata); its status is the agent's own, see ``status``."""
    directory: Path
    ip: str = ""
    """10.x.y.z as in the API; empty until the pod has its address."""
    containers: dict[str, ContainerRecord] = field(default_factory=dict)
    """In the order of the spec, init containers first."""
    allocations: dict[str, list[Allocation]] = field(default_factory=dict)
    """By container name."""
    resizing: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Conditions of a resize in progress: type to reason and message."""
    status: Object = field(default_factory=dict)
    """PodStatus as last computed (perhaps not yet written)."""

    @property
    def uid(self) -> str:
        uid: str = self.pod["metadata"]["uid"]
        return uid

    @property
    def name(self) -> str:
        name: str = self.pod["metadata"]["name"]
        return name

    @property
    def namespace(self) -> str:
        namespace: str = self.pod["metadata"]["namespace"]
        return namespace

    @property
    def phase(self) -> str:
        phase: str = self.status.get("phase", "Pending")
        return phase


@dataclass(frozen=True)
class Command:
    """A program ready to be started in a container's environment."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    owner: str
    """container_id: when that container ends, the program is killed with it."""


class StartError(Exception):
    """The program could not be started; the message is the recorded runtime's (without the runtime's own prefix)."""


class Process(Protocol):
    """A program started by the agent."""

    pid: int

    async def wait(self) -> int:
        """Exit code; 128 + n when signal n ended it. Several tasks may await it."""
        ...

    def signal(self, number: int) -> None:
        """Signal the program's whole process group; does nothing once it has ended."""
        ...


class PodManager(Protocol):
    """The pods of this node, for the kubelet API."""

    def pods(self) -> list[PodRecord]: ...

    def find(self, namespace: str, name: str) -> PodRecord | None: ...

    def exec_command(self, pod: PodRecord, container: ContainerRecord, argv: Sequence[str]) -> Command:
        """``argv`` as ``kubectl exec`` runs it in ``container``: same env, same paths rewritten."""
        ...

    async def spawn(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
    ) -> Process:
        """Start ``command`` with these file descriptors (None: /dev/null), which the caller closes afterwards.

        With ``tty`` the descriptor ``stdin`` is a terminal and becomes the controlling one.

        Raises:
            StartError: no such program, or not executable.
        """
        ...


class DeviceError(Exception):
    """A device is not available: the pod is rejected with UnexpectedAdmissionError.

    The pod's message becomes "Pod was rejected: Allocate failed due to " + this one + ", which is unexpected".
    """


class DeviceManager(Protocol):
    """Extended resources offered by device plugins."""

    async def allocate(
        self, pod: PodRecord, container: str, resource: str, count: int, reusable: Sequence[str] = ()
    ) -> Allocation:
        """Reserve ``count`` devices; for a pod that already has them (after an agent restart) the same ones again.

        ``reusable`` are devices of the pod's own init containers: they are allocated first, although they are in use.

        Raises:
            DeviceError: see its docstring.
        """
        ...

    async def pre_start(self, pod: PodRecord, container: str) -> None:
        """Await before each start of a container: a plugin may want to reset its devices.

        Raises:
            DeviceError: the container waits with CreateContainerConfigError and this message.
        """
        ...

    def release(self, pod_uid: str) -> None:
        """The pod has ended: its devices are free."""
        ...

    def manages(self, resource: str) -> bool:
        """Whether a plugin has registered ``resource`` since the agent started."""
        ...

    def health(self, resource: str, device_ids: Sequence[str]) -> dict[str, str]:
        """``Healthy``, ``Unhealthy`` or ``Unknown`` for each id."""
        ...

    def capacity(self) -> dict[str, int]: ...

    def allocatable(self) -> dict[str, int]: ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever a device's health or a resource's count changes."""
        ...
