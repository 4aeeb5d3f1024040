"""The backend ``contexts``: clusters that exist already, reached by the contexts of the user's own kubeconfig."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from labs import errors, kube, record
from labs.clusters import kubeconfig, portforward
from labs.clusters.base import Capabilities, Cluster, ImageLoader, no_loader
from labs.clusters.contexts import access, inspection, install, plan, refusals
from labs.clusters.contexts.nodes import ForeignNodes, node_rows
from labs.clusters.contexts.options import EXAMPLE, agree, parse
from labs.clusters.contexts.plan import Options, Plan
from labs.steps import Action, Progress, Step, run_steps
from labs.wire.replace_file import write_private

FIXED = "on your own clusters, the lab's clusters are fixed when it comes up"


class Contexts:
    """Installs into namespaces of its own, and removes what it made; ``ask`` shows the plan and returns whether to go on."""

    name = "contexts"
    can = Capabilities(has_containers=True, real_linkerd=True)
    nodes = ForeignNodes()

    def __init__(self, options: Options | None = None, ask: Callable[[str], bool] = lambda text: False) -> None:
        self.options = options
        self._ask = ask

    @classmethod
    def from_options(cls, yes: bool = False, **options: Any) -> Contexts:
        """The backend as ``lab up`` asks for it; see ``contexts.options``."""
        return cls(parse(**options), partial(agree, yes))

    def clusters(self) -> dict[str, Cluster]:
        return {spec.name: Cluster(spec.name) for spec in record.clusters()}

    def prepare(self, progress: Progress) -> None:
        """Nothing: the clusters are there, and so is this machine's kubectl."""

    def steps(self, timeout: float, clusters: Sequence[str] = ()) -> list[Step]:
        return install.steps(plan.require(), timeout)

    def up(self, progress: Progress, *, clusters: Sequence[str] = (), keep: bool = False, timeout: float = 120) -> None:
        known = plan.load()
        self._require_contexts_for(clusters, known.options if known else self.options)
        if known:
            self._require_as_before(known)
            run_steps(install.steps(known, timeout), progress, keep=True)
            return
        wanted, documents = self._plan()
        if not self._ask(plan.describe(wanted)):
            raise errors.UsageError("nothing was changed", fix="the same command, and answer y (or add --yes)")
        state = Action("Kubeconfig and record", lambda _: install.write_state(wanted, documents), install.remove_state)
        run_steps([state, *install.steps(wanted, timeout)], progress, keep=keep)

    def _require_contexts_for(self, clusters: Sequence[str], options: Options | None) -> None:
        missing = [name for name in clusters if options is None or name not in options.contexts]
        if missing:
            raise errors.UsageError(
                f"no kubeconfig context is known for cluster {', '.join(missing)}: {FIXED}", fix=f"lab down, then {EXAMPLE} …"
            )

    def _require_as_before(self, known: Plan) -> None:
        if self.options and self.options != known.options:
            raise errors.UsageError(
                f"this lab was brought up with {known.options}; found {self.options}", fix="lab down, then the same command again"
            )

    def _plan(self) -> tuple[Plan, dict[str, str]]:
        """Look at both clusters and refuse what will not do; changes nothing, neither there nor here."""
        if self.options is None:
            raise errors.UsageError(
                f"expected a kubeconfig context for each cluster; there are: {', '.join(access.contexts()) or 'none'}",
                fix=EXAMPLE,
            )
        chosen = self.options.contexts
        access.require(chosen)
        documents = access.kubeconfigs(chosen)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kubeconfig"
            write_private(path, kubeconfig.merge(documents))
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

    def down(self, clusters: Sequence[str] = ()) -> None:
        if clusters:
            raise errors.UsageError(f"cannot remove {', '.join(clusters)} alone: {FIXED}", fix="lab down (all clusters)")
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
        rows = [row for part in known.clusters for row in node_rows(part.name)]
        return {"backend": self.name, "pid": None, "started": None, "children": rows}

    def loader(self) -> ImageLoader:
        raise no_loader(self.name)

    def api_server(self, cluster: str) -> str:
        return {part.name: part.server for part in plan.require().clusters}[cluster]

    def service_url(self, cluster: str, namespace: str, service: str, port: int | str | None = None) -> str:
        return portforward.url(self.clusters()[cluster], namespace, service, port)
