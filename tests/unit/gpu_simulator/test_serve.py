"""The program as a process: it starts, serves and ends on SIGTERM; wrong words and an unknown GPU are refused."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from labs import config
from labs.pods.gpu_simulator import ctl, main

ADDRESS = "127.99.0.9"
"""Of loopback, and no address of a lab."""


async def start(tmp_path: Path, *words: str) -> asyncio.subprocess.Process:
    folders = ("--device-plugins", str(tmp_path), "--pod-resources", str(tmp_path), "--state", str(tmp_path / "state"))
    command = (
        "-m",
        "labs.pods",
        "gpu-simulator",
        "--socket",
        str(tmp_path / "gpu.sock"),
        "serve",
        "--node",
        "n",
        *folders,
        *words,
    )
    env = {"PATH": os.environ["PATH"], "BIND_ADDRESS": ADDRESS, "PYTHONPATH": str(config.ROOT)}
    return await asyncio.create_subprocess_exec(sys.executable, *command, env=env, stderr=PIPE)


async def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    process = await start(tmp_path, "--product", "Tesla-T4", "--count", "2")
    try:
        async with asyncio.timeout(20):
            while not (tmp_path / "gpu.sock").exists():
                await asyncio.sleep(0.05)
        gpus = await ctl.call(str(tmp_path / "gpu.sock"), "GET", "/v1/gpus")
        assert [gpu["model"] for gpu in gpus] == ["Tesla T4"] * 2
        assert os.access(tmp_path / "state" / "nvidia-smi", os.X_OK)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_gpu_without_a_profile_is_refused(tmp_path: Path) -> None:
    process = await start(tmp_path, "--product", "GTX-1080")
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert "expected a GPU product with a profile" in stderr.decode()


@pytest.mark.parametrize("words", [[], ["ctl"], ["ctl", "fault", "inject"], ["serve", "--count", "many"]])
def test_wrong_words_exit_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.main(words)
    assert stopped.value.code == 2
