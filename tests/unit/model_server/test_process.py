"""The program as a pod runs it: it drains on SIGTERM, and one core streams thousands of tokens a second."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import pytest

from labs.config import ROOT
from labs.pods.model_server.gpu import Speed
from labs.pods.model_server.lifecycle import REPORT_EVERY
from labs.wire.gpu_work import Work
from tests.support.network import free_port

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def launch(http: aiohttp.ClientSession, *flags: str) -> tuple[asyncio.subprocess.Process, str]:
    """A server that is ready, and its URL."""
    port = free_port()
    words = ["-m", "labs.pods", "model-server", f"--port={port}", f"--metrics-port={free_port()}", "--load-seconds=0", *flags]
    environment = {"PYTHONPATH": str(ROOT), "BIND_ADDRESS": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(sys.executable, *words, env=environment, stdout=asyncio.subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30):
        while True:
            try:
                if (await http.get(url + "/health")).status == 200:
                    return process, url
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)


async def test_sigterm_drains_what_runs_and_ends_well(http: aiohttp.ClientSession) -> None:
    process, url = await launch(http, "--tokens-per-second=20")
    body = {"prompt": "p95", "max_tokens": 60, "ignore_eos": True, "stream": True}
    stream = await http.post(url + "/v1/completions", json=body)
    await stream.content.readany()
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        while (await http.get(url + "/health")).status != 503:  # out of the endpoints first
            await asyncio.sleep(0.01)
    late = await http.post(url + "/v1/completions", json={"prompt": "p95", "max_tokens": 1})
    assert late.status == 200, "whoever does not know yet is still served"
    text = (await stream.read()).decode()
    assert text.endswith("data: [DONE]\n\n") and '"finish_reason":"length"' in text
    assert await asyncio.wait_for(process.wait(), 10) == 0
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(url + "/health")


async def test_what_runs_longer_than_the_drain_is_cut_off(http: aiohttp.ClientSession) -> None:
    process, url = await launch(http, "--tokens-per-second=5", "--drain-seconds=0.5")
    stream = await http.post(
        url + "/v1/completions", json={"prompt": "p95", "max_tokens": 200, "ignore_eos": True, "stream": True}
    )
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    with pytest.raises(aiohttp.ClientPayloadError):
        await stream.read()


async def test_health_generate_runs_a_token_unless_one_came_a_moment_ago(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.pods.model_server.server.RECENT", 60.0)
    running = await start()
    made = running.server.engine

    async def status() -> int:
        return (await running.http.get(running.url + "/health_generate")).status

    assert await status() == 200 and made.last_result > 0
    before = made.last_result
    assert await status() == 200 and made.last_result == before


async def test_health_generate_sees_a_hung_gpu_that_health_does_not(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.pods.model_server.server.PROBE_DEADLINE", 0.2)
    running = await start("--max-num-seqs=1", "--max-waiting=1")

    async def hang(work: Work) -> Speed:
        return Speed(pace=0)

    monkeypatch.setattr(running.server.lifecycle.gpu, "report", hang)
    await asyncio.sleep(2 * REPORT_EVERY)
    seen = await running.http.get(running.url + "/health_generate")
    assert seen.status == 503 and "no token" in await seen.text()
    assert (await running.http.get(running.url + "/health")).status == 200
    assert running.server.engine.waiting == []
