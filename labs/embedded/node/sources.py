"""ConfigMaps, Secrets and Services the node's pods refer to."""

from __future__ import annotations

import asyncio
import time

from labs.embedded.node.model import Object
from labs.wire.kube_api import ApiError, KubeApi

FRESH = 0.2
"""Seconds for which an object that was read is used again: pods that start together read it once. A kubelet watches what its pods
refer to, so that a new pod never gets what was replaced before it was made."""
FORBIDDEN_RETRIES = 10
"""The node authorizer learns with a little delay that a pod (and so what it refers to) belongs to this node."""
KINDS = {"configmaps": "configmap", "secrets": "secret"}


class MissingSource(Exception):
    """An object or key a pod refers to is not there; the message is the kubelet's."""


class Sources:
    """Reads objects on behalf of pods; holds the Services of all namespaces once they were listed."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._cache: dict[tuple[str, str, str], tuple[float, Object]] = {}
        self._services: dict[tuple[str, str], Object] = {}
        self._services_known = asyncio.Event()

    async def get(self, resource: str, namespace: str, name: str) -> Object:
        """A ConfigMap (``configmaps``) or Secret (``secrets``), at most ``FRESH`` seconds old.

        Raises:
            MissingSource: there is none.
            ApiError: anything else the API server objects to.
        """
        key = (resource, namespace, name)
        read_at, found = self._cache.get(key, (0.0, {}))
        if not found or time.monotonic() - read_at > FRESH:
            found = await self._read(*key)
            self._cache[key] = (time.monotonic(), found)
        return found

    async def _read(self, resource: str, namespace: str, name: str) -> Object:
        for attempt in range(FORBIDDEN_RETRIES):
            try:
                return await self._api.get(resource, namespace, name)
            except ApiError as error:
                self._cache.pop((resource, namespace, name), None)
                if error.code == 404:
                    raise MissingSource(f'{KINDS[resource]} "{name}" not found') from None
                if error.code != 403 or attempt == FORBIDDEN_RETRIES - 1:
                    raise
            await asyncio.sleep(0.1)
        raise AssertionError("the loop returns or raises")

    async def token(self, namespace: str, account: str, body: Object) -> Object:
        """A new token of a service account (``status`` of a TokenRequest)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return (await self._api.request("POST", path, body))["status"]

    async def services(self, namespace: str) -> list[Object]:
        """The Services of ``namespace`` that have a cluster IP, by name."""
        await self._services_known.wait()
        return [item for (space, _), item in sorted(self._services.items()) if space == namespace and has_cluster_ip(item)]

    async def follow_services(self) -> None:
        """Keep the Services up to date; runs until cancelled."""

        def on_change(kind: str, item: Object) -> None:
            key = (item["metadata"]["namespace"], item["metadata"]["name"])
            if kind == "DELETED":
                self._services.pop(key, None)
            else:
                self._services[key] = item

        await self._api.follow("services", on_change, on_sync=self._services_known.set)


def has_cluster_ip(service: Object) -> bool:
    return service["spec"].get("clusterIP", "None") not in ("", "None")
