"""The agent's side of the fork server: start programs, learn of their end."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from labs.embedded.node import shim
from labs.embedded.node.model import Command, StartError


class ShimLost(Exception):
    """The fork server died, and every pod of the node with it."""


class ShimProcess:
    """A program the shim runs for us (``model.Process``)."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self.pid = pid
        self._launcher = launcher
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        # Shielded: one waiter that is cancelled must not cancel the future for the others.
        return await asyncio.shield(self.ended)

    def signal(self, number: int) -> None:
        if not self.ended.done():
            self._launcher.send({"kill": self.pid, "signal": number}, [])


class Launcher:
    """One fork server. ``lost`` completes when it dies."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, shim.PACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(shim.__file__)), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        ours.setblocking(False)
        self._channel = ours
        self._processes: dict[int, ShimProcess] = {}
        self._starting: dict[int, asyncio.Future[ShimProcess | int]] = {}
        self._next = 0
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        loop.add_reader(ours.fileno(), self._read)

    async def spawn(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
        main: bool = False,
    ) -> ShimProcess:
        """Start ``command``; with ``main`` its end is the end of everything its owner runs.

        Raises:
            StartError: no such program, not executable, or arguments too long.
        """
        program = resolve(command)
        null = os.open(os.devnull, os.O_RDWR)
        try:
            fds = [null if fd is None else fd for fd in (stdin, stdout, stderr)]
            self._next += 1
            request = self._next
            started: asyncio.Future[ShimProcess | int] = asyncio.get_running_loop().create_future()
            self._starting[request] = started
            self.send(
                {
                    "id": request,
                    "program": program,
                    "argv": command.argv,
                    "env": command.env,
                    "cwd": command.cwd,
                    "owner": command.owner,
                    "main": main,
                    "tty": tty,
                },
                fds,
            )
        except OSError as error:
            raise StartError(f'exec: "{command.argv[0]}": {os.strerror(error.errno or 0).lower()}') from error
        finally:
            os.close(null)
        outcome = await started
        if isinstance(outcome, int):
            raise StartError(f'exec: "{command.argv[0]}": {os.strerror(outcome).lower()}')
        return outcome

    def send(self, message: dict[str, object], fds: list[int]) -> None:
        try:
            socket.send_fds(self._channel, [json.dumps(message).encode()], fds)
        except (BrokenPipeError, ConnectionResetError):
            self._lose()

    def close(self) -> None:
        """End the shim, which kills what still runs."""
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._channel.close()
        self._server.wait(timeout=5)

    def _read(self) -> None:
        while True:
            try:
                data = self._channel.recv(shim.PACKET)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                return self._lose()
            self._take(json.loads(data))

    def _take(self, message: dict[str, int]) -> None:
        if "code" in message:
            ended = self._processes.pop(message["pid"], None)
            if ended and not ended.ended.done():
                ended.ended.set_result(message["code"])
            return
        started = self._starting.pop(message["id"])
        if "errno" in message:
            if not started.done():
                started.set_result(message["errno"])
            return
        self._processes[message["pid"]] = process = ShimProcess(self, message["pid"])
        if started.done():  # whoever asked has been cancelled meanwhile
            process.signal(signal.SIGKILL)
        else:
            started.set_result(process)

    def _lose(self) -> None:
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        if not self.lost.done():
            self.lost.set_exception(ShimLost("the fork server of this node ended"))
        for process in self._processes.values():
            if not process.ended.done():
                process.ended.set_result(128 + signal.SIGKILL)


def resolve(command: Command) -> str:
    """The program file of ``command``, found as execvp would.

    Raises:
        StartError: in the words of the recorded runtime.
    """
    name = command.argv[0]
    if "/" not in name:
        found = shutil.which(name, path=command.env.get("PATH", os.defpath))
        if found is None:
            raise StartError(f'exec: "{name}": executable file not found in $PATH')
        return found
    path = Path(command.cwd, name)
    if not path.exists():
        raise StartError(f'exec: "{name}": stat {name}: no such file or directory')
    if path.is_dir() or not os.access(path, os.X_OK):
        raise StartError(f'exec: "{name}": {os.strerror(errno.EACCES).lower()}')
    return str(path)
