"""The entry point of ``nvidia-smi``: options in, text out, nvidia-smi's exit codes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import aiohttp

from labs.pods.gpu_simulator import ctl, smi, smi_options, sockets
from labs.pods.gpu_simulator.smi_errors import SmiError

INTERRUPTED = 130
"""The exit code a shell gives SIGINT."""


def main(words: Sequence[str]) -> int:
    """Run ``nvidia-smi WORDS``; the exit code."""
    try:
        return asyncio.run(run(words, os.environ.get("GPU_SIMULATOR_SOCKET", sockets.WORK_SOCKET)))
    except BrokenPipeError:  # `nvidia-smi -l 1 | head`: Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


async def run(words: Sequence[str], socket: str) -> int:
    """Ask the simulator behind ``socket`` and print; the exit code."""
    try:
        await smi.run(smi_options.parse(words), lambda: ctl.call(socket, "GET", "/v1/gpus"), _show)
    except SmiError as error:
        print(error, file=sys.stderr)
        return error.code
    except BrokenPipeError:
        raise
    except (ctl.Refused, aiohttp.ClientError, OSError) as error:
        print(f"no GPU simulator answers on {socket}: {error}", file=sys.stderr)
        return 1
    return 0


def _show(text: str) -> None:
    """Flush at once: `nvidia-smi -l 1` is read while it runs."""
    print(text, flush=True)
