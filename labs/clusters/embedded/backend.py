"""The backend itself: what ``lab up``, ``stop``, ``down`` and ``status`` mean where everything is a process of this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from labs import errors, record
from labs.clusters import membership
from labs.clusters.base import Capabilities, Cluster, ImageLoader, no_loader, service_port
from labs.clusters.embedded.nodes import EmbeddedNodes
from labs.embedded import bringup, cluster_changes, control, old_layout, plan, programs, state
from labs.record import Record
from labs.steps import Action, Progress, Step, run_steps


class Embedded:
    """Needs Linux and nothing else: no root, no Docker, no images."""

    name = "embedded"
    can = Capabilities(has_containers=False, real_linkerd=False)
    nodes = EmbeddedNodes()

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in record.clusters()}

    def prepare(self, progress: Progress) -> None:
        require_linux()
        run_steps([Action("Programs", programs.ensure)], progress)

    def steps(self, timeout: float, clusters: Sequence[str] = ()) -> list[Step]:
        return bringup.start_steps(membership.planned(self.name, clusters), timeout)

    def up(self, progress: Progress, *, clusters: Sequence[str] = (), keep: bool = False, timeout: float = 120) -> None:
        require_linux()
        wanted = membership.planned(self.name, clusters)
        control.refuse_other()
        if control.identity() is None:
            run_steps(bringup.start_steps(wanted, timeout), progress, keep=keep)
        else:
            self._grow(wanted, progress, keep=keep, timeout=timeout)

    def _grow(self, wanted: Record, progress: Progress, *, keep: bool, timeout: float) -> None:
        """Add what is missing to the running lab. Interrupting that must not take down what runs."""
        missing = sorted({*wanted.clusters} - {*record.require().clusters})
        if missing:
            run_steps(cluster_changes.add_clusters(missing, timeout), progress, keep=keep)
        else:
            agree = Action("Processes", lambda _: control.reload())
            run_steps([agree, *bringup.wait_steps(timeout)], progress, keep=True)

    def stop(self) -> None:
        control.require()
        bringup.stop_supervisor()

    def down(self, clusters: Sequence[str] = ()) -> None:
        if clusters:
            control.require()
            membership.require_removable(clusters, self.clusters())
            cluster_changes.remove_clusters(clusters)
            return
        old_layout.stop_supervisor()
        bringup.stop_supervisor()
        state.remove()

    def status(self) -> dict[str, Any]:
        return {"backend": self.name, **control.status()}

    def loader(self) -> ImageLoader:
        raise no_loader(self.name)

    def api_server(self, cluster: str) -> str:
        return plan.cluster(cluster).server

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        found = json.loads(self.clusters()[cluster].kubectl("get", "service", service, "--namespace", namespace, "--output=json"))
        host, number = plan.network().published(found["spec"]["clusterIP"], service_port(found, port))
        return f"http://{host}:{number}"


def require_linux() -> None:
    """Raise UnsupportedPlatform where the embedded backend cannot work: it lives on Linux' loopback network and prctl(2)."""
    if sys.platform != "linux":
        raise errors.UnsupportedPlatform(
            f"the embedded backend needs Linux; found {sys.platform}",
            fix="start Docker, then: lab tools kind kubectl linkerd; lab up --backend kind (on Windows, in WSL2)",
        )
