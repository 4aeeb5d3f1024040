"""``Session``: one running lab. Everything above the clusters that needs a lab takes one of these."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from labs import kube, topology
from labs.clusters import backends
from labs.clusters.base import Backend, Cluster
from labs.errors import NotFound, NotRunning, UsageError
from labs.journal import Journal
from labs.mesh.base import Mesh
from labs.mesh.choice import mesh_for
from labs.paths import Paths
from labs.telemetry.prometheus import Prometheus
from labs.telemetry.windows import Window
from labs.topology import Role
from labs.wire import no_proxy


class Session:
    """A backend, its clusters by name, their Prometheus servers, the mesh, the journal of faults and the lab's files."""

    def __init__(self, backend: Backend, journal: Journal | None = None, paths: Paths | None = None) -> None:
        self.paths = paths or Paths.current()
        self.backend = backend
        self.clusters: dict[str, Cluster] = backend.clusters()
        self.journal = journal or Journal(self.paths.state / "faults.json")
        self._prometheus: dict[str, Prometheus] = {}

    @classmethod
    def of_checkout(cls) -> Session:
        """The lab of this checkout, running or not; asks no cluster anything."""
        return cls(backends.current())

    def require_running(self) -> None:
        """Check that this lab is up.

        Raises:
            NotRunning: it is not; ``.fix`` says what to type.
        """
        if not self.paths.kubeconfig.exists():
            raise NotRunning("no lab is up in this checkout", fix="lab up")
        self.backend.status()

    # Clusters

    def cluster(self, name: str) -> Cluster:
        """The cluster of that name.

        Raises:
            NotFound: there is none; the message lists those there are.
        """
        if name not in self.clusters:
            raise NotFound("cluster", name, list(self.clusters))
        return self.clusters[name]

    def with_role(self, role: Role) -> list[Cluster]:
        """The running clusters of a role, the primary one first."""
        return [self.clusters[spec.name] for spec in topology.with_role(role) if spec.name in self.clusters]

    def primary(self, role: Role) -> Cluster:
        """The cluster of a role that is up by default.

        Raises:
            NotFound: it does not run.
        """
        return self.cluster(topology.primary(role).name)

    def api(self, cluster: str) -> kube.ApiClient:
        """A ``kubernetes`` client of a cluster."""
        return self.cluster(cluster).api

    def url(self, service: str, cluster: str, port: int | str | None = None) -> str:
        """A URL this machine can open for ``"NAMESPACE/SERVICE"``; ``port`` is a number or a name, the first if None."""
        namespace, slash, name = service.partition("/")
        if not (namespace and slash and name):
            raise UsageError(f"expected NAMESPACE/SERVICE; found {service!r}", fix='lab.url("shop/chat", cluster="app")')
        return no_proxy.exempt_url(self.backend.service_url(self.cluster(cluster).name, namespace, name, port))

    # Mesh and telemetry

    @cached_property
    def mesh(self) -> Mesh:
        """The mesh of this backend."""
        return mesh_for(self.backend.can)

    def prometheus(self, cluster: str) -> Prometheus:
        """The Prometheus of a cluster."""
        if cluster not in self._prometheus:
            self._prometheus[cluster] = Prometheus(self.url("monitoring/prometheus", cluster), cluster)
        return self._prometheus[cluster]

    @property
    def servers(self) -> dict[str, Prometheus]:
        """Every Prometheus, by the name of its cluster."""
        return {name: self.prometheus(name) for name in self.clusters}

    def windows(self) -> Sequence[Window]:
        """When faults were active, for charts."""
        return [injection.window() for injection in self.journal.all()]

    def __repr__(self) -> str:
        return f"<lab on backend {self.backend.name}: clusters {', '.join(self.clusters)}>"
