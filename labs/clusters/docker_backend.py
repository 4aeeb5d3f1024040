"""What kind and k3d have in common: clusters whose nodes are containers of one Docker engine, on one network."""

from __future__ import annotations

import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from labs import config, errors, shell
from labs.clusters import addresses, docker, images, kubeconfig, portforward, programs, routes
from labs.clusters.base import Capabilities, Cluster
from labs.clusters.docker import NodeContainer
from labs.embedded import boot
from labs.steps import Action, Progress, Step, run_steps

CREATE_TIMEOUT = 1200.0
"""Seconds for creating both clusters: most of it is the download of the node image (1 GB) on a poor network."""

IMPORT_TIMEOUT = 600.0
"""Seconds for an archive to get into every node: three nodes each unpack 0.4 GB, on one disk."""


class DockerBackend(ABC):
    """Clusters made by a tool that runs nodes as containers."""

    name: str
    can: Capabilities
    cluster_label: str
    """Label of the node containers; its value is the cluster's name."""
    role_label: str
    roles: frozenset[str]
    """Values of the role label that nodes have: the tools run helper containers as well."""

    # What differs between the tools

    @abstractmethod
    def create_command(self, cluster: str, timeout: float) -> list[str]:
        """Creates the cluster; ``timeout`` in seconds for its nodes to be ready."""

    @abstractmethod
    def delete_command(self, cluster: str) -> list[str]: ...

    @abstractmethod
    def kubeconfig_command(self, cluster: str) -> list[str]: ...

    @abstractmethod
    def start(self, stopped: Mapping[str, Sequence[NodeContainer]]) -> None:
        """Start the stopped nodes, given by cluster."""

    @abstractmethod
    def halt(self, cluster: str, nodes: Sequence[NodeContainer]) -> None:
        """Stop a cluster's nodes; their disks stay."""

    @abstractmethod
    def import_command(self, cluster: str, archive: Path) -> list[str]:
        """Loads an archive of images into every node."""

    def extra_steps(self, timeout: float) -> list[Step]:
        """What else this tool's clusters need once their nodes are ready."""
        return []

    # The backend's interface

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in config.topology()}

    def prepare(self, progress: Progress) -> None:
        self.require_usable()
        steps = [
            Action("Images of the nodes", lambda progress: images.ensure_engine_images(self.name, progress)),
            Action("Image of the lab", lambda _: images.ensure_lab_image()),
        ]
        run_steps(steps, progress, keep=True)

    def up(self, progress: Progress, *, keep: bool = False, timeout: float = 120) -> None:
        self.prepare(progress)
        run_steps(self.steps(timeout), progress, keep=keep)
        if addresses.record(node for rows in self.own_nodes().values() for node in rows):
            progress.begin("Addresses of the nodes")
            progress.end(0.0, "not those of before: if notebook 05 was done, do its step 2 again (link-gen)")

    def steps(self, timeout: float) -> list[Step]:
        complete = self.complete()
        missing = [name for name in self.clusters() if name not in complete]
        undo = (lambda: None) if complete else self.remove_all
        title = f"Clusters {' and '.join(missing)}"
        creation = Action(title, lambda progress: self.create(missing, progress, timeout), lambda: self.delete(missing))
        return [
            Action("Docker network", lambda _: make_ready(), undo),
            *([creation] if missing else []),
            Action("Nodes", lambda progress: self.start_and_wait(progress, timeout)),
            Action("Images in the nodes", self.load_images),
            Action("Routes between the clusters", lambda _: routes.lay(self.clusters())),
            *self.extra_steps(timeout),
        ]

    def stop(self) -> None:
        docker.require_own_network()
        portforward.close_all()
        for cluster, nodes in self.own_nodes().items():
            self.halt(cluster, nodes)

    def down(self) -> None:
        docker.require_own_network()
        self.remove_all()

    def status(self) -> dict[str, Any]:
        """Nodes as the engine sees them; NotRunning if none of them runs."""
        nodes = [node for rows in self.own_nodes().values() for node in rows]
        if not any(node.runs for node in nodes):
            raise errors.NotRunning("no lab is up in this checkout", fix="lab up")
        made = config.KUBECONFIG.stat().st_mtime if config.KUBECONFIG.exists() else None
        started = datetime.fromtimestamp(made).astimezone().isoformat() if made else None
        return {"backend": self.name, "pid": None, "started": started, "children": [_row(node) for node in nodes]}

    def api_server(self, cluster: str) -> str:
        """At the control plane's address on the lab's network: its certificate names it, and other clusters' pods reach it."""
        for node in self.own_nodes().get(cluster, []):
            if node.role in ("control-plane", "server") and node.address:
                return f"https://{node.address}:6443"
        raise errors.NotRunning(f"the control plane of cluster {cluster} does not run", fix="lab up")

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        return portforward.url(self.clusters()[cluster], namespace, service, port)

    # How

    def require_usable(self) -> None:
        """Go on if the engine, the tool and the names are fit; nothing is changed.

        Raises:
            EngineUnusable, NotFound, WrongVersion, OtherLabRunning, NameTaken: what is not, and what to type.
        """
        docker.require_engine()
        programs.require(self.name)
        docker.require_own_network()
        foreign = sorted({node.cluster for node in self.containers() if not self._ours(node)})
        if foreign:
            delete = " ".join(Path(word).name if n == 0 else word for n, word in enumerate(self.delete_command(foreign[0])))
            raise errors.NameTaken(
                f"a {self.name} cluster named {' and '.join(foreign)} exists that this lab did not make; it is not touched",
                fix=f"if you no longer need it: {delete}; or: lab up --backend embedded",
            )

    @cached_property
    def program(self) -> str:
        """The tool's path, once it was found new enough."""
        return programs.require(self.name)

    def containers(self) -> list[NodeContainer]:
        """Nodes, and the tool's helpers beside them, of clusters that have our clusters' names, whoever made them."""
        found = docker.nodes(self.cluster_label, self.role_label)
        return [node for node in found if node.cluster in self.clusters()]

    def _ours(self, node: NodeContainer) -> bool:
        # Whose the network is was looked at before: require_own_network.
        return docker.NETWORK in node.networks

    def own_containers(self) -> list[NodeContainer]:
        """Those that are ours; none if the network belongs to another checkout."""
        if docker.network_checkout() != str(config.ROOT):
            return []
        return [node for node in self.containers() if self._ours(node)]

    def own_nodes(self) -> dict[str, list[NodeContainer]]:
        """Our node containers by cluster."""
        own = [node for node in self.own_containers() if node.role in self.roles]
        return {name: [node for node in own if node.cluster == name] for name in {node.cluster for node in own}}

    def complete(self) -> set[str]:
        """The clusters that a former ``up`` made to the end: they have nodes, and the kubeconfig has a context for them."""
        return set(self.own_nodes()) & kubeconfig.contexts()

    def create(self, names: Sequence[str], progress: Progress, timeout: float) -> None:
        """Create clusters side by side and write the kubeconfig; what an interrupted ``up`` left of them is removed first."""
        self.delete(names)
        commands = {name: self.create_command(name, timeout) for name in names}
        try:
            self._together(commands, CREATE_TIMEOUT, lambda name, line: progress.note(f"{name}: {line}"))
        except errors.CommandFailed as error:
            raise _explained(error) from error
        kubeconfig.write({name: shell.run(self.kubeconfig_command(name)) for name in self.clusters()})

    def delete(self, names: Sequence[str]) -> None:
        """Delete what is there of the clusters and ours: an interrupted creation may have left a helper and not one node."""
        own = {node.cluster for node in self.own_containers()}
        self._together({name: self.delete_command(name) for name in names if name in own}, 180)
        if docker.network_checkout() == str(config.ROOT):
            gone = set(names) - {node.cluster for node in self.containers()}
            docker.remove_volumes(f"{self.cluster_label}={name}" for name in sorted(gone))

    def _together(
        self, commands: Mapping[str, Sequence[str]], timeout: float, tell: Callable[[str, str], None] = lambda name, line: None
    ) -> None:
        def on_line(name: str, line: str) -> None:
            if text := readable(line):
                tell(name, text)

        wrapped = {name: ["env", *self.variables(name), *command] for name, command in commands.items()}
        shell.run_together(wrapped, on_line, timeout=timeout)

    def variables(self, cluster: str) -> list[str]:
        """``NAME=value`` for the tool's process."""
        return [f"{name}={value}" for name, value in programs.environment(cluster).items()]

    def remove_all(self) -> None:
        """Delete the clusters and the network, if they are ours, and ``.lab``."""
        portforward.close_all()
        self.delete(list(self.clusters()))
        docker.remove_network()
        shutil.rmtree(config.STATE, ignore_errors=True)

    def start_and_wait(self, progress: Progress, timeout: float) -> None:
        """Start what is stopped and wait until every node is Ready."""
        stopped = {name: [node for node in nodes if not node.runs] for name, nodes in self.own_nodes().items()}
        if any(stopped.values()):
            progress.note("starting what is stopped")
            self.start({name: nodes for name, nodes in stopped.items() if nodes})
        for cluster in self.clusters().values():
            progress.note(f"waiting for the nodes of {cluster.name}")
            wait_for_api(cluster, timeout)
            wait = f"--timeout={timeout:.0f}s"
            cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", wait, timeout=timeout + 10)

    def load_images(self, progress: Progress) -> None:
        """Load what an offline bundle brought, and those images of the manifests that the engine has; nodes pull the others."""
        held = self.held()
        for archive in images.preloaded():
            progress.note(archive.stem)
            self._import(archive, held)
        names = images.present([name for name in images.workload_images() if not images.archive(name).exists()])
        self._load(names, held, progress)

    def load(self, names: Sequence[str], progress: Progress) -> None:
        """Load images of the engine into the nodes of both clusters that have none of that name and content."""
        self._load(names, self.held(), progress)

    def _load(self, names: Sequence[str], held: Mapping[str, set[tuple[str, str]]], progress: Progress) -> None:
        progress.note(", ".join(names))
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "images.tar"
            images.save(names, archive, docker.engine())
            self._import(archive, held)

    def held(self) -> dict[str, set[tuple[str, str]]]:
        """The images that every node of a cluster has, by cluster."""
        nodes = {name: [images.held(node.name) for node in rows] for name, rows in self.own_nodes().items()}
        return {name: set.intersection(*rows) for name, rows in nodes.items()}

    def _import(self, archive: Path, held: Mapping[str, set[tuple[str, str]]]) -> None:
        wanted = images.archived(archive)
        lacking = [name for name in self.clusters() if not wanted <= held[name]]
        self._together({name: self.import_command(name, archive) for name in lacking}, IMPORT_TIMEOUT)


def make_ready() -> None:
    """Make ``.lab`` with what every backend has there, and the network."""
    for folder in (config.STATE, config.LOGS, config.BIN, config.STATE / "tools"):
        folder.mkdir(exist_ok=True, mode=0o700)
    boot.write_kubectl()
    link_manifests()
    docker.create_network()


def link_manifests() -> None:
    """``.lab/manifests/``: with DNS and pod networks the bases are right as they are."""
    folder = config.STATE / "manifests"
    folder.mkdir(exist_ok=True)
    boot.link_workloads(folder)
    for spec in config.topology():
        link = folder / f"prometheus-{spec.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(config.MANIFESTS / "prometheus")


def wait_for_api(cluster: Cluster, timeout: float) -> None:
    """Until the API server answers: about 20 s after its node was started again."""
    from labs.embedded.bringup import wait_until

    def answers() -> bool:
        try:
            return cluster.kubectl("get", "--raw", "/readyz", timeout=10) == "ok"
        except (errors.CommandFailed, errors.TimedOut):
            return False

    wait_until(answers, timeout, lambda: f"the API server of {cluster.name} does not answer")


def _explained(error: errors.CommandFailed) -> errors.LabError:
    # k3d says more afterwards, of what it takes back.
    reason = next((line for line in error.output.splitlines() if "failed to pull" in line), None)
    if reason is not None:
        return images.not_had(readable(reason))
    said = complaints(error.output) or error.message
    return errors.StepFailed("Clusters", said, fix="lab up --keep, then look: docker logs NODE; lab down when done")


def complaints(output: str) -> str:
    """The lines in which a tool says what went wrong: kind prints kubeadm's whole log and a stack trace around them."""
    lines = [readable(line) for line in output.splitlines() if COMPLAINT.match(line)]
    return "; ".join(dict.fromkeys(lines))


LEVEL = re.compile(r"^(\x1b\[\d+m)?(INFO|WARN|ERRO|FATA)(\x1b\[0m)?\[\d+\] ")
"""How k3d begins a line."""
COMPLAINT = re.compile(r"(ERROR|error):|(\x1b\[\d+m)?(ERRO|FATA)")
"""How kind, kubeadm and k3d begin a line about what went wrong."""


def readable(line: str) -> str:
    """What a tool says, without bullets, pictures and log levels: `` • Preparing nodes 📦  ...`` → ``Preparing nodes``."""
    text = LEVEL.sub("", line.strip())
    return "".join(letter for letter in text if letter.isascii()).strip(" .")


def _row(node: NodeContainer) -> dict[str, Any]:
    return {
        "name": f"{node.cluster}/{node.name}",
        "state": node.state,
        "pid": None,
        "restarts": node.restarts,
        "last_exit": None if node.runs else f"exit code {node.exit_code}",
    }
