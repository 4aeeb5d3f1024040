"""The shim's loop: requests, output, ends of processes."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labs.embedded.runtime import spec as specs
from labs.embedded.runtime.shim import launch
from labs.embedded.runtime.shim.logs import LogFile, Stream
from labs.embedded.runtime.shim.rootfs import remove_trees
from labs.embedded.runtime.shim.running import Running
from labs.wire.replace_file import replace_text

PACKET = 1 << 17
CHUNK = 1 << 16
MOST_DESCRIPTORS = 4
EXIT_FILE = "exit.json"
START_FAILED = 128
"""Exit code of a container whose program could not be started, as runtimes report it."""

Request = dict[str, Any]
Whole = Callable[[str], None]


class Service:
    """What a node's shim holds. ``state`` has a folder ``containers/ID`` for each container; ``roots`` is on the node's tmpfs."""

    def __init__(self, state: Path, roots: Path, listener: socket.socket) -> None:
        self._state = state
        self._roots = roots
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._sandboxes: dict[str, int] = {}
        self._containers: dict[str, Running] = {}
        self._programs: dict[int, socket.socket] = {}
        """Exec'd process → the connection that requested it."""
        self._watchers: list[socket.socket] = []
        self._waiting: dict[int, list[socket.socket]] = {}
        """Process → connections to answer with its exit code."""
        self._launching: set[int] = set()
        self._early: dict[int, int] = {}
        """Exit codes of processes whose launch is not yet reported."""

    def run(self, wakeup: int) -> None:
        """Serve for ever. ``wakeup`` becomes readable when a child has ended."""
        self._on(self._listener, self._accept)
        self._on(wakeup, lambda: self._reap(wakeup))
        while True:
            for key, _ in self._selector.select():
                # An earlier handler in this round may have closed it.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()

    def _on(self, source: int | socket.socket, call: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, call)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._on(connection, lambda: self._receive(connection))

    def _receive(self, connection: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(connection, PACKET, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self._forget(connection)
            return
        request = json.loads(data)
        try:
            getattr(self, f"_op_{request['op']}")(request, connection, fds)
        except (OSError, KeyError, ValueError) as error:
            self._answer(connection, {"error": f"{request.get('op')}: {error!r}"})
            for fd in fds:
                os.close(fd)

    def _forget(self, connection: socket.socket) -> None:
        """No client waits for the answer any more: an exec'd program ends with its client."""
        for pid, owner in list(self._programs.items()):
            if owner is connection:
                os.killpg(pid, signal.SIGKILL)
        if connection in self._watchers:
            self._watchers.remove(connection)
        self._selector.unregister(connection)
        connection.close()

    def _answer(self, connection: socket.socket, message: Request) -> None:
        try:
            connection.send(json.dumps(message).encode())
        except OSError:
            pass  # it went away: its end of file is handled like any other

    # --- requests

    def _op_sandbox(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        spec = specs.load_sandbox(Path(request["spec"]))
        (self._roots / spec.id).mkdir()
        (self._roots / spec.id).chmod(0o1777)
        started = launch.sandbox(spec)
        self._sandboxes[spec.id] = started.pid
        answer = {"pid": started.pid}
        self._when_launched(started, lambda error: self._answer(connection, {"error": error} if error else answer))

    def _op_start(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        spec = specs.Container.load(Path(request["spec"]))
        base = self._roots / spec.id
        base.mkdir()
        log = LogFile(spec.log)
        running = Running(spec, 0, log)
        memory = self._roots / spec.sandbox.id
        started = self._start_on_terminal(running, base, memory) if spec.tty else self._start_on_pipes(running, base, memory)
        running.pid = started.pid
        self._containers[spec.id] = running
        self._when_launched(started, lambda error: self._container_up(running, connection, error))

    def _start_on_pipes(self, running: Running, base: Path, memory: Path) -> launch.Launch:
        stdin, running.input = os.pipe2(os.O_CLOEXEC) if running.spec.stdin else (os.open(os.devnull, os.O_RDONLY), None)
        ends = [stdin]
        for name in ("stdout", "stderr"):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            ends.append(writer)
            self._read_output(running, reader, name)
        started = launch.container(running.spec, self._sandboxes[running.spec.sandbox.id], base, memory, ends, None)
        for fd in ends:
            os.close(fd)
        return started

    def _start_on_terminal(self, running: Running, base: Path, memory: Path) -> launch.Launch:
        ours, theirs = socket.socketpair()
        # A placeholder until the terminal arrives: there is output to wait for.
        running.outputs[ours.fileno()] = Stream(running.log, "stdout")
        started = launch.container(running.spec, self._sandboxes[running.spec.sandbox.id], base, memory, [], theirs)
        theirs.close()

        def take() -> None:
            self._selector.unregister(ours)
            del running.outputs[ours.fileno()]
            _, fds, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
            ours.close()
            if fds:
                running.input = os.dup(fds[0])
                self._read_output(running, fds[0], "stdout")
            self._finish(running)

        self._on(ours, take)
        return started

    def _container_up(self, running: Running, connection: socket.socket, error: str) -> None:
        if error:
            self._ended(running, START_FAILED)
            self._answer(connection, {"error": error})
            return
        running.note_mounts()
        self._answer(connection, {"pid": running.pid})
        if running.pid in self._early:
            self._ended(running, self._early[running.pid])

    def _op_exec(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        running = self._containers[request["container"]]
        console = socket.socket(fileno=fds[0]) if request["tty"] else None
        started = launch.program(running.spec, running.pid, request["argv"], fds, console)
        if console:
            console.detach()
        for fd in fds:
            os.close(fd)
        self._programs[started.pid] = connection

        def up(error: str) -> None:
            if error:
                self._programs.pop(started.pid, None)
                self._answer(connection, {"error": error})
            elif started.pid in self._early:
                self._program_ended(started.pid, self._early[started.pid])

        self._when_launched(started, up)

    def _op_attach(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        running = self._containers[request["container"]]
        if running.code is not None:
            raise ValueError(f"container {request['container']} has ended")
        names = [name for name in ("stdin", "stdout", "stderr") if request[name]]
        for name, fd in zip(names, fds, strict=True):
            if name == "stdin":
                self._read_input(running, fd)
            else:
                running.viewers[name].append(fd)
        self._waiting.setdefault(running.pid, []).append(connection)

    def _op_watch(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        alive = {id: running.pid for id, running in self._containers.items() if running.code is None}
        self._watchers.append(connection)
        self._answer(connection, {"shim": os.getpid(), "running": alive, "sandboxes": self._sandboxes})

    def _op_signal(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        running = self._containers.get(request["container"])
        if running and running.code is None and running.pid:
            os.kill(running.pid, request["signal"])
        self._answer(connection, {})

    def _op_resize(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        self._containers[request["container"]].resize(request["rows"], request["columns"])
        self._answer(connection, {})

    def _op_reopen(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        self._containers[request["container"]].log.reopen()
        self._answer(connection, {})

    def _op_release(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        """Remove the files of a container that has ended."""
        running = self._containers.get(request["container"])
        if running and running.code is None:
            raise ValueError(f"container {request['container']} still runs")
        self._containers.pop(request["container"], None)
        remove_trees([self._roots / request["container"]])
        self._answer(connection, {})

    def _op_stop(self, request: Request, connection: socket.socket, fds: list[int]) -> None:
        """End a sandbox: its namespaces go with the process that holds them, and so do its links."""
        pid = self._sandboxes.pop(request["sandbox"], 0)
        if pid:
            os.kill(pid, signal.SIGKILL)
        remove_trees([self._roots / request["sandbox"]])
        self._answer(connection, {})

    # --- outcomes

    def _when_launched(self, started: launch.Launch, call: Whole) -> None:
        """Call with what the launch reports: nothing when the program runs."""
        words = b""

        def read() -> None:
            nonlocal words
            data = os.read(started.report, CHUNK)
            words += data
            if data:
                return
            self._selector.unregister(started.report)
            os.close(started.report)
            self._launching.discard(started.pid)
            call(words.decode(errors="replace"))
            self._early.pop(started.pid, None)

        self._launching.add(started.pid)
        self._on(started.report, read)

    def _read_output(self, running: Running, fd: int, name: str) -> None:
        stream = Stream(running.log, name)
        running.outputs[fd] = stream

        def read() -> None:
            try:
                data = os.read(fd, CHUNK)
            except OSError:  # a terminal whose last user is gone
                data = b""
            if data:
                stream.feed(data)
                running.show(name, data)
                return
            stream.end()
            del running.outputs[fd]
            self._selector.unregister(fd)
            os.close(fd)
            self._finish(running)

        self._on(fd, read)

    def _read_input(self, running: Running, fd: int) -> None:
        def read() -> None:
            data = os.read(fd, CHUNK)
            if data and running.feed(data):
                return
            self._selector.unregister(fd)
            os.close(fd)
            if not data and running.spec.stdin_once:
                running.close_input()

        self._on(fd, read)

    def _reap(self, wakeup: int) -> None:
        os.read(wakeup, CHUNK)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._child_ended(pid, code if code >= 0 else START_FAILED - code)

    def _child_ended(self, pid: int, code: int) -> None:
        if pid in self._programs and pid not in self._launching:
            self._program_ended(pid, code)
            return
        running = next((item for item in self._containers.values() if item.pid == pid and item.code is None), None)
        if pid in self._launching:
            self._early[pid] = code
        elif running:
            self._ended(running, code)

    def _program_ended(self, pid: int, code: int) -> None:
        connection = self._programs.pop(pid)
        self._answer(connection, {"exit": code})

    def _ended(self, running: Running, code: int) -> None:
        running.code = code
        running.finished = time.time_ns()
        if running.spec.sandbox.shared_pid or running.spec.sandbox.host_pid:
            # It has no PID namespace of its own, which would end its other processes with the first one.
            running.kill_rest()
        self._finish(running)

    def _finish(self, running: Running) -> None:
        """Tell all waiting clients, once the process has ended *and* its output is read."""
        if running.code is None or running.outputs:
            return
        row = {"container": running.spec.id, "exit": running.code, "finished": running.finished}
        replace_text(self._state / "containers" / running.spec.id / EXIT_FILE, json.dumps(row))
        running.close()
        for connection in self._watchers:
            self._answer(connection, row)
        for connection in self._waiting.pop(running.pid, []):
            self._answer(connection, {"exit": running.code})
