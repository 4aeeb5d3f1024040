"""What the webhook does to a pod, as a JSON patch, in the form of the injections recorded in recordings/linkerd (21, 26)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labs.pods.mesh_standin.default_policy import default_policy
from labs.pods.mesh_standin.inbound_policy import declared_ports
from labs.pods.mesh_standin.opaque_ports import is_opaque
from labs.pods.mesh_standin.proxy_config import CLUSTER_NETWORKS, DEFAULT_POLICIES
from labs.wire import linkerd
from labs.wire.linkerd import ADMIN_PORT, GATEWAY_PORT, OUTBOUND_PORT

Object = dict[str, Any]

"""A namespace's annotations with this prefix are copied to its pods (those about skipped ports are only recorded)."""
PROXY = "linkerd-proxy"
IDENTITY_DIR = "/var/run/linkerd/identity/end-entity"
TOKEN_DIR = "/var/run/secrets/tokens"
TOKEN_FILE = "linkerd-identity-token"
AUDIENCE = "identity.l5d.io"


@dataclass(frozen=True)
class Injection:
    """Settings shared by every pod of the cluster; ``anchors`` is PEM."""

    image: str
    version: str
    control_namespace: str
    anchors: str
    default_policy: str = DEFAULT_POLICIES[0]

    def patch(self, pod: Object, namespace: Object, owner: tuple[str, str] | None) -> list[Object]:
        """The JSON patch that adds the proxy to ``pod``; ``owner`` is the kind and name of its topmost controller.

        ``pod`` has not been stored yet, so it may lack a name.
        """
        annotated = with_inherited(pod, namespace)
        changed = annotated | {"spec": self._spec(annotated, namespace)}
        changed["metadata"] = self._metadata(annotated["metadata"], namespace, owner)
        return [
            {"op": "add", "path": "/metadata/labels", "value": changed["metadata"]["labels"]},
            {"op": "add", "path": "/metadata/annotations", "value": changed["metadata"]["annotations"]},
            {"op": "replace", "path": "/spec", "value": changed["spec"]},
        ]

    def _metadata(self, metadata: Object, namespace: Object, owner: tuple[str, str] | None) -> Object:
        labels = {
            linkerd.CONTROL_PLANE_NS: self.control_namespace,
            linkerd.WORKLOAD_NS: namespace["metadata"]["name"],
            **({linkerd.PROXY_OWNER_PREFIX + owner[0].lower(): owner[1]} if owner else {}),
        }
        annotations = {
            linkerd.CREATED_BY: f"linkerd/proxy-injector {self.version}",
            linkerd.INJECT: "enabled",
            linkerd.PROXY_VERSION: self.version,
            linkerd.TRUST_ROOT_SHA256: hashlib.sha256(self.anchors.encode()).hexdigest(),
        }
        return metadata | {
            "labels": (metadata.get("labels") or {}) | labels,
            "annotations": (metadata.get("annotations") or {}) | annotations,
        }

    def _spec(self, pod: Object, namespace: Object) -> Object:
        spec: Object = pod["spec"]
        token = {"path": TOKEN_FILE, "audience": AUDIENCE, "expirationSeconds": 86400}
        volumes = [
            {"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}},
            {"name": "linkerd-identity-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        ]
        return spec | {
            "initContainers": [self._proxy(pod, namespace), *map(through_proxy, spec.get("initContainers") or [])],
            "containers": [through_proxy(container) for container in spec["containers"]],
            "volumes": [*(spec.get("volumes") or []), *volumes],
        }

    def _proxy(self, pod: Object, namespace: Object) -> Object:
        gateway = is_gateway(pod)
        ports = [{"name": "linkerd-admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}]
        if gateway:
            ports.insert(0, {"name": "linkerd-proxy", "containerPort": GATEWAY_PORT, "protocol": "TCP"})
        ready = {"path": "/ready", "port": ADMIN_PORT}
        return {
            "name": PROXY,
            "image": self.image,
            "args": ["proxy"],
            # A native sidecar: started before the app, ended after it.
            "restartPolicy": "Always",
            "ports": ports,
            "env": list(self._env(pod, namespace)),
            "startupProbe": {"httpGet": ready, "periodSeconds": 1, "failureThreshold": 120},
            "readinessProbe": {"httpGet": ready, "initialDelaySeconds": 2, "periodSeconds": 10},
            "livenessProbe": {"httpGet": {"path": "/live", "port": ADMIN_PORT}, "initialDelaySeconds": 10, "periodSeconds": 10},
            "volumeMounts": [
                {"name": "linkerd-identity-end-entity", "mountPath": IDENTITY_DIR},
                {"name": "linkerd-identity-token", "mountPath": TOKEN_DIR},
            ],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }

    def _env(self, pod: Object, namespace: Object) -> Iterator[Object]:
        for name, path in (
            ("_pod_name", "metadata.name"),
            ("_pod_ns", "metadata.namespace"),
            ("_pod_sa", "spec.serviceAccountName"),
        ):
            yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        declared = {
            port["containerPort"]: port.get("name") for port in declared_ports(pod) if port["containerPort"] != GATEWAY_PORT
        }
        opaque = [number for number, name in declared.items() if is_opaque(pod, number, name)]
        control = f"{self.control_namespace}.svc.cluster.local"
        values = {
            "LINKERD2_PROXY_IDENTITY_SVC_ADDR": f"linkerd-identity.{control}:8080",
            "LINKERD2_PROXY_DESTINATION_SVC_ADDR": f"linkerd-dst.{control}:8086",
            "LINKERD2_PROXY_INBOUND_PORTS": ",".join(map(str, sorted(declared))),
            "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION": ",".join(map(str, sorted(opaque))),
            "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY": default_policy(pod, namespace, self.default_policy),
            "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS": ",".join(CLUSTER_NETWORKS),
            "LINKERD2_PROXY_IDENTITY_DIR": IDENTITY_DIR,
            "LINKERD2_PROXY_IDENTITY_TOKEN_FILE": f"{TOKEN_DIR}/{TOKEN_FILE}",
            "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS": self.anchors,
        }
        if style := pod["metadata"]["annotations"].get(linkerd.ACCESS_LOG):
            values["LINKERD2_PROXY_ACCESS_LOG"] = style
        if is_gateway(pod):
            values["LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES"] = "svc.cluster.local."
        for name, value in values.items():
            yield {"name": name, "value": value}


def wants_injection(pod: Object, namespace: Object) -> tuple[bool, str]:
    """Whether to inject, and if not why, in the words of Linkerd's event; the pod's annotation wins over the namespace's.

    A pod that mounts no service-account token is injected all the same: the proxy brings a projected token of its own, as
    Linkerd's does by default (``identity.serviceAccountTokenProjection``).
    """
    spec = pod["spec"]
    if any(c["name"] == PROXY for c in [*spec["containers"], *(spec.get("initContainers") or [])]):
        return False, "pod has a 3rd party proxy or initContainer already injected"
    if spec.get("hostNetwork"):
        return False, "hostNetwork is enabled"
    for owner in (pod, namespace):
        value = (owner["metadata"].get("annotations") or {}).get(linkerd.INJECT)
        if value in ("enabled", "ingress"):
            return True, ""
        if value is not None:
            break
    return False, f'neither the namespace nor the pod have the annotation "{linkerd.INJECT}:enabled"'


def with_inherited(pod: Object, namespace: Object) -> Object:
    """The pod with its namespace's ``config.linkerd.io/`` annotations added; its own win."""
    inherited = {k: v for k, v in (namespace["metadata"].get("annotations") or {}).items() if k.startswith(linkerd.CONFIG_PREFIX)}
    return pod | {"metadata": pod["metadata"] | {"annotations": inherited | (pod["metadata"].get("annotations") or {})}}


def is_gateway(pod: Object) -> bool:
    return (pod["metadata"].get("annotations") or {}).get(linkerd.ENABLE_GATEWAY) == "true"


def through_proxy(container: Object) -> Object:
    """The container with its outbound HTTP sent to the proxy, unless it names another HTTP proxy itself.

    ``BIND_ADDRESS`` is set by the node agent: in a meshed pod it is the address only the pod's own programs use.
    """
    env = container.get("env") or []
    if any(entry["name"].upper() == "HTTP_PROXY" for entry in env):
        return container
    return container | {"env": [*env, {"name": "HTTP_PROXY", "value": f"http://$(BIND_ADDRESS):{OUTBOUND_PORT}"}]}
