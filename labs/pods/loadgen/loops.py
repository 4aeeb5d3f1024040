"""The two ways to send: on a schedule that nothing stops, or as users who wait for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from labs.pods.loadgen.client import LoadClient
from labs.pods.loadgen.prompts import Prompt
from labs.pods.loadgen.record import Record

Take = Callable[[Record], None]


async def open_loop(client: LoadClient, due: Sequence[float], prompts: Sequence[Prompt], take: Take) -> None:
    """Send a request at each time of ``due`` (seconds from now), whether or not the earlier ones are answered."""
    start = client.clock.now()

    async def one(id: int) -> None:
        take(await client.send(id, start + due[id], prompts[id]))

    async with asyncio.TaskGroup() as requests:
        for id, offset in enumerate(due):
            await asyncio.sleep(max(0.0, start + offset - client.clock.now()))
            requests.create_task(one(id))


async def closed_loop(
    client: LoadClient, users: int, seconds: float, think: float, draw: Callable[[int], Prompt], take: Take
) -> None:
    """For ``seconds``, let each of ``users`` ask, wait for the answer, think for ``think`` seconds and ask again.

    A server that stalls stops the users too, so the requests that would have met the stall are never sent, and their latency is
    missing from the result (coordinated omission). Here the intended time is the time of sending.
    """
    end = client.clock.now() + seconds
    sent = 0

    async def user() -> None:
        nonlocal sent
        while client.clock.now() < end:
            id, sent = sent, sent + 1
            take(await client.send(id, client.clock.now(), draw(id)))
            await asyncio.sleep(think)

    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(user())
