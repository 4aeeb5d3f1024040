"""``/exec``: run a program in a container, its streams on the channels of a WebSocket."""

from __future__ import annotations

import asyncio
import secrets
import signal

from aiohttp import web

from labs.embedded.node.model import ContainerRecord, PodManager, PodRecord, Process, StartError
from labs.embedded.node.server import channels, terminal
from labs.embedded.node.server.channels import Channels
from labs.embedded.node.server.context import PODS, find_pod

PATHS = ("{namespace}/{pod}/{container}", "{namespace}/{pod}/{uid}/{container}")
DRAIN = 2.0
"""Seconds to wait for the end of the output after the program has ended: a child in the background may hold it open for ever."""
RUNTIME = "OCI runtime exec failed: exec failed: unable to start container process"


async def handle(request: web.Request) -> web.StreamResponse:
    pod = find_pod(request)
    if pod is None:
        return web.Response(status=404, text="pod does not exist")
    name = request.match_info["container"]
    container = pod.containers.get(name)
    if container is None or not container.running:
        return web.Response(status=500, text=f'container not found ("{name}")')
    socket = web.WebSocketResponse(protocols=channels.PROTOCOLS, compress=False)
    if not socket.can_prepare(request).ok:
        return web.Response(status=400, text="this node speaks WebSockets only: unset KUBECTL_REMOTE_COMMAND_WEBSOCKETS")
    await socket.prepare(request)
    await run(request, pod, container, Channels(socket))
    return socket


async def run(request: web.Request, pod: PodRecord, container: ContainerRecord, client: Channels) -> None:
    """Start the program, carry its streams until it ends, and send its exit status."""
    manager = request.app[PODS]
    streams = await _open(request)
    try:
        process = await _start(manager, pod, container, request.query.getall("command", []), streams)
    except StartError as error:
        # The exec's id, which a container runtime would have made up, is part of the recorded message.
        cause = f'failed to exec in container: failed to start exec "{secrets.token_hex(32)}": {RUNTIME}: {error}'
        # The message comes twice, as recorded: once from the runtime's streaming server and once from the kubelet's.
        await client.finish(channels.internal_error(f"Internal error occurred: error executing command in container: {cause}"))
        return
    finally:
        streams.close_program_ends()
    try:
        await _carry(client, streams, process)
    finally:
        streams.close()


async def _open(request: web.Request) -> terminal.Streams:
    wanted = [request.query.get(name) in ("1", "true") for name in ("input", "output", "error")]
    if request.query.get("tty") in ("1", "true"):
        return await terminal.open_terminal()
    return await terminal.open_pipes(*wanted)


async def _start(
    manager: PodManager, pod: PodRecord, container: ContainerRecord, argv: list[str], streams: terminal.Streams
) -> Process:
    command = manager.exec_command(pod, container, argv)
    return await manager.spawn(command, **streams.program, tty=streams.master is not None)


async def _carry(client: Channels, streams: terminal.Streams, process: Process) -> None:
    outputs = [
        asyncio.create_task(_pump(client, channel, streams.outputs[name]))
        for name, channel in (("stdout", channels.STDOUT), ("stderr", channels.STDERR))
        if name in streams.outputs
    ]
    inputs = asyncio.create_task(_feed(client, streams))
    ended = asyncio.create_task(process.wait())
    try:
        # The input task ends only when the client goes away: then there is no reason to keep the program running.
        await asyncio.wait([inputs, ended], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.signal(signal.SIGKILL)
            return
        if outputs:
            await asyncio.wait(outputs, timeout=DRAIN)
        inputs.cancel()
        await asyncio.gather(inputs, return_exceptions=True)
        await client.finish(channels.exit_status(ended.result()))
    finally:
        for task in (*outputs, inputs, ended):
            task.cancel()


async def _pump(client: Channels, channel: int, reader: asyncio.StreamReader) -> None:
    async for data in terminal.chunks(reader):
        await client.send(channel, data)


async def _feed(client: Channels, streams: terminal.Streams) -> None:
    async for channel, data in client.messages():
        if channel == channels.STDIN:
            streams.write(data)
        elif channel == channels.RESIZE:
            streams.resize(data)
        elif channel == channels.CLOSE and data == bytes([channels.STDIN]):
            streams.end_input()
