"""HTTP probes against a real server: statuses, redirects, headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from labs.embedded.node import probes
from labs.embedded.node.probes import Outcome

ADDRESS, WIRE = "10.99.0.7", "127.99.0.7"


class Server:
    """Answers PATH with (status, headers); keeps the paths and hosts that were asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.seen: list[tuple[str, str]] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append((request.path_qs, request.host))
        status, headers = self.answers.get(request.path_qs, (200, {}))
        return web.Response(status=status, headers=headers, text=f"body of {request.path}")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, WIRE, 0).start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


async def probe(server: Server, path: str, **action: Any) -> probes.Result:
    return await probes.http(ADDRESS, {"ports": []}, {"path": path, "port": server.port} | action, 10.0)


async def test_a_redirect_is_followed_to_what_it_leads_to(server: Server) -> None:
    server.answers = {"/health": (302, {"Location": "/login?next=1"}), "/login?next=1": (500, {})}
    assert await probe(server, "/health") == (Outcome.FAILURE, "HTTP probe failed with statuscode: 500")
    assert [path for path, _ in server.seen] == ["/health", "/login?next=1"]
    assert {host for _, host in server.seen} == {f"{ADDRESS}:{server.port}"}
    server.answers["/login?next=1"] = (200, {})
    assert await probe(server, "/health") == (Outcome.SUCCESS, "")


async def test_a_redirect_by_its_full_address_stays_on_the_host(server: Server) -> None:
    server.answers = {"/health": (301, {"Location": f"http://{ADDRESS}:{server.port}/ok"})}
    assert await probe(server, "/health") == (Outcome.SUCCESS, "")
    assert [path for path, _ in server.seen] == ["/health", "/ok"]


@pytest.mark.parametrize("location", ["http://example.com/login", "http://10.99.0.8/ok"])
async def test_a_redirect_to_another_host_is_a_success_with_a_warning(server: Server, location: str) -> None:
    server.answers = {"/health": (302, {"Location": location})}
    warning = "Probe terminated redirects, Response body: body of /health"
    assert await probe(server, "/health") == (Outcome.WARNING, warning)
    assert Outcome.WARNING.passes and not Outcome.FAILURE.passes


async def test_a_circle_of_redirects_fails(server: Server) -> None:
    server.answers = {"/a": (307, {"Location": "/b"}), "/b": (308, {"Location": "/a"})}
    outcome, message = await probe(server, "/a")
    assert outcome is Outcome.FAILURE
    assert message.endswith("stopped after 10 redirects")
    assert len(server.seen) == probes.MAX_REDIRECTS


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, Outcome.SUCCESS), (304, Outcome.WARNING), (400, Outcome.FAILURE), (503, Outcome.FAILURE)]
)
async def test_statuses(server: Server, status: int, outcome: Outcome) -> None:
    server.answers = {"/health": (status, {})}
    assert (await probe(server, "/health"))[0] is outcome


async def test_headers_of_the_probe_come_first(server: Server) -> None:
    await probe(server, "/health", httpHeaders=[{"name": "Host", "value": "shop.example"}])
    assert server.seen == [("/health", "shop.example")]


async def test_nobody_listens(server: Server) -> None:
    outcome, message = await probes.http("10.99.0.9", {}, {"path": "/", "port": server.port}, 5.0)
    assert outcome is Outcome.FAILURE
    assert message == f'Get "http://10.99.0.9:{server.port}/": dial tcp 10.99.0.9:{server.port}: connect: connection refused'
