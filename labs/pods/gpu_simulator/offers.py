"""What the node offers under each resource name: GPUs, replicas of shared GPUs, MIG instances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.part import Part
from labs.pods.gpu_simulator.settings import Settings, Slices

DOMAIN = "nvidia.com/"
GPU = f"{DOMAIN}gpu"
REPLICA = "::"
"""Between a part's UUID and the number of its replica, as NVIDIA's plugin writes it."""


def uuid_of(device: str) -> str:
    """The UUID that a device's id names."""
    return device.partition(REPLICA)[0]


@dataclass(frozen=True)
class Offer:
    """One resource: its devices' ids, in the order of the GPUs, and the GPU of each. ``shared`` devices are replicas."""

    resource: str
    devices: dict[str, Gpu]
    shared: bool = False

    def prefer(self, available: Iterable[str], must: list[str], size: int) -> list[str]:
        """Which ``size`` of the ``available`` devices to give away, those in ``must`` first.

        Whole GPUs: the lowest index, so that a lab gives the same GPUs each time. Replicas: from the GPU with the most left, so
        that a GPU is shared only when there is no free one.
        """
        free = [device for device in self.devices if device in set(available) and device not in must]
        if not self.shared:
            return (must + free)[:size]
        chosen = list(must)
        while free and len(chosen) < size:
            left = {name: sum(uuid_of(device) == name for device in free) for name in map(uuid_of, free)}
            best = max(free, key=lambda device: left[uuid_of(device)])  # the first of those with most: the lowest index
            free.remove(best)
            chosen.append(best)
        return chosen[:size]


def offers(fleet: Fleet, settings: Settings) -> list[Offer]:
    """All resources of the node, by name."""
    found: dict[str, list[tuple[Gpu, Part]]] = {}
    for gpu, part in fleet.parts:
        found.setdefault(_resource(part, settings), []).append((gpu, part))
    return [_offer(name, parts, settings.shared.get(name)) for name, parts in sorted(found.items())]


def _resource(part: Part, settings: Settings) -> str:
    if part.instance is None or settings.mig_strategy == "single":
        return GPU
    return f"{DOMAIN}mig-{part.instance.profile}"


def _offer(name: str, parts: list[tuple[Gpu, Part]], slices: Slices | None) -> Offer:
    if slices is None:
        return Offer(name, {part.uuid: gpu for gpu, part in parts})
    replicas = {f"{part.uuid}{REPLICA}{n}": gpu for gpu, part in parts for n in range(slices.replicas)}
    return Offer(slices.rename or name, replicas, shared=True)
