"""A node that is a real kubelet: its configuration, and how to start it inside the lab's namespaces without root."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labs.wire.replace_file import replace_text

ROOT = "/var/lib/kubelet"
"""Where every kubelet keeps its state, in the node's own mount namespace: the device manager has it built in."""
RUNTIME_SOCKET = "cri.sock"
CONFIG = "kubelet.json"
PORT = 10250
HEALTH_PORT = 10248
STATUS_PERIOD = "4s"
"""Time between two heartbeats of a node; the controller manager considers a node lost after four of them."""
NEVER_EVICT = {signal: "0%" for signal in ("memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree")}
"""Others use the machine too: how full it is says nothing about the lab."""


@dataclass(frozen=True)
class Kubelet:
    """What distinguishes one node from another."""

    name: str
    state: Path
    """The shim's folder; its part ``kubelet`` is ``ROOT`` inside."""
    address: str
    ca: Path
    certificate: Path
    key: Path
    kubeconfig: Path
    dns: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[str] = ()
    """As ``key=value:Effect``."""

    def configuration(self) -> dict[str, object]:
        """The KubeletConfiguration: cgroups are off, statistics come from the runtime, the machine's settings stay."""
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "port": PORT,
            "readOnlyPort": 0,
            "healthzBindAddress": self.address,
            "healthzPort": HEALTH_PORT,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(self.certificate),
            "tlsPrivateKeyFile": str(self.key),
            "clusterDomain": "cluster.local",
            "clusterDNS": [self.dns],
            "resolvConf": "",
            "containerRuntimeEndpoint": f"unix://{ROOT}/{RUNTIME_SOCKET}",
            "volumePluginDir": f"{ROOT}/volume-plugins",
            "staticPodPath": f"{ROOT}/static-pods",
            "registerNode": True,
            "registerWithTaints": [_taint(text) for text in self.taints],
            "nodeStatusUpdateFrequency": STATUS_PERIOD,
            "nodeStatusReportFrequency": "1m",
            "nodeLeaseDurationSeconds": 16,
            "shutdownGracePeriod": "0s",
            "evictionHard": NEVER_EVICT,
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": False,
            # All the rest is needed because there is no root.
            "featureGates": {"KubeletInUserNamespace": True, "PodAndContainerStatsFromCRI": True},
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "localStorageCapacityIsolation": True,
            "makeIPTablesUtilChains": False,
            "protectKernelDefaults": False,
            "oomScoreAdj": 0,
        }

    def write(self) -> None:
        """Write the configuration to the path that ``argv`` names."""
        folder = self.state / "kubelet"
        for name in ("static-pods", "volume-plugins"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        replace_text(folder / CONFIG, json.dumps(self.configuration(), indent=2))

    @property
    def socket(self) -> Path:
        """The socket the runtime must listen on."""
        return self.state / "kubelet" / RUNTIME_SOCKET

    def argv(self, program: Path) -> list[str]:
        """The command that becomes the kubelet; the node's shim must be running."""
        labels = ",".join(f"{key}={value}" for key, value in self.labels.items())
        return [
            *(sys.executable, "-S", "-s", "-m", "labs.embedded.runtime.enter", str(self.state), str(program)),
            f"--config={ROOT}/{CONFIG}",
            f"--kubeconfig={self.kubeconfig}",
            f"--root-dir={ROOT}",
            f"--cert-dir={ROOT}/pki",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            *([f"--node-labels={labels}"] if labels else []),
        ]


def shim_argv(state: Path) -> list[str]:
    """The command of a node's shim."""
    return [sys.executable, "-S", "-s", "-m", "labs.embedded.runtime.shim", str(state)]


def _taint(text: str) -> dict[str, str]:
    """A taint in the configuration's form.

    >>> _taint("nvidia.com/gpu=present:NoSchedule")
    {'key': 'nvidia.com/gpu', 'value': 'present', 'effect': 'NoSchedule'}
    """
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}
