"""The backend ``contexts``: two clusters that exist already, reached by the contexts of the user's own kubeconfig."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs import config, errors, kube
from labs.clusters import kubeconfig, portforward
from labs.clusters.base import Capabilities, Cluster
from labs.clusters.contexts import access, inspection, install, plan, refusals
from labs.clusters.contexts.plan import Options, Plan
from labs.steps import Action, Progress, Step, run_steps


class Contexts:
    """Installs into namespaces of its own, and removes what it made; ``ask`` shows the plan and returns whether to go on."""

    name = "contexts"
    can = Capabilities(has_containers=True, real_linkerd=True, netem=False, network_policy=False, node_processes=False)

    def __init__(self, options: Options | None = None, ask: Callable[[str], bool] = lambda text: False) -> None:
        self.options = options
        self._ask = ask

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in config.topology()}

    def prepare(self, progress: Progress) -> None:
        """Nothing: the clusters are there, and so is this machine's kubectl."""

    def steps(self, timeout: float) -> list[Step]:
        return install.steps(plan.require(), timeout)

    def up(self, progress: Progress, *, keep: bool = False, timeout: float = 120) -> None:
        known = plan.load()
        if known:
            self._require_as_before(known)
            run_steps(install.steps(known, timeout), progress, keep=True)
            return
        wanted, documents = self._plan()
        if not self._ask(plan.describe(wanted)):
            raise errors.UsageError("nothing was changed", fix="the same command, and answer y (or add --yes)")
        state = Action("Kubeconfig and record", lambda _: install.write_state(wanted, documents), install.remove_state)
        run_steps([state, *install.steps(wanted, timeout)], progress, keep=keep)

    def _require_as_before(self, known: Plan) -> None:
        if self.options and self.options != known.options:
            raise errors.UsageError(
                f"this lab was brought up with {known.options}; found {self.options}", fix="lab down, then the same command again"
            )

    def _plan(self) -> tuple[Plan, dict[str, str]]:
        """Look at both clusters and refuse what will not do; changes nothing, neither there nor here."""
        if self.options is None:
            raise errors.UsageError(
                f"expected two kubeconfig contexts; there are: {', '.join(access.contexts()) or 'none'}",
                fix="lab up --backend contexts --app CONTEXT --gpu CONTEXT",
            )
        chosen = self.options.contexts
        access.require(chosen)
        documents = access.kubeconfigs(chosen)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kubeconfig"
            path.touch(mode=0o600)
            path.write_text(kubeconfig.merge(documents))
            apis = {name: kube.connect(name, path) for name in chosen}
        found = [inspection.look(name, context, apis[name]) for name, context in chosen.items()]
        refusals.require_two_clusters(found)
        for facts in found:
            refusals.require_free(facts)
        refusals.require_apart(found)
        wanted = plan.make(self.options, found)
        for facts, part in zip(found, wanted.clusters, strict=True):
            label = [refusals.LABEL_NODES] if any(part.labels.values()) else []
            refusals.require_rights(facts, apis[facts.name], [*refusals.RIGHTS, *label])
        return wanted, documents

    def stop(self) -> None:
        """The clusters are not the lab's to stop: only the forwarded ports end."""
        plan.require()
        portforward.close_all()

    def down(self) -> None:
        known = plan.load()
        if known is None:
            install.remove_state()
            return
        # An `up` that follows on this object (`lab reset`) was agreed to before.
        self.options, self._ask = known.options, lambda text: True
        portforward.close_all()
        for part in known.clusters:
            install.remove(part.name)
        install.remove_state()

    def status(self) -> dict[str, Any]:
        known = plan.require()
        rows = [row for part in known.clusters for row in nodes(part.name)]
        return {"backend": self.name, "pid": None, "started": None, "children": rows}

    def api_server(self, cluster: str) -> str:
        return {part.name: part.server for part in plan.require().clusters}[cluster]

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        return portforward.url(self.clusters()[cluster], namespace, service, port)


def nodes(cluster: str) -> list[dict[str, Any]]:
    """The nodes of a cluster as rows of ``lab status``."""
    rows = json.loads(Cluster(cluster).kubectl("get", "nodes", "--output=json"))["items"]
    return [
        {
            "name": f"{cluster}/{row['metadata']['name']}",
            "state": "ready" if kube.ready(row) is None else "not ready",
            "pid": None,
            "restarts": 0,
            "last_exit": None,
        }
        for row in rows
    ]
