"""A pod manager for tests of the kubelet API: records made by hand, programs run as plain subprocesses."""

from __future__ import annotations

import os
import signal
import subprocess
from asyncio import to_thread
from collections.abc import Sequence
from pathlib import Path

from labs.embedded.node.model import Command, ContainerRecord, PodRecord, StartError


class FakeProcess:
    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        self._program = program
        self.pid = program.pid
        self.signals: list[int] = []

    async def wait(self) -> int:
        code = await to_thread(self._program.wait)
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        self.signals.append(number)
        os.killpg(self.pid, number)


class FakePods:
    """One running pod, ``shop/web`` with the container ``main``, and whatever a test adds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[FakeProcess] = []
        self.records: list[PodRecord] = []
        self.add("web").state = {"running": {"startedAt": "2026-11-24T12:00:00Z"}}

    def add(self, name: str) -> ContainerRecord:
        spec = {"name": "main"}
        directory = self.directory / name / "main"
        directory.mkdir(parents=True)
        container = ContainerRecord("main", "main", spec, directory, container_id=f"processes://{name}")
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
        pod = PodRecord({"metadata": metadata, "spec": {"containers": [spec]}}, directory.parent, containers={"main": container})
        self.records.append(pod)
        return container

    def pods(self) -> list[PodRecord]:
        return self.records

    def find(self, namespace: str, name: str) -> PodRecord | None:
        return next((pod for pod in self.records if (pod.namespace, pod.name) == (namespace, name)), None)

    def exec_command(self, pod: PodRecord, container: ContainerRecord, argv: Sequence[str]) -> Command:
        return Command(list(argv), dict(os.environ), str(self.directory), container.container_id)

    async def spawn(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        tty: bool = False,
    ) -> FakeProcess:
        streams = [subprocess.DEVNULL if number is None else number for number in (stdin, stdout, stderr)]
        argv = ["setsid", "--ctty", *command.argv] if tty else command.argv
        try:
            program = subprocess.Popen(
                argv, stdin=streams[0], stdout=streams[1], stderr=streams[2], cwd=command.cwd, start_new_session=not tty
            )
        except (FileNotFoundError, PermissionError) as error:  # a folder of the PATH may be somebody else's
            raise StartError(f'exec: "{command.argv[0]}": executable file not found in $PATH') from error
        self.processes.append(FakeProcess(program))
        return self.processes[-1]

    def kill(self) -> None:
        for process in self.processes:
            if process._program.poll() is None:
                process.signal(signal.SIGKILL)
