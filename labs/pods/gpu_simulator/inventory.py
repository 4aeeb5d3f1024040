"""Which GPUs this node has: its labels say so, since a DaemonSet has the same arguments on every node.

Conversely, the GPUs' features become labels, as GPU Feature Discovery writes them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from labs.pods.gpu_simulator.offers import GPU, Offer
from labs.pods.gpu_simulator.profile import Profile
from labs.pods.gpu_simulator.settings import Settings
from labs.wire.kube_api import ApiError, KubeApi, Object, in_cluster

log = logging.getLogger(__name__)

PRODUCT = "nvidia.com/gpu.product"
COUNT = "nvidia.com/gpu.count"
"""Labels of NVIDIA's GPU Feature Discovery."""
SETTINGS = "nvidia.com/device-plugin.config"
"""The label by which NVIDIA's operator chooses a node's settings file."""
MIB = 1 << 20
UNREACHABLE = (ApiError, aiohttp.ClientError, TimeoutError, OSError, KeyError)


@dataclass(frozen=True)
class Inventory:
    """How many GPUs of which product, and the name of their settings file."""

    product: str
    count: int
    settings: str = "default"


def from_labels(node: Object, fallback: Inventory) -> Inventory:
    """What the node's labels say; a label that is missing or not a number leaves the value of ``fallback``."""
    labels = node["metadata"].get("labels", {})
    count = labels.get(COUNT, "")
    return Inventory(
        labels.get(PRODUCT, fallback.product),
        int(count) if count.isdecimal() else fallback.count,
        labels.get(SETTINGS, fallback.settings),
    )


async def read(node: str, fallback: Inventory) -> Inventory:
    """The inventory of ``node`` from the API server; ``fallback`` if that is unreachable."""
    try:
        async with KubeApi(in_cluster(), user_agent="gpu-simulator") as api:
            return from_labels(await api.get("nodes", None, node), fallback)
    except UNREACHABLE as error:
        log.warning("cannot read the labels of node %s (%s); simulating %d x %s", node, error, fallback.count, fallback.product)
        return fallback


def features(profile: Profile, count: int, settings: Settings, offers: list[Offer]) -> dict[str, str]:
    """The labels that GPU Feature Discovery writes for such GPUs.

    ``gpu.product`` and ``gpu.count`` stay as they are: here they say what to simulate. NVIDIA's adds ``-SHARED`` to a shared one.
    """
    major, _, minor = profile.compute_capability.partition(".")
    shared = settings.shared.get(GPU)
    labels = {
        PRODUCT: profile.product,
        COUNT: str(count),
        "nvidia.com/gpu.memory": str(profile.memory_bytes // MIB),
        "nvidia.com/gpu.family": profile.architecture,
        "nvidia.com/gpu.compute.major": major,
        "nvidia.com/gpu.compute.minor": minor,
        "nvidia.com/gpu.replicas": str(shared.replicas if shared else 1),
        "nvidia.com/gpu.sharing-strategy": "time-slicing" if shared else "none",
        "nvidia.com/mig.capable": str(bool(profile.mig)).lower(),
        "nvidia.com/mig.strategy": settings.mig_strategy,
    }
    instances = {offer.resource: len(offer.devices) for offer in offers if offer.resource.startswith("nvidia.com/mig-")}
    return labels | {f"{resource}.count": str(found) for resource, found in instances.items()}


async def label(node: str, labels: Mapping[str, str]) -> None:
    """Set ``labels`` on ``node``; without the API server, or the right to, the node has no labels and all else works."""
    try:
        async with KubeApi(in_cluster(), user_agent="gpu-simulator") as api:
            await api.patch("nodes", None, node, {"metadata": {"labels": dict(labels)}})
    except UNREACHABLE as error:
        log.warning("cannot label node %s: %s", node, error)
