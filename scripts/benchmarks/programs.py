"""Figures of the programs in pods, measured without a cluster: model server and load generator, each on a core of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from labs import config, errors

RPS = 500
SECONDS = 10
STREAMS, ANSWER_TOKENS = 16, 1000
STARTED = 30.0
"""Seconds the model server may take to answer."""


def measure() -> dict[str, float]:
    """Streamed tokens per second of a model server whose GPU is infinitely fast, and how late the load generator sends at 500
    requests a second (milliseconds, 99th percentile). Where ``vegeta`` is on the PATH its lateness stands beside ours."""
    with _model_server() as url:
        streamed = _load(url, f"--users={STREAMS}", "--stream", f"--answer-tokens={ANSWER_TOKENS}", "--timeout=60")
        figures = {"model_server_tokens_per_second": streamed["tokens_per_second"]}
        with _before_others():
            paced = _load(url, f"--rps={RPS}", "--max-tokens=1")
            figures["load_send_error_p99_ms"] = 1000 * paced["send_lag"]["p99"]
            figures["load_achieved_rps"] = paced["achieved_rps"]
            if vegeta := shutil.which("vegeta"):
                figures["vegeta_send_error_p99_ms"] = 1000 * _vegeta(vegeta, url)
    return figures


@contextmanager
def _before_others() -> Iterator[None]:
    """Programs started inside run before all others, where the system grants it (root): how late a request leaves is then the
    generator's doing, and not that of whatever else this machine does."""
    try:
        kept = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, PermissionError):  # not Linux, or not root
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *kept)


def _program(*words: str) -> list[str]:
    return [sys.executable, "-m", "labs.pods", *words]


def _environment() -> dict[str, str]:
    return {**os.environ, "BIND_ADDRESS": "127.0.0.1", "PYTHONPATH": str(config.ROOT), "NO_PROXY": "127.0.0.1"}


def _pin(pid: int, core: int) -> None:
    """Give a process one core, where the machine has two and the system can."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(0))[core]})


@contextmanager
def _model_server() -> Iterator[str]:
    """A server without pacing; gives its URL."""
    port, metrics = _free_port(), _free_port()
    words = _program("model-server", f"--port={port}", f"--metrics-port={metrics}", "--load-seconds=0", "--tokens-per-second=0")
    process = subprocess.Popen([*words, "--max-waiting=1000"], env=_environment(), stdout=subprocess.DEVNULL)
    try:
        _pin(process.pid, 0)
        _wait(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + STARTED
    while True:
        try:
            opener.open(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise errors.TimedOut(
                    f"the model server does not answer: {error}", fix="python -m labs.pods model-server"
                ) from error
        time.sleep(0.05)


def _load(url: str, *flags: str) -> dict[str, Any]:
    """The load generator's last line."""
    words = _program("loadgen", f"--url={url}", f"--seconds={SECONDS}", *flags)
    process = subprocess.Popen(words, env=_environment(), stdout=subprocess.PIPE, text=True)
    _pin(process.pid, 1)
    out, _ = process.communicate(timeout=120)
    return dict(json.loads(out.splitlines()[-1]))


def _vegeta(program: str, url: str) -> float:
    """The same figure, in seconds, of vegeta at the same rate."""
    body = json.dumps({"prompt": "p95", "max_tokens": 1})
    packed = base64.b64encode(body.encode()).decode()
    header = {"Content-Type": ["application/json"]}
    target = json.dumps({"method": "POST", "url": f"{url}/v1/completions", "body": packed, "header": header})
    attack = [program, "attack", "-format=json", f"-rate={RPS}", f"-duration={SECONDS}s"]
    results = subprocess.run(attack, input=f"{target}\n".encode(), stdout=subprocess.PIPE, check=True, env=_environment()).stdout
    lines = subprocess.run([program, "encode"], input=results, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return lateness([json.loads(line) for line in lines])


def lateness(results: list[dict[str, Any]]) -> float:
    """The 99th percentile, in seconds, of how late vegeta's requests left; the earliest one sets the schedule's beginning."""
    sent = pd.to_datetime(pd.Series([row["timestamp"] for row in results]), utc=True)
    place = pd.Series([row["seq"] for row in results]) / RPS
    late = (sent - sent.min()).dt.total_seconds() - place
    return float((late - late.min()).quantile(0.99))
