"""A small asyncio client of the Kubernetes API for the node agent and for programs in pods.

Objects stay plain JSON dictionaries, because a node agent must return fields it does not know. The packages that drive clusters
use the official client instead (``labs.kube``). This client exists because the official one costs 60 MB and 0.6 s per process
and has no asyncio watch.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

log = logging.getLogger(__name__)

Object = dict[str, Any]

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
RELIST_AFTER = 1.0
"""Seconds to wait before listing again after a watch breaks."""


class ApiError(Exception):
    """The API server answered with an error; ``code`` is the HTTP status, ``reason`` that of the metav1.Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


def path_of(resource: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """The URL path of a resource given as ``pods`` (core v1) or ``GROUP/VERSION/PLURAL``.

    >>> path_of("pods", "ml", "model-0", "status")
    '/api/v1/namespaces/ml/pods/model-0/status'
    >>> path_of("apps/v1/deployments", "ml")
    '/apis/apps/v1/namespaces/ml/deployments'
    """
    prefix, _, plural = resource.rpartition("/")
    parts = [f"/apis/{prefix}" if prefix else "/api/v1"]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts.append(plural)
    parts += [part for part in (name, sub) if part]
    return "/".join(parts)


@dataclass(frozen=True)
class Credentials:
    """Access to one API server: a client certificate, or a token file (read for each request, because tokens rotate)."""

    server: str
    ca_file: str
    token_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {Path(self.token_file).read_text().strip()}"} if self.token_file else {}


def in_cluster() -> Credentials:
    """The credentials every pod has: its service account's token and the address in ``KUBERNETES_SERVICE_HOST``.

    On an embedded backend without mount namespaces, ``CONTAINER_ROOT`` names the folder that acts as ``/``.
    """
    folder = os.environ.get("CONTAINER_ROOT", "") + SERVICE_ACCOUNT
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    return Credentials(server, f"{folder}/ca.crt", token_file=f"{folder}/token")


class KubeApi:
    """One API server. Use as ``async with KubeApi(credentials) as api``."""

    def __init__(self, credentials: Credentials, *, user_agent: str = "boring-ops-lab") -> None:
        self._credentials = credentials
        self._user_agent = user_agent
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> KubeApi:
        connector = aiohttp.TCPConnector(ssl=self._credentials.ssl_context(), limit=0)
        # trust_env stays off: HTTP_PROXY in a pod is the mesh's proxy, and the API server is not behind it.
        self._http = aiohttp.ClientSession(
            self._credentials.server, connector=connector, headers={"User-Agent": self._user_agent}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http:
            await self._http.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, str] | None = None,
        content_type: str = "application/json",
        timeout: float = 30,
    ) -> Object:
        """One call; returns the decoded JSON answer.

        Raises:
            ApiError: the server answered with a status of 400 or more.
            aiohttp.ClientError, TimeoutError: it did not answer (``timeout`` in seconds).
        """
        assert self._http is not None, "use 'async with KubeApi(…)'"
        headers = self._credentials.headers() | {"Content-Type": content_type}
        async with self._http.request(
            method,
            path,
            data=None if body is None else json.dumps(body),
            params=params,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise _error(response.status, text)
            answer: Object = json.loads(text)
            return answer

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        return await self.request("GET", path_of(resource, namespace, name))

    async def list(self, resource: str, namespace: str | None = None, **params: str) -> Object:
        """The whole List object; ``params`` are ``fieldSelector``, ``labelSelector``, …"""
        return await self.request("GET", path_of(resource, namespace), params=params)

    async def create(self, resource: str, namespace: str | None, body: Object) -> Object:
        return await self.request("POST", path_of(resource, namespace), body)

    async def replace(self, resource: str, namespace: str | None, name: str, body: Object, sub: str | None = None) -> Object:
        return await self.request("PUT", path_of(resource, namespace, name, sub), body)

    async def patch(
        self,
        resource: str,
        namespace: str | None,
        name: str,
        body: Any,
        *,
        sub: str | None = None,
        content_type: str = MERGE_PATCH,
    ) -> Object:
        return await self.request("PATCH", path_of(resource, namespace, name, sub), body, content_type=content_type)

    async def apply(
        self, resource: str, namespace: str | None, name: str, body: Object, *, manager: str, sub: str | None = None
    ) -> Object:
        """Server-side apply as field manager ``manager``; takes over fields that others own."""
        return await self.request(
            "PATCH",
            path_of(resource, namespace, name, sub),
            body,
            params={"fieldManager": manager, "force": "true"},
            content_type=APPLY_PATCH,
        )

    async def delete(self, resource: str, namespace: str | None, name: str, body: Object | None = None) -> Object:
        return await self.request("DELETE", path_of(resource, namespace, name), body)

    async def watch(self, resource: str, namespace: str | None, version: str, **params: str) -> AsyncIterator[Object]:
        """Raw watch events from ``version`` on, until the server ends the stream (about every 5 to 10 minutes).

        Raises:
            ApiError: for example 410, if ``version`` is too old: list again.
        """
        assert self._http is not None, "use 'async with KubeApi(…)'"
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"} | params
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._http.get(
            path_of(resource, namespace), params=query, headers=self._credentials.headers(), timeout=timeout
        ) as response:
            if response.status >= 400:
                raise _error(response.status, await response.text())
            buffer = b""
            # Split lines here: aiohttp's readline rejects lines over 64 KiB, and a Pod may be larger.
            async for chunk in response.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                    yield event

    async def follow(
        self,
        resource: str,
        on_change: Callable[[str, Object], Awaitable[None] | None],
        namespace: str | None = None,
        on_sync: Callable[[], None] | None = None,
        **params: str,
    ) -> None:
        """List, then watch, forever: calls ``on_change("ADDED"|"MODIFIED"|"DELETED", object)`` in the server's order.

        After a broken watch, it lists again and reports objects that have disappeared as DELETED. ``on_sync`` is called after
        each complete list. Ends only when cancelled.
        """
        known: dict[str, Object] = {}

        async def tell(kind: str, item: Object) -> None:
            uid = item["metadata"]["uid"]
            if kind == "DELETED":
                known.pop(uid, None)
            else:
                known[uid] = item
            result = on_change(kind, item)
            if result is not None:
                await result

        while True:
            try:
                listing = await self.list(resource, namespace, **params)
                items = {item["metadata"]["uid"]: item for item in listing["items"]}
                for uid in [uid for uid in known if uid not in items]:
                    await tell("DELETED", known[uid])
                for uid, item in items.items():
                    seen = known.get(uid)
                    if seen is None or seen["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                        await tell("ADDED" if seen is None else "MODIFIED", item)
                if on_sync:
                    on_sync()
                version = listing["metadata"]["resourceVersion"]
                while True:
                    async for event in self.watch(resource, namespace, version, **params):
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            await tell(event["type"], event["object"])
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                log.info("watch of %s broke (%s); listing again", resource, error)
                await asyncio.sleep(RELIST_AFTER)


def _error(status: int, text: str) -> ApiError:
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    return ApiError(status, body.get("reason", ""), body.get("message", text[:500]))
