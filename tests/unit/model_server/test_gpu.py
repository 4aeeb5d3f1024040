"""The server on a gpu: a fake simulator on a Unix socket says how fast it is, that it is lost, that it is healed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Start


@dataclass
class FakeGpu:
    """What the simulator answers, and the reports it got."""

    answer: dict[str, Any] = field(
        default_factory=lambda: {
            "state": "ok",
            "pace": 1.0,
            "prefill_tokens_per_second": 6000.0,
            "decode_tokens_per_second": 6000.0,
            "memory_total_bytes": 80 * 2**30,
            "memory_free_bytes": 79 * 2**30,
            "error": "",
        }
    )
    reports: list[dict[str, Any]] = field(default_factory=list)

    async def work(self, request: web.Request) -> web.Response:
        if request.match_info["uuid"] != "GPU-1":
            return web.json_response({"error": "unknown"}, status=404)
        self.reports.append(await request.json())
        return web.json_response(self.answer)


@pytest.fixture
async def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGpu]:
    gpu = FakeGpu()
    app = web.Application()
    app.router.add_post("/v1/gpus/{uuid}/work", gpu.work)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "gpu.sock")).start()
    monkeypatch.setenv("GPU_SIMULATOR_SOCKET", str(tmp_path / "gpu.sock"))
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "GPU-1,GPU-2")
    monkeypatch.setenv("POD_NAME", "model-0")
    yield gpu
    await runner.cleanup()


async def test_the_gpu_hears_of_the_work_and_sets_the_pace(start: Start, gpu: FakeGpu) -> None:
    running = await start("--tokens-per-second=200")
    response = await running.ask(max_tokens=40)
    assert response.headers["x-served-by-gpu"] == "GPU-1" and response.headers["x-served-by-pod"] == "model-0"
    full = float(response.headers["x-inference-seconds"])
    gpu.answer["pace"] = 0.25
    await asyncio.sleep(0.2)
    slow = float((await running.ask(max_tokens=40)).headers["x-inference-seconds"])
    assert slow > 2 * full
    await asyncio.sleep(0.2)
    assert sum(report["decode_tokens"] for report in gpu.reports) == 78  # the first token of each comes from the prefill
    assert sum(report["prefill_tokens"] for report in gpu.reports) > 200
    assert max(report["kv_cache_bytes"] for report in gpu.reports) > 0
    assert gpu.reports[-1]["kv_cache_bytes"] == 0 and gpu.reports[-1]["weights_bytes"] > 2**30


async def test_a_lost_gpu_fails_requests_and_health_until_a_new_process_finds_it_healed(start: Start, gpu: FakeGpu) -> None:
    running = await start("--tokens-per-second=20")
    stream = await running.ask(stream=True)
    waiting = asyncio.create_task(running.ask())
    await asyncio.sleep(0.1)
    gpu.answer |= {"state": "lost", "error": "CUDA error: unknown error: the GPU is lost"}
    text = (await stream.read()).decode()
    assert stream.status == 200 and "CUDA error" in text and text.endswith("data: [DONE]\n\n")
    failed = await waiting
    assert failed.status == 500 and "CUDA error" in (await failed.json())["error"]["message"]
    assert (await running.ask()).status == 500
    gpu.answer["state"] = "ok"
    assert (await running.http.get(running.url + "/health")).status == 503

    gpu.answer |= {"state": "lost", "error": "CUDA error: unknown error: the GPU is lost"}
    again = await start(wait=False)
    await asyncio.sleep(0.2)
    health = await again.http.get(again.url + "/health")
    assert health.status == 503 and "cannot load the model: CUDA error" in await health.text()
    gpu.answer["state"] = "ok"
    await again.ready()
    assert (await again.ask()).status == 200


async def test_a_model_too_large_for_the_gpu_stays_unready_and_says_why(start: Start, gpu: FakeGpu) -> None:
    gpu.answer["memory_total_bytes"] = 16 * 2**30
    running = await start(wait=False)
    await asyncio.sleep(0.2)
    assert "out of memory" in await (await running.http.get(running.url + "/health")).text()


async def test_an_unknown_gpu_is_no_gpu(start: Start, gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "GPU-9")
    running = await start(wait=False)
    await asyncio.sleep(0.2)
    assert "no CUDA-capable device" in await (await running.http.get(running.url + "/health")).text()


async def test_reports_have_the_fields_of_the_contract(start: Start, gpu: FakeGpu) -> None:
    await start()
    await asyncio.sleep(0.15)
    names = {"pod", "prefill_tokens", "decode_tokens", "weights_bytes", "kv_cache_bytes", "running", "seconds", "context", "pid"}
    assert set(json.loads(json.dumps(gpu.reports[-1]))) == names and gpu.reports[-1]["pod"] == "model-0"


async def test_a_hung_gpu_answers_nobody_and_fails_nobody_until_it_is_healed(start: Start, gpu: FakeGpu) -> None:
    running = await start("--tokens-per-second=200")
    rates = {"pace": 1.0, "prefill_tokens_per_second": 6000.0, "decode_tokens_per_second": 6000.0}
    gpu.answer |= {"state": "hung"} | dict.fromkeys(rates, 0.0)
    await asyncio.sleep(0.3)
    waiting = asyncio.create_task(running.ask(max_tokens=5))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert (await running.http.get(running.url + "/health")).status == 200, "vLLM's lie: the process is alive"
    gpu.answer |= {"state": "ok"} | rates
    assert (await waiting).status == 200
