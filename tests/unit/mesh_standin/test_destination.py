"""What the destination service streams, and when."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from labs.pods.mesh_standin import service
from labs.pods.mesh_standin.destination import REQUIRED, Destination
from tests.unit.mesh_standin import objects


def destination() -> Destination:
    found = Destination()
    for name in REQUIRED:
        found.on_sync(name)
    for name, item in {
        "namespaces": objects.namespace(),
        "pods": objects.pod(),
        "services": objects.service(),
        "endpointslices": objects.endpoint_slice("10.10.1.5"),
    }.items():
        found.on_change(name, "ADDED", item)
    return found


async def next_update(response: ClientResponse) -> dict[str, Any]:
    update: dict[str, Any] = json.loads(await response.content.readline())
    return update


async def test_first_everything_then_only_what_changed() -> None:
    known = destination()
    application = service.application(known.is_ready)
    application.router.add_get("/v1/config", known.stream)
    async with TestClient(TestServer(application)) as client:
        response = await client.get("/v1/config?namespace=demo&pod=server-0")
        first = await next_update(response)
        assert set(first) == {"inbound", "services"}
        known.on_change("servers", "ADDED", objects.server())
        second = await next_update(response)
        assert set(second) == {"inbound"}
        assert second["inbound"][0]["server"]["name"] == "server-http"
        known.on_change("endpointslices", "DELETED", objects.endpoint_slice("10.10.1.5"))
        third = await next_update(response)
        assert third["services"][0]["endpoints"] == []


async def test_not_ready_before_the_first_lists() -> None:
    known = Destination()
    async with TestClient(TestServer(service.application(known.is_ready))) as client:
        assert (await client.get("/ready")).status == 503
        for name in REQUIRED:
            known.on_sync(name)
        assert (await client.get("/ready")).status == 200


def test_a_pod_that_is_gone_has_no_inbound_side() -> None:
    known = destination()
    known.on_change("pods", "DELETED", objects.pod())
    assert known.inbound("demo", "server-0") is None
