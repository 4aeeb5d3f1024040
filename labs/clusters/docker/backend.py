"""The backends kind and k3d: clusters whose nodes are containers of one Docker engine, on one network."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from labs import config, errors, kubectl, link_conditions, manifests, record, topology, waiting
from labs.clusters import images, kubeconfig, membership, portforward, programs
from labs.clusters.base import Capabilities, Cluster
from labs.clusters.docker import addresses, engine, links, load_balancer, node_containers, routes
from labs.clusters.docker.image_loader import ImageLoader
from labs.clusters.docker.node_containers import NodeContainer, NodeContainers
from labs.clusters.docker.nodes import DockerNodes
from labs.clusters.docker.runner import ToolRunner, explained
from labs.clusters.docker.tool import K3D, KIND, ClusterTool
from labs.paths import Paths
from labs.record import Record
from labs.steps import Action, Progress, Step, run_steps

CREATE_TIMEOUT = 1200.0
"""Seconds for creating clusters: most of it is the download of the node image (1 GB) on a poor network."""
DELETE_TIMEOUT = 180.0
START_TIMEOUT = 300.0
STOP_TIMEOUT = 120.0


class DockerBackend:
    """The clusters of one tool: ``containers`` says what there is, ``runner`` changes it, ``loader`` fills the nodes."""

    def __init__(self, tool: ClusterTool) -> None:
        self.tool = tool
        self.can = Capabilities(has_containers=True, real_linkerd=True, pulls_k3s_images=tool.pulls_k3s_images)
        self.name = tool.name
        self.runner = ToolRunner(tool)
        self.containers = NodeContainers(tool)
        self._loader = ImageLoader(self.runner, self.containers.own_nodes)

    @property
    def nodes(self) -> DockerNodes:
        return DockerNodes(self.runner, self.containers.own_nodes, self._settle)

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in record.clusters()}

    def loader(self) -> ImageLoader:
        return self._loader

    def prepare(self, progress: Progress) -> None:
        self.require_usable(membership.planned(self.name).clusters)
        self._have_images(progress)

    def _have_images(self, progress: Progress) -> None:
        steps = [
            Action("Images of the nodes", lambda progress: images.ensure_engine_images(self.name, progress)),
            Action("Image of the lab", lambda _: images.ensure_lab_image()),
        ]
        run_steps(steps, progress, keep=True)

    def up(self, progress: Progress, *, clusters: Sequence[str] = (), keep: bool = False, timeout: float = 120) -> None:
        self.require_usable(membership.planned(self.name, clusters).clusters)
        self._have_images(progress)
        run_steps(self.steps(timeout, clusters), progress, keep=keep)
        if addresses.record(node for rows in self.containers.own_nodes().values() for node in rows):
            progress.begin("Addresses of the nodes")
            progress.end(0.0, "they have changed: if you have done notebook 05, repeat its step 2 (link-gen)")

    def steps(self, timeout: float, clusters: Sequence[str] = ()) -> list[Step]:
        before = record.read()
        wanted = membership.planned(self.name, clusters)
        complete = self._complete()
        missing = [name for name in wanted.clusters if name not in complete]
        undo = _nothing if complete else self._remove_all
        creation = Action(
            f"Clusters {' and '.join(missing)}",
            lambda progress: self._create(missing, progress, timeout),
            partial(self._undo_creation, missing, before),
        )
        return [
            Action("Docker network", lambda _: prepare_state(wanted), undo),
            *([creation] if missing else []),
            Action("Nodes", lambda progress: self._start_and_wait(progress, timeout)),
            Action("Images in the nodes", self._loader.load_workloads),
            Action("Routes between the clusters", lambda _: self._connect()),
            *([Action("Load balancer", lambda _: self._install_load_balancer(timeout))] if self.tool.load_balancer else []),
        ]

    def stop(self) -> None:
        engine.require_own_network()
        portforward.close_all()
        for cluster, nodes in self.containers.own_nodes().items():
            if self.tool.stop:
                self.runner.run(self.tool.stop, cluster=cluster, seconds=STOP_TIMEOUT)
            else:
                engine.docker("container", "stop", *(node.name for node in nodes), timeout=STOP_TIMEOUT)

    def down(self, clusters: Sequence[str] = ()) -> None:
        engine.require_own_network()
        if not clusters:
            self._remove_all()
            return
        self.status()
        membership.require_removable(clusters, self.clusters())
        portforward.close_all()
        self._delete(clusters)
        known = record.require()
        record.write(known.with_clusters({*known.clusters} - {*clusters}))
        self._clear_links(clusters)
        for name in clusters:
            manifests.remove(name)
        self._write_kubeconfig()
        self._connect()

    def status(self) -> dict[str, Any]:
        """Nodes as the engine sees them; NotRunning if none of them runs."""
        clusters = self.containers.own_nodes()
        if not any(node.runs for nodes in clusters.values() for node in nodes):
            raise record.not_running()
        file = Paths.current().kubeconfig
        started = datetime.fromtimestamp(file.stat().st_mtime).astimezone().isoformat() if file.exists() else None
        return {"backend": self.name, "pid": None, "started": started, "children": node_containers.status(clusters)}

    def api_server(self, cluster: str) -> str:
        """At the control plane's address on the lab's network: its certificate names it, and other clusters' pods reach it."""
        for node in self.containers.own_nodes().get(cluster, []):
            if node.role == self.tool.control_plane and node.address:
                return f"https://{node.address}:6443"
        raise errors.NotRunning(f"the control plane of cluster {cluster} does not run", fix="lab up")

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        return portforward.url(self.clusters()[cluster], namespace, service, port)

    def require_usable(self, clusters: Collection[str] = ()) -> None:
        """Go on if the engine, the tool and the names of ``clusters`` are fit; nothing is changed.

        Raises:
            EngineUnusable, NotFound, WrongVersion, OtherLabRunning, NameTaken: what is not, and what to type.
        """
        engine.require_engine()
        programs.require(self.name)
        engine.require_own_network()
        if foreign := self.containers.foreign(clusters):
            delete = " ".join([self.name, *(word.format(cluster=foreign[0]) for word in self.tool.delete)])
            raise errors.NameTaken(
                f"a {self.name} cluster named {' and '.join(foreign)} exists that this lab did not create; it stays untouched",
                fix=f"if you no longer need it: {delete}; or: lab up --backend embedded",
            )

    # How

    def _complete(self) -> set[str]:
        """The clusters that a former ``up`` made to the end: they have nodes, and the kubeconfig has a context for them."""
        return set(self.containers.own_nodes()) & kubeconfig.contexts()

    def _create(self, names: Sequence[str], progress: Progress, timeout: float) -> None:
        """Create clusters side by side and write the kubeconfig; what an interrupted ``up`` left of them is removed first."""
        self._delete(names)
        commands = {name: self._create_command(name, timeout) for name in names}
        try:
            self.runner.together(commands, CREATE_TIMEOUT, lambda name, line: progress.note(f"{name}: {line}"))
        except errors.CommandFailed as error:
            raise explained(error) from error
        self._write_kubeconfig()

    def _create_command(self, cluster: str, timeout: float) -> list[str]:
        configuration = self.tool.configuration(cluster)
        command = self.runner.command(self.tool.create, cluster=cluster, config=configuration, timeout=timeout)
        return [*command, *images.preloaded_node_image(self.name)]

    def _write_kubeconfig(self) -> None:
        names = [spec.name for spec in record.clusters()]
        kubeconfig.write({name: self.runner.run(self.tool.kubeconfig, cluster=name) for name in names})

    def _undo_creation(self, names: Collection[str], before: Record | None) -> None:
        """Remove clusters again, and forget those that were asked for beside the lab's own."""
        self._delete(names)
        if before is not None:
            record.write(before)

    def _delete(self, names: Collection[str]) -> None:
        """Delete what is there of the clusters and ours: an interrupted creation may have left a helper and not one node."""
        own = {node.cluster for node in self.containers.own()}
        there = [name for name in names if name in own]
        self.runner.together({name: self.runner.command(self.tool.delete, cluster=name) for name in there}, DELETE_TIMEOUT)
        if engine.network_checkout() == str(config.ROOT):
            gone = set(names) - self.containers.clusters()
            engine.remove_volumes(f"{self.tool.cluster_label}={name}" for name in sorted(gone))

    def _remove_all(self) -> None:
        """Delete the clusters and the network, if they are ours, and ``.lab``."""
        portforward.close_all()
        self._delete({spec.name for spec in topology.declared()} | {node.cluster for node in self.containers.own()})
        engine.remove_network()
        shutil.rmtree(Paths.current().state, ignore_errors=True)

    def _start_and_wait(self, progress: Progress, timeout: float) -> None:
        """Start what is stopped and wait until every node is Ready."""
        stopped = {name: [node for node in nodes if not node.runs] for name, nodes in self.containers.own_nodes().items()}
        if any(stopped.values()):
            progress.note("starting stopped containers")
            self._start({name: nodes for name, nodes in stopped.items() if nodes})
        for cluster in self.clusters().values():
            progress.note(f"waiting for the nodes of {cluster.name}")
            wait_for_api(cluster, timeout)
            wait = f"--timeout={timeout:.0f}s"
            cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", wait, timeout=timeout + 10)

    def _start(self, stopped: dict[str, list[NodeContainer]]) -> None:
        if self.tool.start:
            for cluster in stopped:
                self.runner.run(self.tool.start, cluster=cluster, seconds=START_TIMEOUT)
            return
        for node in addresses.in_order(node for nodes in stopped.values() for node in nodes):
            engine.docker("container", "start", node.name)

    def _settle(self, progress: Progress) -> None:
        """What a new node needs beside being Ready: images, routes, link conditions."""
        self._loader.load_workloads(progress)
        self._connect()

    def _connect(self) -> None:
        """Make routes and link conditions agree with the clusters there are; a restarted container has lost both."""
        routes.apply_routes(self.clusters())
        if link_conditions.read_all():
            links.apply(self.containers.own_nodes())

    def _clear_links(self, clusters: Sequence[str]) -> None:
        """Forget the conditions on the links into ``clusters``, which are gone; their peers have filters for them."""
        for name in clusters:
            if link_conditions.read(name) != link_conditions.CLEAR:
                links.shape(self.containers.own_nodes(), name, link_conditions.CLEAR)

    def _install_load_balancer(self, timeout: float) -> None:
        load_balancer.install(self.clusters().values(), timeout)


def kind() -> DockerBackend:
    """Needs a Docker engine and the command ``kind``; Kubernetes is set up by kubeadm."""
    return DockerBackend(KIND)


def k3d() -> DockerBackend:
    """Needs a Docker engine and the command ``k3d``; Kubernetes is k3s with its own load balancer."""
    return DockerBackend(K3D)


def _nothing() -> None:
    return None


def prepare_state(wanted: Record) -> None:
    """Make ``.lab`` with what every backend has there, and the network."""
    paths = Paths.current()
    for folder in (paths.state, paths.logs, paths.bin, paths.state / "tools"):
        folder.mkdir(exist_ok=True, mode=0o700)
    record.write(wanted)
    kubectl.write_link()
    manifests.write_workloads(wanted.specs())
    for spec in wanted.specs():
        # With DNS and pod networks the base is right as it is.
        manifests.link(f"prometheus-{spec.name}", config.MANIFESTS / "prometheus")
    engine.create_network()


def wait_for_api(cluster: Cluster, timeout: float) -> None:
    """Until the API server answers: about 20 s after its node was started again."""

    def answers() -> bool:
        try:
            return cluster.kubectl("get", "--raw", "/readyz", timeout=10) == "ok"
        except (errors.CommandFailed, errors.TimedOut):
            return False

    if not waiting.wait_until(answers, timeout):
        raise errors.TimedOut(f"the API server of {cluster.name} does not answer after {timeout:.0f} s", fix="lab status")
