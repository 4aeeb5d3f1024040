"""The cluster's edge: bytes pass as they came, and the conditions of the link do to them what they say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.service_proxy import edge
from labs.embedded.service_proxy.edge import Edge, delay
from labs.embedded.service_proxy.table import ServicePort
from labs.link_conditions import CLEAR, LinkConditions
from tests.support.network import free_port

Lab = tuple[Edge, ServicePort, tuple[str, int]]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """An edge before a server that answers each line in capitals."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    behind = server.sockets[0].getsockname()
    port = free_port("127.0.0.1")
    row = ServicePort("linkerd-multicluster", "linkerd-gateway", "10.0.0.1", port, (behind,), load_balancer=True)
    found = Edge()
    await found.update([row])
    yield found, row, ("127.0.0.1", port)
    await found.update([])
    server.close()


async def ask(address: tuple[str, int], line: bytes, timeout: float = 5) -> tuple[bytes, float]:
    """The answer, and the seconds it took."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(line)
        return await asyncio.wait_for(reader.readline(), timeout), time.monotonic() - started
    finally:
        writer.close()


async def test_on_a_clear_link_bytes_pass_and_an_end_is_an_end(lab: Lab) -> None:
    _, _, address = lab
    reader, writer = await asyncio.open_connection(*address)
    sent = b"".join(b"line %d\n" % number for number in range(20_000))
    writer.write(sent)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 10) == sent.upper()
    writer.close()


async def test_latency_is_a_round_trip_and_does_not_add_up_over_chunks(lab: Lab) -> None:
    found, _, address = lab
    found.conditions = LinkConditions(latency_ms=200)
    answer, took = await ask(address, b"hello\n")
    assert answer == b"HELLO\n" and 0.2 <= took < 1.0
    answers = await asyncio.gather(*(ask(address, b"x\n") for _ in range(20)))
    assert max(took for _, took in answers) < 2.0, "one after the other they would take 4 s"


async def test_a_partition_says_nothing_and_what_waited_arrives_when_it_ends(lab: Lab) -> None:
    found, _, address = lab
    found.conditions = LinkConditions(lost=("requests", "answers"))
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"anybody?\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.4)
    found.conditions = CLEAR
    assert await asyncio.wait_for(reader.readline(), 2) == b"ANYBODY?\n"
    writer.close()


async def test_only_answers_are_lost(lab: Lab) -> None:
    found, row, address = lab
    seen = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        seen.set()
        writer.write(b"done\n")

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    await found.update([replace(row, endpoints=(server.sockets[0].getsockname(),))])
    found.conditions = LinkConditions(lost=("answers",))
    with pytest.raises(TimeoutError):
        await ask(address, b"work\n", timeout=0.5)
    assert seen.is_set()
    server.close()


async def test_without_endpoints_nobody_listens(lab: Lab) -> None:
    found, row, address = lab
    await found.update([replace(row, endpoints=())])
    with pytest.raises(OSError):
        await ask(address, b"hello\n")


@given(st.integers(0, 10**6), st.floats(0, 90), st.floats(0, 2000))
def test_nothing_arrives_before_half_the_latency(size: int, loss: float, latency: float) -> None:
    assert delay(LinkConditions(latency_ms=latency, loss_percent=loss), size) >= latency / 2000


def test_loss_costs_whole_timeouts_and_each_further_one_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.1, 0.1, 0.9])
    monkeypatch.setattr(edge.random, "random", lambda: next(draws))
    assert delay(LinkConditions(loss_percent=50), 100) == pytest.approx(3 * edge.RETRANSMIT)
