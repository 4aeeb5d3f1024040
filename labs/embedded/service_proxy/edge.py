"""The load balancer at the cluster's edge: where traffic from another cluster enters, under the conditions of the link.

It replaces the cloud's load balancer and the wide-area network before it. Each Service of type LoadBalancer has a listener
here; on a clear link bytes are passed on as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable

from labs.embedded import plan
from labs.embedded.service_proxy.table import ServicePort
from labs.link_conditions import CLEAR, Direction, LinkConditions

log = logging.getLogger(__name__)

CHUNK = 65536
SEGMENT = 1460
"""Bytes of one TCP segment on an Ethernet path: loss hits segments, not chunks."""
RETRANSMIT = 0.2
"""Seconds until a lost segment is sent again: Linux' smallest retransmission timeout (TCP_RTO_MIN)."""
LOOK = 0.1
"""Seconds between two checks whether a direction that loses everything delivers again."""
IN_FLIGHT = 64
"""Most chunks in flight; a faster sender waits, as with a full TCP window."""

Address = tuple[str, int]


class Edge:
    """The listeners of one cluster's edge, kept in step with its Services."""

    def __init__(self) -> None:
        self.conditions = CLEAR
        self._servers: dict[Address, asyncio.Server] = {}
        self._endpoints: dict[Address, tuple[Address, ...]] = {}

    async def update(self, rows: Iterable[ServicePort]) -> None:
        """Listen for the load balancers among ``rows`` that have endpoints, and stop listening for others."""
        wanted = {
            (plan.network().bind(row.cluster_ip), row.port): row.endpoints for row in rows if serves(row) and row.cluster_ip
        }
        for address in set(self._servers) - set(wanted):
            self._servers.pop(address).close()
        self._endpoints = wanted
        for address in set(wanted) - set(self._servers):
            self._servers[address] = await asyncio.start_server(self._handler(address), *address)

    def _handler(self, address: Address) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], asyncio.Future[None]]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Future[None]:
            return asyncio.ensure_future(self._serve(address, reader, writer))

        return accept

    async def _serve(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            host, port = random.choice(self._endpoints[address])
            behind_reader, behind_writer = await asyncio.open_connection(host, port)
        except (OSError, KeyError) as error:
            log.info("%s:%d: nobody behind it: %r", *address, error)
            writer.close()
            return
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, behind_writer, "requests"))
                ways.create_task(self._carry(behind_reader, writer, "answers"))
        for end in (writer, behind_writer):
            end.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """One direction of one connection: each chunk arrives when the link lets it, and never before an earlier one."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        arrival = asyncio.create_task(self._deliver(way, writer, direction))
        loop = asyncio.get_running_loop()
        try:
            while chunk := await reader.read(CHUNK):
                await way.put((loop.time() + delay(self.conditions, len(chunk)), chunk))
            await way.put((loop.time() + delay(self.conditions, 0), b""))
            await arrival
        finally:
            arrival.cancel()

    async def _deliver(self, way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await way.get()
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            # TCP keeps what is lost and sends it again: it arrives once the link works, if both ends still wait.
            while direction in self.conditions.lost:
                await asyncio.sleep(LOOK)
            if not chunk:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


def serves(row: ServicePort) -> bool:
    """Whether the edge, and not Envoy, listens for this port: it belongs to a load balancer that has endpoints."""
    return row.load_balancer and bool(row.endpoints) and row.cluster_ip is not None


def delay(conditions: LinkConditions, size: int) -> float:
    """Seconds that ``size`` bytes take one way: half the latency, and a timeout for each time a segment was lost in a row."""
    seconds = conditions.latency_ms / 2000
    if not conditions.loss_percent:
        return seconds
    share = conditions.loss_percent / 100
    worst = 0
    for _ in range(max(1, -(-size // SEGMENT))):
        tries = 0
        while random.random() < share:
            tries += 1
        worst = max(worst, tries)
    # Each further loss of the same segment doubles the timeout (RFC 6298, 5.5).
    return seconds + RETRANSMIT * ((1 << worst) - 1)
