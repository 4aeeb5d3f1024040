"""ConfigMaps, Secrets and Services the node's pods refer to."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time

from labs.embedded.node.model import Object
from labs.waiting import async_attempts
from labs.wire.kube_api import ApiError, KubeApi

FRESH = 0.2
"""Seconds for which an object is reused after a read: pods that start together read it once. A kubelet watches what its pods
refer to, so that a new pod never gets data replaced before its creation."""
FORBIDDEN_GRACE = 1.0
"""Seconds in which the node authorizer may refuse: it learns with a short delay that a pod, and so what it refers to, belongs to
this node."""
KINDS = {"configmaps": "configmap", "secrets": "secret"}


class MissingSource(Exception):
    """An object or key a pod refers to is not there; the message is the kubelet's."""


class Sources:
    """Reads objects on behalf of pods; holds the Services of all namespaces once listed."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._cache: dict[tuple[str, str, str], tuple[float, Object]] = {}
        self._services: dict[tuple[str, str], Object] = {}
        self._services_known = asyncio.Event()

    async def get(self, resource: str, namespace: str, name: str) -> Object:
        """A ConfigMap (``configmaps``) or Secret (``secrets``), at most ``FRESH`` seconds old.

        Raises:
            MissingSource: there is none.
            ApiError: any other error of the API server.
        """
        key = (resource, namespace, name)
        read_at, found = self._cache.get(key, (0.0, {}))
        if not found or time.monotonic() - read_at > FRESH:
            found = await self._read(*key)
            self._cache[key] = (time.monotonic(), found)
        return found

    async def _read(self, resource: str, namespace: str, name: str) -> Object:
        async for spent in async_attempts(FORBIDDEN_GRACE):
            try:
                return await self._api.get(resource, namespace, name)
            except ApiError as error:
                self._cache.pop((resource, namespace, name), None)
                if error.code == 404:
                    raise MissingSource(f'{KINDS[resource]} "{name}" not found') from None
                if error.code != 403 or spent >= FORBIDDEN_GRACE:
                    raise
        raise AssertionError("the loop returns or raises")

    async def token(self, namespace: str, account: str, body: Object) -> Object:
        """A new token of a service account (``status`` of a TokenRequest)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        status: Object = (await self._api.request("POST", path, body))["status"]
        return status

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


async def data_of(sources: Sources, resource: str, namespace: str, name: str) -> dict[str, bytes]:
    """The keys of a ConfigMap or Secret with their decoded values.

    Raises:
        MissingSource: there is no such object.
    """
    found = await sources.get(resource, namespace, name)
    if resource == "configmaps":
        plain = {key: value.encode() for key, value in found.get("data", {}).items()}
        return plain | {key: _decode(value) for key, value in found.get("binaryData", {}).items()}
    return {key: _decode(value) for key, value in found.get("data", {}).items()}


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error as error:  # the API server checks this: something is very wrong
        raise MissingSource(f"illegal base64 data: {error}") from error
