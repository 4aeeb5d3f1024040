"""A pod's records, new or as a restarted agent finds them."""

from __future__ import annotations

from pathlib import Path

from labs.embedded.node.events import now
from labs.embedded.node.model import ContainerRecord, Object, PodRecord

LOST = {"exitCode": 255, "reason": "Unknown"}
"""The end of a container that was running when its node went down, as a runtime reports it after a reboot."""


def pod_record(pod: Object, directory: Path) -> PodRecord:
    """The record of ``pod``: a container the API still shows as running has died with the former agent."""
    spec = pod["spec"]
    waiting = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    record = PodRecord(pod, directory)
    for container in spec.get("initContainers", []):
        kind = "sidecar" if container.get("restartPolicy") == "Always" else "init"
        _add(record, container, kind, waiting)
    for container in spec["containers"]:
        _add(record, container, "main", waiting)
    status = pod.get("status", {})
    for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if entry["name"] in record.containers:
            _restore(record.containers[entry["name"]], entry)
    if is_terminal(pod):
        record.status = status
        record.ip = status.get("podIP", "")
    return record


def is_terminal(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _add(record: PodRecord, container: Object, kind: str, waiting: str) -> None:
    directory = record.directory / "containers" / container["name"]
    state = {"waiting": {"reason": waiting}}
    record.containers[container["name"]] = ContainerRecord(
        container["name"], kind, container, directory, state=state, allocated=container.get("resources", {})
    )


def _restore(record: ContainerRecord, entry: Object) -> None:
    record.restart_count = entry["restartCount"]
    record.last_state = entry.get("lastState", {})
    state = entry["state"]
    record.container_id = entry.get("containerID", "")
    if "running" in state:
        times = {"startedAt": state["running"]["startedAt"], "finishedAt": now(), "containerID": record.container_id}
        record.state = {"terminated": LOST | times}
    elif "terminated" in state:
        record.state = state
    elif record.last_state:
        record.state = record.last_state
