"""A cluster of real kubelets in namespaces of its own, without a lab: for tests of nodes, and for upstream's suite."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from labs import config
from labs.embedded import kubelet, programs, recipes
from labs.embedded.certificates import Authority, write_key, write_public_key
from labs.embedded.namespaces import join

API, HOST = "10.16.0.1", "kubernetes.default.svc.cluster.local"
SERVICES, DNS = "10.96.0.0/16", "10.96.0.10"
MASTERS = ["system:masters"]
Command = tuple[str, list[str]]
"""A process: its name and what to run."""


@dataclass
class SandboxCluster:
    """Everything below ``folder``; ``images`` are tables beside the lab's."""

    folder: Path
    nodes: tuple[str, ...] = ("n1",)
    images: tuple[Path, ...] = ()
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def kubeconfig(self) -> Path:
        """For clients outside."""
        return self.folder / "outside.kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """For clients inside."""
        return self.folder / "pki" / "admin.kubeconfig"

    @property
    def record(self) -> Path:
        return self.folder / "record"

    def start(self) -> None:
        """Start it; the API answers soon afterwards."""
        (self.folder / "pki").mkdir(parents=True)
        (self.folder / "logs").mkdir()
        self._write_keys()
        commands = [*self._control_plane(), *self._nodes()]
        (self.folder / "commands.json").write_text(json.dumps(commands))
        (self.folder / "addresses.json").write_text(json.dumps(self.addresses()))
        here = [sys.executable, "-m", "tests.integration.sandbox.inside", str(self.folder)]
        self._spawn("labs.embedded.namespaces.first", [str(self.record), *here])
        self._publish()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def join(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program inside the cluster's network."""
        command = [sys.executable, "-m", "labs.embedded.namespaces.join", str(self.record), *argv]
        return subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, timeout=timeout, check=False)

    def kill(self, name: str) -> None:
        """Kill one of the processes with -9; it is started again after a second."""
        inner = int((self.folder / "logs" / f"{name}.pid").read_text())
        self.join("sh", "-c", f"kill -{signal.SIGKILL.value} {inner}")

    def _spawn(self, module: str, argv: list[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(config.ROOT)}
        with (self.folder / "logs" / f"{module}.log").open("ab") as log:
            command = [sys.executable, "-m", module, *argv]
            self._processes.append(subprocess.Popen(command, cwd=config.ROOT, env=environment, stdout=log, stderr=log))

    def _publish(self) -> None:
        from tests.support.waiting import eventually

        eventually(self.record.exists)
        join.holder(self.record)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._spawn("labs.embedded.namespaces.publish", [str(self.record), f"{self.port}={API}:6443"])
        self._write_kubeconfig(self.kubeconfig, "admin", f"https://127.0.0.1:{self.port}")

    def _write_keys(self) -> None:
        pki = self.folder / "pki"
        authority = Authority.create(pki, "ca", "sandbox-ca")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", HOST, "localhost"]
        authority.issue("apiserver", "kube-apiserver", hosts=[*names, API, "127.0.0.1", "10.96.0.1"])
        for name, user in (("admin", "admin"), ("kubelet-client", "kube-apiserver-kubelet-client"), ("proxy", "proxy")):
            authority.issue(name, user, MASTERS)
        authority.issue("scheduler", "system:kube-scheduler")
        authority.issue("controller-manager", "system:kube-controller-manager")
        for number, node in enumerate(self.nodes, 1):
            authority.issue(node, f"system:node:{node}", ["system:nodes"], hosts=[_address(number), node])
        write_public_key(pki / "sa.pub", write_key(pki / "sa.key"))
        for name in ("admin", "scheduler", "controller-manager", "proxy", *self.nodes):
            self._write_kubeconfig(pki / f"{name}.kubeconfig", name, f"https://{API}:6443")

    def _write_kubeconfig(self, path: Path, name: str, server: str) -> None:
        pki = self.folder / "pki"
        user = {"client-certificate": str(pki / f"{name}.crt"), "client-key": str(pki / f"{name}.key")}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": {"server": server, "certificate-authority": str(pki / "ca.crt")}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": name}}],
        }
        path.write_text(yaml.safe_dump(content))

    def _control_plane(self) -> list[Command]:
        pki = self.folder / "pki"
        signing = {"cluster-signing-cert-file": pki / "ca.crt", "cluster-signing-key-file": pki / "ca.key"}
        client = {"leader-elect": "false", "secure-port": 0}
        manager = (
            client
            | signing
            | {
                "kubeconfig": pki / "controller-manager.kubeconfig",
                "use-service-account-credentials": "true",
                "root-ca-file": pki / "ca.crt",
                "service-account-private-key-file": pki / "sa.key",
                "node-monitor-grace-period": "16s",
                "node-monitor-period": "2s",
            }
        )
        return [
            _program("etcd", {"name": "lab", "data-dir": self.folder / "etcd", "unsafe-no-fsync": "true", "log-level": "warn"}),
            _program("kube-apiserver", self._api_flags(pki)),
            _program("kube-scheduler", client | {"kubeconfig": pki / "scheduler.kubeconfig"}),
            _program("kube-controller-manager", manager),
        ]

    def _api_flags(self, pki: Path) -> dict[str, object]:
        return {
            "bind-address": API,
            "advertise-address": API,
            "secure-port": 6443,
            "service-cluster-ip-range": SERVICES,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "etcd-servers": "http://127.0.0.1:2379",
            "tls-cert-file": pki / "apiserver.crt",
            "tls-private-key-file": pki / "apiserver.key",
            "client-ca-file": pki / "ca.crt",
            "service-account-issuer": f"https://{HOST}",
            "service-account-key-file": pki / "sa.pub",
            "service-account-signing-key-file": pki / "sa.key",
            "kubelet-certificate-authority": pki / "ca.crt",
            "kubelet-client-certificate": pki / "kubelet-client.crt",
            "kubelet-client-key": pki / "kubelet-client.key",
            "kubelet-preferred-address-types": "InternalIP",
            "default-not-ready-toleration-seconds": 15,
            "default-unreachable-toleration-seconds": 15,
        }

    def _nodes(self) -> list[Command]:
        folder = programs.folder(recipes.node())
        control = self.folder / "streaming.sock"
        kubelets = [self._kubelet(number, name) for number, name in enumerate(self.nodes, 1)]
        rows = []
        for number, node in enumerate(kubelets, 1):
            node.write()
            row = {"name": node.name, "state": str(node.state), "socket": str(node.socket), "host_address": node.address}
            rows.append(row | {"pod_ranges": [f"10.16.{number}.0/24", f"fd00:10:16:{number}::/112"]})
        path = self.folder / "runtime.json"
        path.write_text(json.dumps({"streaming": str(control), "images": list(map(str, self.images)), "nodes": rows}))
        commands: list[Command] = [(f"shim-{node.name}", kubelet.shim_argv(node.state)) for node in kubelets]
        commands.append(("runtime", [sys.executable, "-m", "labs.embedded.runtime", str(path)]))
        commands.append(("streaming", [str(folder / "cri-streaming"), str(control), f"{API}:10300"]))
        commands += [(f"kubelet-{node.name}", node.argv(folder / "kubelet")) for node in kubelets]
        return commands

    def _kubelet(self, number: int, name: str) -> kubelet.Kubelet:
        pki, state = self.folder / "pki", self.folder / name
        return kubelet.Kubelet(
            name,
            state,
            _address(number),
            pki / "ca.crt",
            pki / f"{name}.crt",
            pki / f"{name}.key",
            pki / f"{name}.kubeconfig",
            DNS,
        )

    def addresses(self) -> list[str]:
        return [API, *(_address(number) for number in range(1, len(self.nodes) + 1))]


def _program(name: str, flags: dict[str, object]) -> Command:
    return name, [str(programs.folder(recipes.kubernetes()) / name), *(f"--{flag}={value}" for flag, value in flags.items())]


def _address(number: int) -> str:
    return f"10.16.0.{10 + number}"
