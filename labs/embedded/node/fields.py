"""Every field of a pod's spec, and what this node does about it. A field in no list is new in the API.

Four cases: the node honours it; it is for others (the API server, the scheduler, a controller); it restricts a program that
runs as well without the restriction (``docs/embedded-differences.md`` says so); or the pod will behave differently, and an event
names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labs.embedded.node.model import Object


@dataclass(frozen=True)
class Schema:
    """The fields of one type of the API, by how this node treats them."""

    honoured: str = ""
    """Names, separated by spaces, as in the next two."""
    elsewhere: str = ""
    unenforced: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Name to the reason."""
    nested: Mapping[str, str] = field(default_factory=dict)
    """Name to the type whose fields are checked in turn; a list's items have that type."""

    @property
    def names(self) -> set[str]:
        return {*self.honoured.split(), *self.elsewhere.split(), *self.unenforced.split(), *self.refused, *self.nested}


NO_SHELL = "nobody can attach to a container"
CONTAINER = Schema(
    honoured="args command env envFrom image imagePullPolicy name resizePolicy restartPolicy resources terminationMessagePath "
    "terminationMessagePolicy workingDir",
    refused={
        "stdin": NO_SHELL,
        "stdinOnce": NO_SHELL,
        "tty": NO_SHELL,
        "volumeDevices": "there are no block devices",
    },
    nested={
        "lifecycle": "Lifecycle",
        "livenessProbe": "Probe",
        "ports": "ContainerPort",
        "readinessProbe": "Probe",
        "restartPolicyRules": "ContainerRestartRule",
        "securityContext": "SecurityContext",
        "startupProbe": "Probe",
        "volumeMounts": "VolumeMount",
    },
)
TYPES: dict[str, Schema] = {
    "PodSpec": Schema(
        honoured="activeDeadlineSeconds enableServiceLinks hostNetwork hostname nodeName nodeSelector os overhead readinessGates "
        "resources restartPolicy serviceAccount serviceAccountName terminationGracePeriodSeconds",
        elsewhere="affinity automountServiceAccountToken evictionResponders imagePullSecrets preemptionPolicy priority "
        "priorityClassName schedulerName schedulingGates schedulingGroup tolerations topologySpreadConstraints",
        unenforced="dnsPolicy hostIPC hostPID hostUsers shareProcessNamespace subdomain",
        refused={
            "dnsConfig": "there is no DNS",
            "ephemeralContainers": "use kubectl exec instead",
            "hostAliases": "pods share the machine's /etc/hosts",
            "hostnameOverride": "pods share the machine's host name",
            "resourceClaims": "this node has no drivers for claims",
            "runtimeClassName": "this node has only one container runtime",
            "setHostnameAsFQDN": "pods share the machine's host name",
        },
        nested={
            "containers": "Container",
            "initContainers": "Container",
            "securityContext": "PodSecurityContext",
            "volumes": "Volume",
        },
    ),
    "Container": CONTAINER,
    "ContainerPort": Schema(
        honoured="containerPort name protocol hostIP", refused={"hostPort": "a pod is reached at its own address only"}
    ),
    "ContainerRestartRule": Schema(honoured="exitCodes action"),
    "Lifecycle": Schema(honoured="stopSignal", nested={"postStart": "LifecycleHandler", "preStop": "LifecycleHandler"}),
    "LifecycleHandler": Schema(
        honoured="exec sleep", refused={"tcpSocket": "a kubelet refuses it too"}, nested={"httpGet": "HTTPGetAction"}
    ),
    "Probe": Schema(
        honoured="exec failureThreshold grpc initialDelaySeconds periodSeconds successThreshold tcpSocket "
        "terminationGracePeriodSeconds timeoutSeconds",
        nested={"httpGet": "HTTPGetAction"},
    ),
    "HTTPGetAction": Schema(honoured="host httpHeaders path port scheme", refused={"protocol": "probes use HTTP/1.1"}),
    "PodSecurityContext": Schema(
        honoured="runAsNonRoot",
        unenforced="appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsUser seLinuxChangePolicy seLinuxOptions "
        "seccompProfile supplementalGroups supplementalGroupsPolicy windowsOptions",
        refused={"sysctls": "pods share the machine's kernel parameters"},
    ),
    "SecurityContext": Schema(
        honoured="runAsNonRoot",
        unenforced="allowPrivilegeEscalation appArmorProfile procMount readOnlyRootFilesystem runAsGroup runAsUser "
        "seLinuxOptions seccompProfile windowsOptions",
        refused={"privileged": "every container has the rights of the user who started the lab"},
        nested={"capabilities": "Capabilities"},
    ),
    "Capabilities": Schema(unenforced="drop", refused={"add": "every container has the rights of the user who started the lab"}),
    "VolumeMount": Schema(
        honoured="mountPath name subPath subPathExpr",
        unenforced="readOnly recursiveReadOnly",
        refused={
            "bindMountOptions": "volumes are linked, not mounted",
            "mountPropagation": "volumes are linked, not mounted",
        },
    ),
    # Every other kind of volume fails to mount, with an event of its own that names it.
    "Volume": Schema(
        honoured="configMap downwardAPI hostPath name projected secret",
        elsewhere="awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker gcePersistentDisk "
        "gitRepo glusterfs image iscsi nfs persistentVolumeClaim photonPersistentDisk portworxVolume quobyte rbd scaleIO "
        "storageos vsphereVolume",
        nested={"emptyDir": "EmptyDirVolumeSource"},
    ),
    "EmptyDirVolumeSource": Schema(honoured="medium mode", unenforced="sizeLimit"),
}
"""By the name of the type in the API's OpenAPI document, without ``io.k8s.api.core.v1``."""
DEFAULTS: dict[str, Any] = {"mountPropagation": "None", "protocol": "HTTP1"}
"""Values of refused fields that have no effect anyway."""
UNKNOWN = "this node does not know the field"


def not_honoured(pod: Object) -> list[str]:
    """The fields of ``pod`` that should have an effect but will not: ``PATH (reason)``, in the order of the spec."""
    spec = pod["spec"]
    # The API server fills in a hostPort for each port of a pod in the host's network.
    skipped = {"hostPort"} if spec.get("hostNetwork") else set()
    return list(_walk(spec, "PodSpec", "spec", skipped))


def _walk(value: Object, kind: str, path: str, skipped: set[str]) -> Iterator[str]:
    schema = TYPES[kind]
    for name, item in value.items():
        if name in schema.nested:
            for where, part in _parts(item, f"{path}.{name}"):
                yield from _walk(part, schema.nested[name], where, skipped)
        elif name not in schema.names:
            yield f"{path}.{name} ({UNKNOWN})"
        elif name in schema.refused and name not in skipped and item and item != DEFAULTS.get(name):
            yield f"{path}.{name} ({schema.refused[name]})"


def _parts(item: Any, path: str) -> Iterator[tuple[str, Object]]:
    if isinstance(item, dict):
        yield path, item
        return
    for index, part in enumerate(item or []):
        yield f"{path}[{part.get('name', index)}]", part
