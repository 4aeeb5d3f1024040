"""Why the lab would not touch these clusters: each is found before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

from labs import errors, kube
from labs.clusters.contexts.inspection import Facts, Network
from labs.clusters.contexts.plan import LATER_NAMESPACES, LINKERD_NAMESPACES, namespaces

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True)
class Right:
    """One thing the lab must be allowed to do in a whole cluster."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def _both(resource: str, group: str = "") -> tuple[Right, Right]:
    return Right("create", resource, group), Right("delete", resource, group)


RIGHTS = (
    *_both("namespaces"),
    *_both("serviceaccounts"),
    *_both("configmaps"),
    *_both("services"),
    *_both("deployments", "apps"),
    *_both("daemonsets", "apps"),
    *_both("jobs", "batch"),
    *_both("clusterroles", "rbac.authorization.k8s.io"),
    *_both("clusterrolebindings", "rbac.authorization.k8s.io"),
    # Linkerd.
    *_both("secrets"),
    *_both("rolebindings", "rbac.authorization.k8s.io"),
    *_both("customresourcedefinitions", "apiextensions.k8s.io"),
    *_both("mutatingwebhookconfigurations", "admissionregistration.k8s.io"),
    *_both("validatingwebhookconfigurations", "admissionregistration.k8s.io"),
    # 'lab url', faults and the GPU simulator's control.
    Right("create", "pods/portforward"),
    Right("create", "pods/exec"),
)
LABEL_NODES = Right("patch", "nodes")
"""Needed only where the lab simulates GPUs: the simulator runs on nodes that say so."""


def missing_rights(api: kube.ApiClient, rights: Sequence[Right]) -> list[Right]:
    """Those of ``rights`` that the API server says we do not have."""
    return [right for right in rights if not _allowed(api, right)]


def _allowed(api: kube.ApiClient, right: Right) -> bool:
    resource, _, sub = right.resource.partition("/")
    attributes = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": sub}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(kube.call(api, "POST", REVIEW, review)["status"]["allowed"])


def require_rights(facts: Facts, api: kube.ApiClient, rights: Sequence[Right]) -> None:
    """Raise UsageError that names every right we lack."""
    if missing := missing_rights(api, rights):
        first = missing[0]
        name = f"{first.resource}{f'.{first.group}' if first.group else ''}"
        raise errors.UsageError(
            f"context {facts.context} lacks cluster-wide permissions: {', '.join(map(str, missing))}",
            fix=f"ask for the role cluster-admin; then: kubectl --context {facts.context} auth can-i {first.verb} {name}",
        )


def require_two_clusters(found: Sequence[Facts]) -> None:
    """Raise UsageError if two of the contexts lead to one cluster."""
    for one, other in combinations(found, 2):
        if one.uid == other.uid or one.server == other.server:
            raise errors.UsageError(
                f"expected two clusters; contexts {one.context} and {other.context} lead to the same one ({one.server})",
                fix="kubectl config get-contexts",
            )


def require_apart(found: Sequence[Facts]) -> None:
    """Raise UsageError if a pod could have an address that means something else in the other cluster.

    Service ranges may be the same (they are on most clouds): a Service's address never leaves its cluster.
    """
    for one, other in combinations(found, 2):
        pairs = [
            *product(_named("pods", one.pod_networks), _named("pods", other.pod_networks)),
            *product(_named("pods", one.pod_networks), _named("Services", other.service_networks)),
            *product(_named("Services", one.service_networks), _named("pods", other.pod_networks)),
        ]
        for (of_one, left), (of_other, right) in pairs:
            if left.overlaps(right):
                raise errors.UsageError(
                    f"expected address ranges that do not overlap: {of_one} of {one.context} have {left},"
                    f" {of_other} of {other.context} have {right}",
                    fix="clusters with other ranges (docs/contexts.md)",
                )


def _named(kind: str, networks: Sequence[Network]) -> list[tuple[str, Network]]:
    return [(kind, network) for network in networks]


def require_free(facts: Facts) -> None:
    """Raise UsageError if a namespace the lab would make is there already: what is in it is not ours to touch."""
    taken = sorted(facts.namespaces & {*namespaces(facts.name), *LATER_NAMESPACES, *LINKERD_NAMESPACES})
    if taken:
        what = "Linkerd is installed there already" if taken[0] in LINKERD_NAMESPACES else "the lab creates its own namespaces"
        raise errors.UsageError(
            f"context {facts.context} has the namespace {', '.join(taken)} already: {what}, and 'lab down' removes them",
            fix=f"another cluster; or see what is in it: kubectl --context {facts.context} get all --namespace {taken[0]}",
        )
