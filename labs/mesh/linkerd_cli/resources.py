"""The resources that ``linkerd viz`` knows: their names, their labels in metrics, and their pods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labs.errors import LabError
from labs.mesh.linkerd_cli.checks_control_plane import proxy_status
from labs.mesh.linkerd_cli.cluster import items
from labs.wire.kube_api import KubeApi, Object


@dataclass(frozen=True)
class Kind:
    """``label`` names the resource in its own pods' metrics, ``dst_label`` in its callers' metrics."""

    name: str
    label: str
    aliases: tuple[str, ...]
    path: str = ""

    @property
    def dst_label(self) -> str:
        return f"dst_{self.label}"


KINDS = (
    Kind("deployment", "deployment", ("deploy", "deployments"), "apps/v1/deployments"),
    Kind("daemonset", "daemonset", ("ds", "daemonsets"), "apps/v1/daemonsets"),
    Kind("statefulset", "statefulset", ("sts", "statefulsets"), "apps/v1/statefulsets"),
    Kind("pod", "pod", ("po", "pods"), "pods"),
    Kind("namespace", "namespace", ("ns", "namespaces"), "namespaces"),
    Kind("service", "service", ("svc", "services"), "services"),
    Kind("authority", "authority", ("au", "authorities")),
)


@dataclass(frozen=True)
class Resource:
    """One resource, or all of a kind if ``name`` is None."""

    kind: Kind
    name: str | None = None


def parse(words: Sequence[str]) -> Resource:
    """Parse ``deploy``, ``deploy/chat`` or ``deploy chat``.

    Raises:
        LabError: viz does not know the kind; the message lists those it knows.
    """
    kind_word, _, name = words[0].partition("/")
    name = name or (words[1] if len(words) > 1 else "")
    for kind in KINDS:
        if kind_word in (kind.name, *kind.aliases):
            return Resource(kind, name or None)
    known = ", ".join(kind.aliases[0] for kind in KINDS)
    raise LabError(f"cannot find Kubernetes canonical name from friendly name [{kind_word}]; the stand-in knows: {known}")


@dataclass(frozen=True)
class Row:
    """One existing resource: ``meshed`` of its ``pods`` have a proxy; ``status`` is a pod's phase."""

    namespace: str
    name: str
    meshed: int = 0
    pods: int = 0
    status: str = ""


async def rows(api: KubeApi, resource: Resource, namespace: str | None) -> list[Row]:
    """The resources of a kind, sorted by namespace and name, with the number of their meshed pods."""
    found = await items(api, resource.kind.path, None if resource.kind.name == "namespace" else namespace)
    pods = [pod for pod in await items(api, "pods", None if resource.kind.name == "namespace" else namespace) if _counts(pod)]
    chosen = [item for item in found if resource.name in (None, item["metadata"]["name"])]
    return sorted((_row(item, resource.kind, pods) for item in chosen), key=lambda row: (row.namespace, row.name))


def _counts(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Pending", "Running") and not pod["metadata"].get("deletionTimestamp")


def _row(item: Object, kind: Kind, pods: Sequence[Object]) -> Row:
    meta = item["metadata"]
    own = [pod for pod in pods if _belongs(pod, item, kind)]
    meshed = sum(proxy_status(pod) is not None for pod in own)
    status = item.get("status", {}).get("phase", "") if kind.name == "pod" else ""
    return Row(meta.get("namespace", ""), meta["name"], meshed, len(own), status)


def _belongs(pod: Object, item: Object, kind: Kind) -> bool:
    of_pod: dict[str, str] = pod["metadata"]
    of_item: dict[str, str] = item["metadata"]
    if kind.name == "namespace":
        return of_pod["namespace"] == of_item["name"]
    if of_pod["namespace"] != of_item["namespace"]:
        return False
    if kind.name == "pod":
        return of_pod["name"] == of_item["name"]
    selector = item.get("spec", {}).get("selector") or {}
    wanted = selector if kind.name == "service" else selector.get("matchLabels") or {}
    labels = pod["metadata"].get("labels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
