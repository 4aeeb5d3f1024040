"""Run commands with a timeout, and with errors that name the command."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import sh

from labs import errors
from labs.waiting import wait_until

END_TIMEOUT = 10.0
"""Seconds a program may take to end after SIGTERM."""
PLAIN = {"_tty_out": False}
"""Use a pipe instead of ``sh``'s default terminal: on a terminal, programs write spinners and colours into their output."""

LENIENT = {"_decode_errors": "replace"}
"""A tool may write in another encoding: its output then has replacement characters, and no traceback hides its message."""


def run(
    command: Sequence[str],
    *,
    input: str | None = None,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> str:
    """Run ``command`` and return its standard output; ``timeout`` in seconds, ``env`` is added to ours.

    Raises:
        CommandFailed: it exited with an error; the error holds what it wrote to stderr and stdout.
        TimedOut: it ran longer than ``timeout``.
        NotFound: there is no such program.
    """
    program, *args = command
    options: dict[str, Any] = {
        "_bg": True,
        "_bg_exc": False,
        "_env": os.environ | dict(env or {}),
        "_in": input or "",
        "_encoding": "utf-8",
        **PLAIN,
        **LENIENT,
    }
    if cwd is not None:
        options["_cwd"] = str(cwd)
    expired = threading.Event()
    try:
        running = sh.Command(program)(*args, **options)
        with _ended_after(timeout, running.process, expired):
            return str(running.wait())
    except sh.CommandNotFound as error:
        raise errors.NotFound("program", program, fix="./scripts/lab doctor") from error
    except sh.ErrorReturnCode as error:
        if expired.is_set():
            raise errors.TimedOut(f"{' '.join(command)!r} took longer than {timeout:.0f} s", fix="lab status") from error
        output = (error.stderr + error.stdout).decode(errors="replace")
        raise errors.CommandFailed(command, error.exit_code, output) from error


@contextlib.contextmanager
def _ended_after(timeout: float, process: Any, expired: threading.Event) -> Iterator[None]:
    """Kill ``process`` if the block lasts longer than ``timeout`` seconds, and say so in ``expired``.

    The ``_timeout`` of ``sh`` looks ten times a second, and its wait ends with such a look: a short command would take 0.1 s.
    """

    def end() -> None:
        expired.set()
        with contextlib.suppress(ProcessLookupError):  # it ended by itself at this moment
            process.kill()

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def run_together(
    commands: Mapping[str, Sequence[str]],
    on_line: Callable[[str, str], None],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Run ``commands`` at the same time and return what each wrote, by the name it has in ``commands``.

    ``on_line(name, line)`` gets every line as it comes. All are waited for, ``timeout`` seconds together; those that still run
    after that, or when this is interrupted, are ended.

    Raises:
        CommandFailed, TimedOut: of the first that failed, in the order of ``commands``.
    """
    deadline = time.monotonic() + timeout
    running: dict[str, Any] = {}
    failures: list[errors.LabError] = []
    try:
        for name, command in commands.items():
            running[name] = _start(command, partial(on_line, name), env)
        for name, process in running.items():
            if not _ends_before(deadline, process):
                failures.append(errors.TimedOut(f"{' '.join(commands[name])!r} took longer than {timeout:.0f} s", fix="lab up"))
                continue
            try:
                process.wait()
            except sh.ErrorReturnCode as error:
                output = error.stdout.decode(errors="replace")
                failures.append(errors.CommandFailed(commands[name], error.exit_code, output))
    finally:
        _end(process for process in running.values() if process.is_alive())
    if failures:
        raise failures[0]
    return {name: str(process) for name, process in running.items()}


class Background:
    """A program that runs in the background and passes every line it prints to ``on_line``, its error output included."""

    def __init__(self, command: Sequence[str], on_line: Callable[[str], None]) -> None:
        self._command = list(command)
        self._process = _start(command, on_line, None)

    @property
    def is_running(self) -> bool:
        return bool(self._process.is_alive())

    def wait(self, timeout: float) -> None:
        """Wait for its end; ``timeout`` in seconds.

        Raises:
            TimedOut: it still runs.
            CommandFailed: it failed; the error contains what it printed.
        """
        if not _ends_before(time.monotonic() + timeout, self._process):
            raise errors.TimedOut(f"{' '.join(self._command)!r} took longer than {timeout:.0f} s", fix="lab status")
        try:
            self._process.wait()
        except sh.ErrorReturnCode as error:
            raise errors.CommandFailed(self._command, error.exit_code, error.stdout.decode(errors="replace")) from error

    def end(self) -> None:
        """End it now; harmless if it has already ended."""
        if self.is_running:
            _end([self._process])


def _ends_before(deadline: float, process: Any) -> bool:
    """Whether it ends before ``deadline`` (of ``time.monotonic``).

    Not ``wait(timeout=…)`` of ``sh``: other than ``wait()`` it does not wait for the last lines: an error would lack its reason.
    """
    return wait_until(lambda: not process.is_alive(), deadline - time.monotonic())


def _end(running: Iterable[Any]) -> None:
    """End processes and wait until they have: what they were making must not appear after its maker's caller cleaned up."""
    for process in (ending := list(running)):
        process.terminate()
    for process in ending:
        with contextlib.suppress(sh.ErrorReturnCode, sh.TimeoutException):
            process.wait(timeout=END_TIMEOUT)


def _start(command: Sequence[str], on_line: Callable[[str], None], env: Mapping[str, str] | None) -> Any:
    program, *args = command
    options: dict[str, Any] = {
        "_bg": True,
        "_bg_exc": False,
        "_tee": True,
        "_err_to_out": True,
        "_encoding": "utf-8",
        **PLAIN,
        **LENIENT,
    }
    return sh.Command(program)(*args, _out=on_line, _env=os.environ | dict(env or {}), **options)
