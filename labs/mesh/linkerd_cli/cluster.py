"""The cluster that a command talks to, chosen with ``--context`` and ``--kubeconfig`` as for kubectl."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from labs.errors import LabError, NotFound
from labs.paths import Paths
from labs.wire.kube_api import ApiError, KubeApi, Object
from labs.wire.kubeconfig import credentials

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """Which cluster to use; ``context`` None means the kubeconfig's current one."""

    context: str | None
    kubeconfig: str | None

    def read(self) -> dict[str, Any]:
        """The kubeconfig from ``--kubeconfig``, ``$KUBECONFIG`` or the lab, in this order."""
        path = Path(self.kubeconfig or os.environ.get("KUBECONFIG") or Paths.current().kubeconfig)
        if not path.exists():
            raise LabError(f"expected a kubeconfig at {path}; found none", fix="lab up")
        return yaml.safe_load(path.read_text()) or {}

    def cluster_entry(self) -> dict[str, Any]:
        """The kubeconfig's entry (server, certificate authority) of this target's cluster.

        Raises:
            NotFound: the kubeconfig lacks the context, or the cluster that the context names.
        """
        kubeconfig = self.read()
        contexts = {row["name"]: row["context"] for row in kubeconfig.get("contexts") or ()}
        clusters: dict[str, dict[str, Any]] = {row["name"]: row["cluster"] for row in kubeconfig.get("clusters") or ()}
        name = self.context or kubeconfig.get("current-context") or ""
        if name not in contexts:
            raise NotFound("context", name, list(contexts), fix="kubectl config get-contexts")
        cluster = contexts[name]["cluster"]
        if cluster not in clusters:
            raise NotFound("cluster in the kubeconfig", cluster, list(clusters), fix="kubectl config view")
        return clusters[cluster]

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[KubeApi]:
        with tempfile.TemporaryDirectory(prefix="linkerd-") as folder:
            try:
                found = credentials(self.read(), Path(folder), self.context)
            except KeyError as error:
                raise LabError(str(error.args[0]), fix="kubectl config get-contexts") from None
            async with KubeApi(found, user_agent="linkerd-standin") as api:
                yield api

    def run(self, work: Callable[[KubeApi], Awaitable[T]]) -> T:
        """Run ``work(api)`` and return its result.

        Raises:
            LabError: the API server returned an error, or did not answer.
        """

        async def main() -> T:
            async with self.connect() as api:
                return await work(api)

        try:
            return asyncio.run(main())
        except ApiError as error:
            raise LabError(error.message) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LabError(f"Kubernetes does not answer: {error}", fix="lab status") from None


async def find(api: KubeApi, resource: str, namespace: str | None, name: str) -> Object | None:
    """The object, or None if there is none (or its kind is not served)."""
    try:
        return await api.get(resource, namespace, name)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


async def items(api: KubeApi, resource: str, namespace: str | None = None, **params: str) -> list[Object]:
    """The objects of a list; empty if the kind is not served."""
    try:
        found: list[Object] = (await api.list(resource, namespace, **params))["items"]
        return found
    except ApiError as error:
        if error.code == 404:
            return []
        raise
