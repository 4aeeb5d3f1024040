"""The embedded backend: real Kubernetes control planes, nodes and pods as processes on loopback. Thin; see ``labs.embedded``."""

from __future__ import annotations

import json
import sys
from typing import Any

from labs import config, errors
from labs.clusters.base import Capabilities, Cluster, service_port
from labs.embedded import bringup, control, plan, programs
from labs.steps import Action, Progress, Step, run_steps
from labs.wire.addresses import wire


class Embedded:
    """Needs Linux and nothing else: no root, no Docker, no images."""

    name = "embedded"
    can = Capabilities(has_containers=False, real_linkerd=False, netem=False, network_policy=False, node_processes=True)

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in config.topology()}

    def prepare(self, progress: Progress) -> None:
        require_linux()
        run_steps([Action("Programs", programs.ensure)], progress)

    def steps(self, timeout: float) -> list[Step]:
        return bringup.steps(timeout)

    def up(self, progress: Progress, *, keep: bool = False, timeout: float = 120) -> None:
        require_linux()
        running = control.identity()
        control.refuse_other(running)
        # A lab that runs is only looked at: interrupting that must not take it down.
        steps = bringup.look(timeout) if running else self.steps(timeout)
        run_steps(steps, progress, keep=keep or running is not None)

    def stop(self) -> None:
        control.require()
        bringup.stop_supervisor()

    def down(self) -> None:
        bringup.stop_supervisor()
        bringup.remove_state()

    def status(self) -> dict[str, Any]:
        return {"backend": self.name, **control.status()}

    def api_server(self, cluster: str) -> str:
        return plan.cluster(cluster).server

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        found = json.loads(self.clusters()[cluster].kubectl("get", "service", service, "--namespace", namespace, "--output=json"))
        return f"http://{wire(found['spec']['clusterIP'])}:{service_port(found, port)}"


def require_linux() -> None:
    """Raise UnsupportedPlatform where the embedded backend cannot work: it lives on Linux' loopback network and prctl(2)."""
    if sys.platform != "linux":
        raise errors.UnsupportedPlatform(
            f"the embedded backend needs Linux; found {sys.platform}",
            fix="start Docker, then: lab tools kind kubectl linkerd; lab up --backend kind (on Windows, in WSL2)",
        )
