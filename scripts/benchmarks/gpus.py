"""Figures of the GPU simulator: one node's GPUs under work, and a fleet of thousands without processes."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from labs import config, errors
from labs.wire.gpu_work import Work

GPUS, SECONDS = 8, 20.0
REPORT_EVERY = 0.1
NODES = 1000
SCRAPES = 5
STARTED = 120.0
"""Seconds a program may take until it answers."""
STOPPED = 120.0
"""Seconds a program may take to end: one of a fleet deletes its nodes first."""
ADDRESS = "127.0.0.1"
PORT = 9400
FLEET_PORT = 19400
TICKS = os.sysconf("SC_CLK_TCK")


def measure() -> dict[str, float]:
    """The cost of a busy GPU in percent of one core; the scrape of 8 GPUs, and that of 8,000 with its memory."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_node(Path(folder))) | asyncio.run(_fleet())


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """``gpu-simulator WORDS`` for as long as the block lasts."""
    env = {**os.environ, "BIND_ADDRESS": ADDRESS, "PYTHONPATH": str(config.ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "labs.pods", "gpu-simulator", *words], env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(STOPPED)


async def _node(folder: Path) -> dict[str, float]:
    """One node with 8 GPUs, each told of work ten times a second."""
    socket = folder / "gpu.sock"
    paths = ("--device-plugins", str(folder), "--pod-resources", str(folder), "--state", str(folder), "--settings", str(folder))
    with program("--socket", str(socket), "serve", "--node=bench", f"--count={GPUS}", *paths) as process:
        await _answers(f"http://{ADDRESS}:{PORT}/health")
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http:
            async with http.get("http://gpu/v1/gpus") as response:
                uuids = [gpu["uuid"] for gpu in await response.json()]
            before = _cpu_seconds(process.pid)
            await asyncio.gather(*(_work(http, uuid) for uuid in uuids))
            used = _cpu_seconds(process.pid) - before
        scrapes = await seconds_of_scrapes(f"http://{ADDRESS}:{PORT}/metrics")
    return {
        "gpu_percent_of_a_core": 100 * used / SECONDS / GPUS,
        "gpu_scrape_8_gpus_ms": 1000 * statistics.median(scrapes),
    }


async def _work(http: aiohttp.ClientSession, uuid: str) -> None:
    loop = asyncio.get_running_loop()
    work = Work("bench", 100, 20, 16_000_000_000, 10**9, 4, REPORT_EVERY)
    for number in range(round(SECONDS / REPORT_EVERY)):
        due = loop.time() + REPORT_EVERY
        async with http.post(f"http://gpu/v1/gpus/{uuid}/work", json=vars(work)) as response:
            if response.status != 200:
                raise errors.LabError(f"report {number} was refused: {await response.text()}")
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _fleet() -> dict[str, float]:
    """1,000 nodes with 8 GPUs each in one process."""
    with program("many", f"--nodes={NODES}", f"--gpus={GPUS}", f"--port={FLEET_PORT}") as process:
        url = f"http://{ADDRESS}:{FLEET_PORT}/metrics"
        await _answers(url)
        before = _cpu_seconds(process.pid)
        scrapes = await seconds_of_scrapes(url)
        used = _cpu_seconds(process.pid) - before
        return {
            "fleet_scrape_seconds": statistics.median(scrapes),
            # On a machine with other work this tells more than the clock does.
            "fleet_scrape_cpu_seconds": used / SCRAPES,
            "fleet_rss_gigabytes": peak_bytes(process.pid) / 1e9,
        }


async def _answers(url: str) -> None:
    deadline = time.monotonic() + STARTED
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as response:
                    response.raise_for_status()
                    return
            except aiohttp.ClientError as error:
                if time.monotonic() > deadline:
                    raise errors.TimedOut(f"{url} does not answer: {error}", fix="is the port free?") from error
            await asyncio.sleep(0.1)


async def seconds_of_scrapes(url: str) -> list[float]:
    """Seconds of each of some scrapes, to the last byte."""
    found = []
    async with aiohttp.ClientSession() as http:
        for _ in range(SCRAPES):
            begin = time.perf_counter()
            async with http.get(url) as response:
                async for _ in response.content.iter_chunked(1 << 20):
                    pass
            found.append(time.perf_counter() - begin)
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_bytes(pid: int) -> int:
    """The most memory the process had (VmHWM of proc(5))."""
    rows = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(rows["VmHWM"].split()[0]) * 1024
