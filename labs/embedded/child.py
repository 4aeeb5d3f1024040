"""One child process of the supervisor: started when its dependencies are ready, restarted with back-off when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from labs.wire.parent import die_with_parent

log = logging.getLogger(__name__)

FIRST_BACKOFF = 0.5
MAX_BACKOFF = 10.0
STEADY_AFTER = 20.0
"""Seconds a child must live for its next death to count as the first again."""
PROBE_EVERY = 0.1
PROBE_TIMEOUT = 2.0


@dataclass(frozen=True)
class HttpProbe:
    """A child is ready when this URL answers 200; certificate files where it asks for them."""

    url: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    async def passes(self) -> bool:
        context: ssl.SSLContext | bool = True
        if self.ca:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert and self.key:
                context.load_cert_chain(self.cert, self.key)
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(self.url, ssl=context) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


@dataclass(frozen=True)
class ChildSpec:
    """What to run. ``after`` names children that must be ready first; children stop in ascending ``stop_order``."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    probe: HttpProbe | None = None
    stop_order: int = 0
    stop_grace: float = 3.0
    """Seconds between SIGTERM and SIGKILL."""
    once: bool = False
    """Run once to its end, without restarts."""


class Child:
    """The process of one ``ChildSpec`` and its state."""

    def __init__(self, spec: ChildSpec, log_file: Path, on_ready: Callable[[], None]) -> None:
        self.spec = spec
        self.state = "waiting"
        """``waiting``, ``starting``, ``running``, ``backing-off``, ``done`` or ``stopped``."""
        self.restarts = 0
        self.last_exit: str | None = None
        self.ready = asyncio.Event()
        self.pid: int | None = None
        self._log_file = log_file
        self._on_ready = on_ready
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._skip_backoff = asyncio.Event()

    def describe(self) -> dict[str, Any]:
        """One row of ``lab status``."""
        return {
            "name": self.spec.name,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }

    async def run(self, needs: list[Child]) -> None:
        """Keep the process alive until ``stop``."""
        for other in needs:
            await other.ready.wait()
        backoff = FIRST_BACKOFF
        while not self._stopping:
            started = time.monotonic()
            try:
                await self._run_once()
            except (OSError, subprocess.SubprocessError) as error:
                # The program is missing for a moment (it is being replaced), or the machine is out of processes.
                self.last_exit = f"could not start: {error}"
            if self._stopping or (self.spec.once and self.last_exit == "exit code 0"):
                break
            backoff = FIRST_BACKOFF if time.monotonic() - started > STEADY_AFTER else backoff
            self.state = "backing-off"
            log.warning("%s ended (%s); next start in %.1f s", self.spec.name, self.last_exit, backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._skip_backoff.wait(), backoff)
            self._skip_backoff.clear()
            backoff = min(backoff * 2, MAX_BACKOFF)
            self.restarts += 1
        self.state = "stopped" if self._stopping else "done"

    async def _run_once(self) -> None:
        self.state = "starting"
        with self._log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | self.spec.env,
                preexec_fn=die_with_parent(os.getpid()),
                # Its own process group: Ctrl-C in the terminal that started the lab must not reach the children.
                process_group=0,
            )
        self.pid = self._process.pid
        watch = asyncio.create_task(self._until_ready())
        try:
            code = await self._process.wait()
        except asyncio.CancelledError:
            self.signal(signal.SIGKILL)
            raise
        finally:
            watch.cancel()
        self.ready.clear()
        self.pid = None
        self.last_exit = describe_exit(code)

    async def _until_ready(self) -> None:
        while self.spec.probe and not await self.spec.probe.passes():
            await asyncio.sleep(PROBE_EVERY)
        self.state = "running"
        self.ready.set()
        self._on_ready()

    def signal(self, number: int) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    def restart(self) -> None:
        """End the process now; ``run`` starts it again without waiting."""
        self._skip_backoff.set()
        self.signal(signal.SIGTERM)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when the process is gone."""
        self._stopping = True
        self._skip_backoff.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.spec.stop_grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await process.wait()


def describe_exit(code: int) -> str:
    """``exit code 1`` or ``killed by SIGKILL``, from subprocess's return code."""
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"
