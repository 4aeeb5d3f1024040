"""PodStatus from the records: phase, conditions, container statuses, QoS class. Pure functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs.embedded.node import images
from labs.embedded.node.model import Allocation, ContainerRecord, Object, PodRecord

Health = Callable[[str, Sequence[str]], dict[str, str]]
"""``DeviceManager.health``."""
OWNED_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
"""Conditions that every pod gets from its node."""
RESIZE_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
"""Conditions that a pod gets from its node during a resize. All others belong to other controllers."""
INITIAL = ("ContainerCreating", "PodInitializing")
"""Waiting reasons of a container before the first attempt."""


@dataclass(frozen=True)
class Progress:
    """What the worker knows about a pod beyond its containers' records."""

    node_address: str
    start_time: str
    has_sandbox: bool = False
    had_sandbox: bool = False
    finished: bool = False
    """All containers ended and none will be started again: the phase may be terminal."""
    reason: str = ""
    message: str = ""


def incomplete_init_containers(pod: PodRecord) -> list[str]:
    """Names of the init containers that are not done yet."""
    incomplete = []
    for record in pod.containers.values():
        done = record.started if record.kind == "sidecar" else record.state.get("terminated", {}).get("exitCode") == 0
        if record.kind != "main" and not done:
            incomplete.append(record.name)
    return incomplete


def phase(pod: PodRecord, progress: Progress) -> str:
    """The pod's phase as the kubelet derives it from its containers."""
    mains = [record for record in pod.containers.values() if record.kind == "main"]
    if progress.finished:
        ended = [record.state.get("terminated") or record.last_state.get("terminated") or {} for record in mains]
        failed = progress.reason or any(state.get("exitCode", 1) != 0 for state in ended) or _init_failed(pod)
        return "Failed" if failed else "Succeeded"
    if any("waiting" in record.state and "terminated" not in record.last_state for record in mains):
        return "Pending"
    return "Running"


def _init_failed(pod: PodRecord) -> bool:
    return any(
        record.kind == "init" and record.state.get("terminated", {}).get("exitCode", 0) != 0 for record in pod.containers.values()
    )


def _shows_address(pod: PodRecord) -> bool:
    # A kubelet reports the address with the first news from the runtime about a container.
    return any(record.state.get("waiting", {}).get("reason") not in INITIAL for record in pod.containers.values())


def container_status(record: ContainerRecord, allocations: Sequence[Allocation] = (), health: Health | None = None) -> Object:
    """One entry of ``containerStatuses``; ``allocations`` are the devices it holds."""
    image = record.spec["image"]
    known = (bool(record.container_id) and "waiting" not in record.state) or bool(record.last_state)
    status: Object = {
        "name": record.name,
        "state": record.state,
        "lastState": record.last_state,
        "ready": record.ready,
        "restartCount": record.restart_count,
        "image": images.normalize(image) if known else image,
        "imageID": f"process://{images.normalize(image)}" if known else "",
        "started": record.started,
    }
    if record.container_id and known:
        status["containerID"] = record.container_id
        limits = record.allocated.get("limits", {})
        asked = limits | record.allocated.get("requests", {})
        if asked:
            status["allocatedResources"] = asked
        status["resources"] = {key: value for key, value in (("limits", limits), ("requests", asked)) if value}
        status["user"] = {"linux": {"uid": os.getuid(), "gid": os.getgid(), "supplementalGroups": sorted(os.getgroups())}}
    if health and allocations:
        status["allocatedResourcesStatus"] = [_device_status(allocation, health) for allocation in allocations]
    if record.spec.get("volumeMounts"):
        status["volumeMounts"] = [_mount_status(mount) for mount in record.spec["volumeMounts"]]
    return status


def _device_status(allocation: Allocation, health: Health) -> Object:
    found = health(allocation.resource, allocation.device_ids)
    return {
        "name": allocation.resource,
        "resources": [{"resourceID": device, "health": found[device]} for device in allocation.device_ids],
    }


def _mount_status(mount: Object) -> Object:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return status | ({"readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else {})


def conditions(pod: PodRecord, progress: Progress, current_phase: str, moment: str) -> list[Object]:
    """The conditions that the node writes; a transition time stays while the status is unchanged."""
    generation = pod.pod["metadata"].get("generation", 1)
    if progress.has_sandbox:
        sandbox = _condition("PodReadyToStartContainers", True)
    else:
        text = "pod sandbox is not ready" if progress.had_sandbox else "no pod sandbox exists"
        sandbox = _condition("PodReadyToStartContainers", False, "PodSandboxNotReady", text)
    ready = _ready(pod, current_phase)
    gates = _gates(pod)
    full = _condition("Ready", False, "ReadinessGatesNotReady", gates) if ready["status"] == "True" and gates else ready
    found = [sandbox, _initialized(pod, current_phase), full | {"type": "Ready"}, ready | {"type": "ContainersReady"}]
    found += [_condition(kind, True, *why) for kind, why in pod.resizing.items()]
    before = {condition["type"]: condition for condition in pod.status.get("conditions", [])}
    for condition in found:
        old = before.get(condition["type"], {})
        same = old.get("status") == condition["status"]
        condition |= {"observedGeneration": generation, "lastTransitionTime": old["lastTransitionTime"] if same else moment}
    return found


def _condition(kind: str, value: bool, reason: str = "", message: str = "") -> Object:
    condition: Object = {"type": kind, "status": "True" if value else "False", "lastProbeTime": None}
    return condition | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _initialized(pod: PodRecord, current_phase: str) -> Object:
    incomplete = incomplete_init_containers(pod)
    if current_phase == "Succeeded":
        return _condition("Initialized", True, "PodCompleted")
    if incomplete and not _mains_began(pod):
        return _condition("Initialized", False, "ContainersNotInitialized", _listing("incomplete", incomplete))
    return _condition("Initialized", True)


def _mains_began(pod: PodRecord) -> bool:
    return any(record.kind == "main" and record.container_id for record in pod.containers.values())


def _ready(pod: PodRecord, current_phase: str) -> Object:
    if current_phase in ("Succeeded", "Failed"):
        return _condition("Ready", False, "PodCompleted" if current_phase == "Succeeded" else "PodFailed")
    counted = [record for record in pod.containers.values() if record.kind in ("main", "sidecar")]
    unready = [record.name for record in counted if not record.ready]
    if unready:
        return _condition("Ready", False, "ContainersNotReady", _listing("unready", unready))
    return _condition("Ready", True)


def _listing(what: str, names: Sequence[str]) -> str:
    return f"containers with {what} status: [{' '.join(names)}]"


def _gates(pod: PodRecord) -> str:
    present = {condition["type"]: condition["status"] for condition in pod.pod.get("status", {}).get("conditions", [])}
    for gate in pod.pod["spec"].get("readinessGates", []):
        kind = gate["conditionType"]
        if kind not in present:
            return f'corresponding condition of pod readiness gate "{kind}" does not exist.'
        if present[kind] != "True":
            return f'the status of pod readiness gate "{kind}" is not "True", but {present[kind]}'
    return ""


def compute(pod: PodRecord, progress: Progress, moment: str, health: Health | None = None) -> Object:
    """The whole PodStatus; ``moment`` is the time given to conditions that changed, ``health`` reports devices."""
    current = phase(pod, progress)

    def of(record: ContainerRecord) -> Object:
        return container_status(record, pod.allocations.get(record.name, ()), health)

    status: Object = {
        "observedGeneration": pod.pod["metadata"].get("generation", 1),
        "phase": current,
        "conditions": conditions(pod, progress, current, moment),
        "hostIP": progress.node_address,
        "hostIPs": [{"ip": progress.node_address}],
        "startTime": progress.start_time,
        # The API server decides this on admission, and refuses any other value.
        "qosClass": pod.pod["status"]["qosClass"],
        "containerStatuses": [of(record) for record in pod.containers.values() if record.kind == "main"],
    }
    if inits := [of(record) for record in pod.containers.values() if record.kind != "main"]:
        status["initContainerStatuses"] = inits
    if pod.ip and _shows_address(pod):
        status |= {"podIP": pod.ip, "podIPs": [{"ip": pod.ip}]}
    return status | {key: value for key, value in (("reason", progress.reason), ("message", progress.message)) if value}


def rejected(reason: str, message: str, start_time: str, generation: int) -> Object:
    """PodStatus of a pod this node refuses: no conditions, no containers, as recorded."""
    return {
        "observedGeneration": generation,
        "phase": "Failed",
        "reason": reason,
        "message": f"Pod was rejected: {message}",
        "startTime": start_time,
    }
