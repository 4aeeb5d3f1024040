"""Whether to restart a container that ended: its rules come first, then its own policy, then the pod's."""

from __future__ import annotations

from labs.embedded.node.model import ContainerRecord, Object


def restart_policy(pod: Object, container: ContainerRecord) -> str:
    """The policy that applies to ``container`` when none of its rules match."""
    if container.kind == "sidecar":
        return "Always"
    policy: str = container.spec.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    return policy


def is_restarted(pod: Object, container: ContainerRecord, code: int) -> bool:
    """Whether ``container`` runs again after exit code ``code``. An init container that succeeded never does."""
    if container.kind == "init" and code == 0:
        return False
    if any(_matches(rule, code) for rule in container.spec.get("restartPolicyRules", [])):
        return True
    policy = restart_policy(pod, container)
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _matches(rule: Object, code: int) -> bool:
    # The scheduler keeps pods with the other action, RestartAllContainers, off nodes that do not declare it, as this one.
    if rule["action"] != "Restart":
        return False
    listed = code in rule["exitCodes"].get("values", [])
    return listed if rule["exitCodes"]["operator"] == "In" else not listed
