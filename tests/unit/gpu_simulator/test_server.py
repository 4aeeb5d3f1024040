"""The work socket and the commands that use it, over a real Unix socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from labs.pods.gpu_simulator import ctl, main, smi_main
from labs.pods.gpu_simulator.attribution import Holding
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.server import WorkApi, metrics_app

WORK = {"pod": "model-0", "prefill_tokens": 100, "decode_tokens": 20, "weights_bytes": 16_000_000_000, "kv_cache_bytes": 10**9}


@pytest.fixture
async def socket(fleet: Fleet, tmp_path: Path) -> AsyncIterator[str]:
    path = tmp_path / "gpu.sock"
    runner = web.AppRunner(WorkApi(fleet).app())
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield str(path)
    await runner.cleanup()


async def post(socket: str, path: str, body: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as http,
        http.post(f"http://gpu{path}", data=json.dumps(body)) as response,
    ):
        return response.status, await response.json()


async def command(socket: str, *words: str) -> int:
    return await ctl.run(main._parser().parse_args(["--socket", socket, *words]))


async def test_work_is_answered_with_the_pace(socket: str, fleet: Fleet) -> None:
    status, answer = await post(socket, f"/v1/gpus/{fleet.gpus[0].uuid}/work", WORK | {"running": 4, "seconds": 0.1})
    assert status == 200
    assert answer == {
        "state": "ok",
        "pace": 1.0,
        "prefill_tokens_per_second": pytest.approx(9750),
        "decode_tokens_per_second": pytest.approx(9750),
        "memory_total_bytes": 80 * 2**30,
        "memory_free_bytes": 80 * 2**30 - fleet.gpus[0].profile.reserved_bytes - fleet.gpus[0].memory_used_bytes,
        "error": "",
    }


async def test_a_lost_gpu_says_so(socket: str, fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["xid79"])
    _, answer = await post(socket, f"/v1/gpus/{fleet.gpus[0].uuid}/work", WORK)
    assert (answer["state"], answer["pace"], answer["prefill_tokens_per_second"]) == ("lost", 0, 0)


async def test_heat_reaches_the_client(socket: str, fleet: Fleet, clock: SimpleNamespace) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["overheat"])
    clock.now += 15
    _, answer = await post(socket, f"/v1/gpus/{fleet.gpus[0].uuid}/work", WORK)
    assert answer["pace"] == pytest.approx(0.4, abs=0.02)
    assert answer["prefill_tokens_per_second"] == pytest.approx(9750 * answer["pace"])


async def test_bad_requests_are_refused_with_a_reason(socket: str, fleet: Fleet) -> None:
    status, answer = await post(socket, "/v1/gpus/GPU-none/work", WORK)
    assert status == 404 and "GPU-none" in answer["error"]
    status, answer = await post(socket, f"/v1/gpus/{fleet.gpus[0].uuid}/work", {"tokens": 1})
    assert status == 400 and "unknown field" in answer["error"]


async def test_faults_by_command(socket: str, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(socket, "ctl", "fault", "inject", "--gpu", "1", "--fault", "xid79") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "lost"
    assert await command(socket, "ctl", "fault", "list", "--gpu", "1") == 0
    listing = json.loads(capsys.readouterr().out)
    assert set(listing["known"]) == set(FAULTS)
    assert listing["gpus"] == [{"gpu": 1, "uuid": fleet.gpus[1].uuid, "faults": ["xid79"], "xid": 79}]
    assert await command(socket, "ctl", "fault", "heal", "--gpu", fleet.gpus[1].uuid, "--fault", "xid79") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "ok"


async def test_refused_commands_exit_with_one(socket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command(socket, "ctl", "fault", "inject", "--gpu", "9", "--fault", "xid79") == 1
    assert "there are: 0 to 3" in capsys.readouterr().err
    assert await command(socket, "ctl", "fault", "inject", "--gpu", "0", "--fault", "meltdown") == 1
    assert "overheat, power-cap" in capsys.readouterr().err
    assert await command(socket, "ctl", "fault", "list", "--gpu", "9") == 1
    assert await command("/nowhere/gpu.sock", "ctl", "list") == 1
    assert "no GPU simulator answers on /nowhere/gpu.sock" in capsys.readouterr().err


async def test_tables(socket: str, fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.inject(fleet.gpus[3], FAULTS["xid79"])
    assert await command(socket, "ctl", "list") == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 5 and table[0].startswith("GPU  STATE") and "lost" in table[4]
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", f"{fleet.gpus[0].uuid},{fleet.gpus[3].uuid}")
    assert await smi_main.run([], socket) == 0
    smi = capsys.readouterr().out
    assert smi.count("NVIDIA A100-SXM4-80GB") == 2 and "ERR!" in smi and "XID 79" in smi


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--query-gpu=nonsense", "--format=csv"], 2, 'Field "nonsense" is not a valid field to query.\n'),
        (["pmon"], 3, "not simulated: pmon"),
        (["-i", "7"], 6, "No devices were found\n"),
    ],
)
async def test_nvidia_smi_ends_with_its_own_exit_codes(
    socket: str, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await smi_main.run(words, socket) == code
    assert capsys.readouterr().err.startswith(message)


def test_nvidia_smi_without_a_simulator(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPU_SIMULATOR_SOCKET", "/nowhere/gpu.sock")
    assert main.main(["smi", "-L"]) == 1
    assert "no GPU simulator answers on /nowhere/gpu.sock" in capsys.readouterr().err


class OneHolder:
    async def current(self) -> Holding:
        return {}


@pytest.mark.parametrize(("registered", "ready"), [(True, 200), (False, 503)])
async def test_the_metrics_port(fleet: Fleet, registered: bool, ready: int) -> None:
    async with TestClient(TestServer(metrics_app(fleet, OneHolder(), lambda: registered))) as client:
        assert (await client.get("/health")).status == 200
        assert (await client.get("/ready")).status == ready
        page = await client.get("/metrics")
        assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "DCGM_FI_DEV_GPU_UTIL" in await page.text()
