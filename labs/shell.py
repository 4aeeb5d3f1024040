"""Running commands, with a bound on time and an error that says what was run."""

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

END_TIMEOUT = 10.0
"""Seconds for a program to end once it was told to."""
PLAIN = {"_tty_out": False}
"""A pipe, not the terminal that ``sh`` gives by default: programs that see one draw spinners and colours into what they write."""


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


def _ends_before(deadline: float, process: Any) -> bool:
    """Whether it ends before ``deadline`` (of ``time.monotonic``).

    Not ``wait(timeout=…)`` of ``sh``: other than ``wait()`` it does not wait for the last lines: an error would lack its reason.
    """
    while process.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _end(running: Iterable[Any]) -> None:
    """End processes and wait until they have: what they were making must not appear after its maker's caller cleaned up."""
    for process in (ending := list(running)):
        process.terminate()
    for process in ending:
        with contextlib.suppress(sh.ErrorReturnCode, sh.TimeoutException):
            process.wait(timeout=END_TIMEOUT)


def _start(command: Sequence[str], on_line: Callable[[str], None], env: Mapping[str, str] | None) -> Any:
    program, *args = command
    options: dict[str, Any] = {"_bg": True, "_bg_exc": False, "_tee": True, "_err_to_out": True, "_encoding": "utf-8", **PLAIN}
    return sh.Command(program)(*args, _out=on_line, _env=os.environ | dict(env or {}), **options)
