"""Whether this node takes a pod that was bound to it: devices first, then everything else that is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labs.embedded.node import quantity
from labs.embedded.node.context import Services
from labs.embedded.node.model import DeviceError, PodRecord


class Rejected(Exception):
    """The node refuses the pod; ``reason`` becomes the pod's, the message too."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def admit(services: Services, pod: PodRecord, others: Iterable[PodRecord]) -> None:
    """Reserve what ``pod`` asks for; ``others`` are the pods that already run here.

    Raises:
        Rejected: a device cannot be had, or something does not fit.
    """
    await _allocate(services, pod)
    fit(pod.pod, [other.pod for other in others], services.allocatable())


async def _allocate(services: Services, pod: PodRecord) -> None:
    spec = pod.pod["spec"]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for resource, amount in container.get("resources", {}).get("limits", {}).items():
            if not services.devices.manages(resource):
                continue
            try:
                allocation = await services.devices.allocate(pod, container["name"], resource, quantity.whole(amount))
            except DeviceError as error:
                text = f"Allocate failed due to {error}, which is unexpected"
                raise Rejected("UnexpectedAdmissionError", text) from error
            pod.allocations.setdefault(container["name"], []).append(allocation)


def fit(pod: dict, others: list[dict], allocatable: Mapping[str, str]) -> None:
    """Compare requests with what is left.

    Raises:
        Rejected: with the numbers, CPU in thousandths, all else in whole units.
    """
    slots = quantity.whole(allocatable.get("pods", "110"))
    if len(others) + 1 > slots:
        raise _out_of("pods", 1, len(others), slots)
    for resource in sorted({name for item in _containers(pod) for name in _asked(item)}):
        unit = quantity.parse("1m") if resource == "cpu" else quantity.parse("1")
        asked, used = (sum(quantity.requests(item, resource) for item in items) for items in ([pod], others))
        capacity = quantity.parse(allocatable.get(resource, "0"))
        if asked and asked + used > capacity:
            raise _out_of(resource, int(asked / unit), int(used / unit), int(capacity / unit))


def _containers(pod: dict) -> list[dict]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _asked(container: dict) -> set[str]:
    resources = container.get("resources", {})
    return set(resources.get("requests", {})) | set(resources.get("limits", {}))


def _out_of(resource: str, asked: int, used: int, capacity: int) -> Rejected:
    numbers = f"requested: {asked}, used: {used}, capacity: {capacity}"
    return Rejected(f"OutOf{resource}", f"Node didn't have enough resource: {resource}, {numbers}")
