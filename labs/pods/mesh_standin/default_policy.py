"""Who may call a port that no Server governs: the default policies, by annotation or for the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labs.pods.mesh_standin.proxy_config import CLUSTER_NETWORKS, DEFAULT_POLICIES, EVERYWHERE, Authorization, default_ref
from labs.wire import linkerd

Object = dict[str, Any]


def cluster_default_policy(env: Mapping[str, str]) -> str:
    """What ``linkerd install --set proxy.defaultInboundPolicy`` chose."""
    return env.get("DEFAULT_INBOUND_POLICY", DEFAULT_POLICIES[0])


def default_policy(pod: Object, namespace: Object | None, cluster_default: str) -> str:
    """The annotated default policy, the pod's before the namespace's; an unknown value is ignored, as Linkerd does."""
    for owner in (pod, namespace):
        value = ((owner or {}).get("metadata", {}).get("annotations") or {}).get(linkerd.DEFAULT_INBOUND_POLICY)
        if value in DEFAULT_POLICIES:
            return str(value)
    return cluster_default


def default_authorizations(policy: str) -> list[Authorization]:
    """What a default policy or a Server's ``accessPolicy`` admits: nothing for ``deny``."""
    if policy == "deny":
        return []
    networks = CLUSTER_NETWORKS if policy.startswith("cluster-") else EVERYWHERE
    identities = ["*"] if policy.endswith("-authenticated") else None
    return [{"ref": default_ref(policy), "networks": list(networks), "identities": identities}]
