"""What a backend is, and the clusters it gives: the same on every backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from labs import config, errors, shell
from labs.paths import Paths
from labs.steps import Progress, Step

if TYPE_CHECKING:
    import pandas as pd

    from labs.clusters.nodes import Nodes
    from labs.kube import ApiClient

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
"""Label of a node that runs the control plane."""
POD_COLUMNS = ["namespace", "name", "ready", "status", "restarts", "node", "ip", "created"]


class Cluster:
    """One cluster of the lab; its name is also its kubeconfig context."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.context = name

    def __repr__(self) -> str:
        return f"Cluster({self.name!r})"

    @cached_property
    def api(self) -> ApiClient:
        """A ``kubernetes`` client of this cluster, for ``labs.kube`` and for a learner's own calls."""
        from labs import kube

        return kube.connect(self.context)

    def kubectl(self, *args: str, input: str | None = None, timeout: float = 60) -> str:
        """Run kubectl against this cluster and return what it printed; ``timeout`` in seconds.

        Raises:
            CommandFailed: with kubectl's own words.
        """
        return shell.run(self.kubectl_command(*args), input=input, timeout=timeout)

    def kubectl_command(self, *args: str) -> list[str]:
        """The command line of kubectl against this cluster.

        Raises:
            NotRunning: no lab is up.
        """
        paths = Paths.current()
        if not paths.kubeconfig.exists():
            raise errors.NotRunning("no lab is up in this checkout", fix="lab up")
        return [str(paths.bin / "kubectl"), f"--kubeconfig={paths.kubeconfig}", f"--context={self.context}", *args]

    def run_program(self, workload: str, *words: str, timeout: float = 60) -> str:
        """Run one of ``labs.pods`` in a pod of ``NAMESPACE/DEPLOYMENT``, with its identity in the mesh; what it printed.

        Raises:
            CommandFailed: it could not be run there, in kubectl's words.
            UsageError: ``workload`` is not of that form.
        """
        namespace, name = namespace_and_name(workload)
        program = ("python", "-m", "labs.pods", *words)
        return self.kubectl("exec", "--namespace", namespace, f"deploy/{name}", "--", *program, timeout=timeout)

    def start_program(self, workload: str, *words: str, on_line: Callable[[str], None]) -> shell.Background:
        """``run_program`` in the background; ``on_line`` gets every line the program prints.

        Raises:
            UsageError: ``workload`` is not of that form.
        """
        namespace, name = namespace_and_name(workload)
        program = ("python", "-m", "labs.pods", *words)
        return shell.Background(self.kubectl_command("exec", "--namespace", namespace, f"deploy/{name}", "--", *program), on_line)

    def apply(self, path: str | Path) -> str:
        """``kubectl apply`` of a kustomize folder, a folder of manifests or a file; a relative path is below the checkout."""
        target = config.ROOT / path
        if not target.exists():
            raise errors.NotFound("manifest", str(path), fix="ls clusters/manifests")
        return self.kubectl("apply", "-k" if (target / "kustomization.yaml").exists() else "-f", str(target))

    def workers(self) -> list[str]:
        """Names of the nodes that are not control planes, sorted."""
        others = f"--selector=!{CONTROL_PLANE}"
        return sorted(self.kubectl("get", "nodes", others, "--output=jsonpath={.items[*].metadata.name}").split())

    def pods(self, namespace: str | None = None, selector: str | None = None) -> pd.DataFrame:
        """Pods as kubectl shows them, one row each (columns: ``POD_COLUMNS``); of all namespaces if none is given."""
        import pandas as pd

        scope = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        chosen = ["--selector", selector] if selector else []
        items = json.loads(self.kubectl("get", "pods", "--output=json", *scope, *chosen))["items"]
        return pd.DataFrame([pod_row(item) for item in items], columns=POD_COLUMNS)


def namespace_and_name(workload: str) -> tuple[str, str]:
    """The two parts of ``NAMESPACE/DEPLOYMENT``.

    Raises:
        UsageError: it is not of that form.
    """
    namespace, _, name = workload.partition("/")
    if not namespace or not name or "/" in name:
        raise errors.UsageError(f"expected a workload as NAMESPACE/DEPLOYMENT; found {workload!r}")
    return namespace, name


def pod_row(pod: Mapping[str, Any]) -> dict[str, Any]:
    """One row of ``Cluster.pods``."""
    status = pod.get("status", {})
    containers = status.get("containerStatuses", [])
    sidecars = [row for row in status.get("initContainerStatuses", []) if row["name"] in sidecar_names(pod)]
    counted = [*containers, *sidecars]
    total = len(pod["spec"]["containers"]) + len(sidecar_names(pod))
    return {
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "ready": f"{sum(row['ready'] for row in counted)}/{total}",
        "status": pod_status(pod),
        "restarts": sum(row["restartCount"] for row in counted),
        "node": pod["spec"].get("nodeName"),
        "ip": status.get("podIP"),
        "created": pod["metadata"]["creationTimestamp"],
    }


def sidecar_names(pod: Mapping[str, Any]) -> set[str]:
    """Init containers that keep running beside the main ones (restartPolicy Always)."""
    return {row["name"] for row in pod["spec"].get("initContainers", []) if row.get("restartPolicy") == "Always"}


def pod_status(pod: Mapping[str, Any]) -> str:
    """The word kubectl shows under STATUS: the reason a container waits or ended if there is one, else the phase."""
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for row in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state = row.get("state", {})
        waiting: str | None = state.get("waiting", {}).get("reason")
        ended: str | None = state.get("terminated", {}).get("reason")
        if waiting and waiting != "PodInitializing":
            return waiting
        if ended and ended != "Completed":
            return ended
    otherwise: str = status.get("reason") or status.get("phase", "Unknown")
    return otherwise


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do: code and notebooks ask this, never which backend it is."""

    has_containers: bool
    """Pods are containers with file systems and namespaces of their own."""
    real_linkerd: bool
    """The mesh is Linkerd, not the stand-in."""
    pulls_k3s_images: bool = False
    """Its nodes are k3s, whose own pods have images that the node's image has not inside."""


class ImageLoader(Protocol):
    """Gets images into nodes."""

    def load(self, names: Sequence[str], progress: Progress) -> None:
        """Load images of the engine into all nodes of the clusters that have a node without them."""
        ...


def no_loader(backend: str) -> errors.UsageError:
    """The error of a backend whose nodes take no images from this machine."""
    return errors.UsageError(f"the backend {backend} takes no images from this machine", fix="lab image build")


class Backend(Protocol):
    """A way to have the lab's clusters.

    ``up`` leaves ``.lab/lab.json`` (``labs.record``), ``.lab/kubeconfig`` with a context per cluster, ``.lab/bin/kubectl``, and
    the manifests that ``labs.manifests`` describes. A backend that needs options of its own for that adds them to
    ``backends.OPTIONS`` and takes their values when it is made.
    """

    name: str
    can: Capabilities

    @property
    def nodes(self) -> Nodes:
        """The nodes of all clusters, and what this backend can do to them."""
        ...

    def clusters(self) -> dict[str, Cluster]:
        """The clusters by name."""
        ...

    def prepare(self, progress: Progress) -> None:
        """Fetch what ``up`` needs and may take minutes (programs, images); changes no cluster."""
        ...

    def steps(self, timeout: float, clusters: Sequence[str] = ()) -> list[Step]:
        """What ``up`` does for a lab that does not run, in order; ``timeout`` in seconds bounds each wait."""
        ...

    def up(self, progress: Progress, *, clusters: Sequence[str] = (), keep: bool = False, timeout: float = 120) -> None:
        """Bring the lab up, with ``clusters`` in addition to those it has; harmless if they are up.

        With ``keep``, a failed step's leftovers stay. A failure never takes down what ran before.
        """
        ...

    def stop(self) -> None:
        """Stop the clusters; their state stays for the next ``up``."""
        ...

    def down(self, clusters: Sequence[str] = ()) -> None:
        """Remove the lab and everything it left behind; with ``clusters``, only those from a running lab.

        Raises:
            NotFound, UsageError, NotRunning: a cluster is not there or is needed (see ``membership``); nothing was changed.
        """
        ...

    def status(self) -> dict[str, Any]:
        """``{"backend", "pid", "started", "children": [{"name", "state", "pid", "restarts", "last_exit"}]}``"""
        ...

    def api_server(self, cluster: str) -> str:
        """The URL at which pods of the other clusters reach this cluster's API server."""
        ...

    def loader(self) -> ImageLoader:
        """What loads images of this machine's Docker engine into the nodes.

        Raises:
            UsageError: the nodes take none from there.
        """
        ...

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        """A URL this machine can open for a Service; ``port`` is a number or a name, the first one if None."""
        ...


def service_port(service: Mapping[str, Any], wanted: int | str | None = None) -> int:
    """The number of a Service's port, given its number, its name, or None for the first.

    Raises:
        NotFound: the Service has no such port.
    """
    ports = service["spec"]["ports"]
    for port in ports:
        if wanted is None or wanted in (port["port"], port.get("name")) or str(wanted) == str(port["port"]):
            return int(port["port"])
    known = [str(port.get("name", port["port"])) for port in ports]
    raise errors.NotFound(f"port of Service {service['metadata']['name']}", str(wanted), known)
