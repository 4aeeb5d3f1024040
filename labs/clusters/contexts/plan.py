"""What ``lab up`` will make in each of the user's clusters, and the record of it that ``lab down`` goes by."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from labs import config, errors, topology
from labs.clusters.base import CONTROL_PLANE
from labs.clusters.contexts.inspection import GPU, NVIDIA_DEVICE, PRESENT, Facts, Node
from labs.paths import Paths

NAMESPACES = {"users": ("shop", "ml", "monitoring"), "gpus": ("ml", "gpu-system", "monitoring", "shop")}
"""What ``lab up`` makes, by the role of the cluster. In clusters with GPUs ``shop`` is for load that is sent there."""
LATER_NAMESPACES = ("resilience", "tenant", "cost", "cost-plain")
"""Made by the notebooks' manifests, with the lab's label."""
LINKERD_NAMESPACES = ("linkerd", "linkerd-viz", "linkerd-multicluster")
"""Made later, when the notebooks install Linkerd."""


@dataclass(frozen=True)
class Options:
    """What the user asked for: ``contexts`` by the lab's name of the cluster."""

    contexts: dict[str, str]
    image: str = config.LAB_IMAGE
    model_server_url: str | None = None
    model_name: str | None = None


@dataclass(frozen=True)
class ClusterPlan:
    """What one cluster gets. ``labels``: node → the labels it lacks for the GPU simulator; ``had``: those about GPUs it had.

    ``before``: objects that carried the lab's labels already, hence are another lab's: ``KIND/NAMESPACE/NAME``.
    """

    name: str
    context: str
    server: str
    uid: str
    namespaces: list[str]
    simulate: bool = False
    gpus: int = 0
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    had: dict[str, dict[str, str]] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """All of it; the same object is the record in ``.lab/contexts.json``."""

    options: Options
    clusters: list[ClusterPlan]

    def save(self) -> None:
        record_file().write_text(json.dumps(asdict(self), indent=2) + "\n")


def record_file() -> Path:
    """Where the plan of a lab that is up is kept."""
    return Paths.current().state / "contexts.json"


def load() -> Plan | None:
    """The record of a lab that is up (or half-way up), or None."""
    if not record_file().exists():
        return None
    text = json.loads(record_file().read_text())
    return Plan(Options(**text["options"]), [ClusterPlan(**row) for row in text["clusters"]])


def require() -> Plan:
    """The record.

    Raises:
        NotRunning: there is none.
    """
    found = load()
    if found is None:
        raise errors.NotRunning(
            "no lab is up in this checkout", fix="lab up --backend contexts --context app=CONTEXT --context gpu=CONTEXT"
        )
    return found


def part(name: str) -> ClusterPlan:
    """What the record says of one cluster.

    Raises:
        NotFound: it does not know the cluster.
    """
    clusters = require().clusters
    for found in clusters:
        if found.name == name:
            return found
    raise errors.NotFound("cluster in this lab", name, [found.name for found in clusters], fix="lab status")


def make(options: Options, found: list[Facts]) -> Plan:
    """The plan for clusters that were looked at.

    Raises:
        UsageError: a cluster for GPUs has neither GPUs nor a node to simulate them on.
    """
    return Plan(options, [_for_cluster(facts) for facts in found])


def namespaces(cluster: str) -> tuple[str, ...]:
    """The namespaces that ``lab up`` makes in the cluster of that name."""
    return NAMESPACES[topology.find(cluster).role]


def _for_cluster(facts: Facts) -> ClusterPlan:
    common = ClusterPlan(facts.name, facts.context, facts.server, facts.uid, list(namespaces(facts.name)))
    if topology.find(facts.name).role != "gpus":
        return common
    if facts.gpus:
        # The lab's own namespace for the simulator is not needed then.
        spaces = [name for name in common.namespaces if name != "gpu-system"]
        return replace(common, namespaces=spaces, gpus=facts.gpus)
    labels = labels_to_simulate(facts)
    had = {node.name: gpu_labels(node.labels) for node in facts.nodes if node.name in labels}
    return replace(common, simulate=True, labels=labels, had=had)


def gpu_labels(labels: dict[str, str]) -> dict[str, str]:
    """Those that NVIDIA's stack, or the simulator in its place, puts on nodes."""
    return {key: value for key, value in labels.items() if key.startswith("nvidia.com/")}


def labels_to_simulate(facts: Facts) -> dict[str, dict[str, str]]:
    """Node → labels it lacks: nodes that call themselves GPU nodes, else as many workers as the lab's own topology has."""
    unlisted = [node for node in facts.nodes if NVIDIA_DEVICE in node.labels]
    if unlisted:
        raise errors.UsageError(
            f"node {unlisted[0].name} of context {facts.context} has an NVIDIA GPU but offers no {GPU}: no device plugin runs",
            fix="install NVIDIA's GPU operator there (docs/contexts.md), then the same command again",
        )
    specs = [node.gpu for node in topology.find(facts.name).nodes if node.gpu]
    chosen = _nodes_to_simulate(facts)[: len(specs)]
    if not chosen:
        raise errors.UsageError(
            f"context {facts.context} has no {GPU} and no node that can simulate GPUs: no node is Ready and free of taints",
            fix=f"kubectl --context {facts.context} get nodes",
        )
    wanted = {
        node.name: {PRESENT: "true", f"{GPU}.product": gpu.product, f"{GPU}.count": str(gpu.count)}
        for node, gpu in zip(chosen, specs, strict=False)
    }
    have = {node.name: node.labels for node in chosen}
    return {name: {key: value for key, value in labels.items() if key not in have[name]} for name, labels in wanted.items()}


def _nodes_to_simulate(facts: Facts) -> list[Node]:
    usable = [node for node in facts.nodes if node.usable]
    marked = [node for node in usable if node.labels.get(PRESENT) == "true"]
    workers = [node for node in usable if CONTROL_PLANE not in node.labels]
    return marked or workers or usable


def describe(plan: Plan) -> str:
    """The plan, for the learner who has to agree to it."""
    lines = ["The lab will create, and 'lab down' will remove:"]
    for cluster in plan.clusters:
        lines.append(f"  in context {cluster.context} ({cluster.server}), the cluster '{cluster.name}':")
        lines.append(f"    namespaces {', '.join(cluster.namespaces)}")
        lines += _gpu_lines(cluster)
    lines.append(
        f"  later, step by step from the notebooks: workloads in these namespaces (image {plan.options.image}), and Linkerd"
    )
    lines.append(f"    (namespaces {', '.join(LINKERD_NAMESPACES)}; custom resource definitions, cluster roles and webhooks)")
    if plan.options.model_server_url:
        lines.append(f"  chat asks the model server at {plan.options.model_server_url}")
    return "\n".join(lines)


def _gpu_lines(cluster: ClusterPlan) -> list[str]:
    if cluster.gpus:
        return [f"    no GPU simulator: the nodes offer {cluster.gpus} {GPU}"]
    if not cluster.simulate:
        return []
    labels = [f"    labels {GPU}.… on node {name}" for name, missing in cluster.labels.items() if missing]
    return [*labels, f"    the GPU simulator on {', '.join(cluster.labels)}: DaemonSet, cluster role and binding gpu-simulator"]
