"""One container: started, watched, killed and restarted, as its restart policy says."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time

from labs.embedded.node import environment, hooks, logs, rootfs
from labs.embedded.node.backoff import Backoff, go_duration
from labs.embedded.node.context import PodContext, path_map
from labs.embedded.node.events import now
from labs.embedded.node.expansion import expand
from labs.embedded.node.image_puller import pull
from labs.embedded.node.images import Image
from labs.embedded.node.model import Command, ContainerRecord, DeviceError, Object, StartError
from labs.embedded.node.probe_workers import ProbeWorkers
from labs.embedded.node.processes import ShimProcess
from labs.embedded.node.restart import is_restarted
from labs.embedded.node.sources import MissingSource
from labs.embedded.node.volumes import MountError
from labs.wire.kube_api import ApiError

RUNTIME = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
START_FAILED = RUNTIME + "unable to start container process: error during container init: "
START_FAILED_CODE = 128
"""What a runtime reports for a container whose program could not be started."""
EPOCH = "1970-01-01T00:00:00Z"
NOTICED_AFTER = 1.0
"""Seconds until the kubelet notices a container's end: the "immediate" first restart comes after this."""
BACKOFF_SHOWN_AFTER = 2.0
"""Seconds from a container's end until CrashLoopBackOff replaces the terminated state (a kubelet shows it at its next sync)."""
CONFIG_RETRY = 12.0
"""Seconds between attempts to start a container whose ConfigMap or Secret is missing (recorded: 10 to 15)."""
MESSAGE_LIMIT = 4096
LOG_TAIL_LIMIT = 2048
LEAST_GRACE = 2.0
"""Seconds the kubelet leaves for TERM when preStop has used up the grace period."""


class ContainerRunner:
    """Runs one container of a pod until it will not be started again."""

    def __init__(self, context: PodContext, record: ContainerRecord) -> None:
        self.context = context
        self.record = record
        self.stopping = False
        self.out_of_memory = False
        self._process: ShimProcess | None = None
        self._probes: ProbeWorkers | None = None
        self._backoff = Backoff()
        self._started_at = 0.0
        self._killed_by_probe = False
        self._hook_message = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def start(self) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(), name=f"{self.context.full_name}/{self.record.name}")
        return self._task

    async def stop(self, grace: float, *, hooks_too: bool = True) -> None:
        """End the container for good: preStop and TERM, KILL after ``grace`` seconds; returns when it has ended."""
        first = not self.stopping
        self.stopping = True
        if self._probes:
            self._probes.terminate()
        if self._task is None or self._task.done():
            return
        if self._process is None:
            self._task.cancel()
        elif first:
            await self.kill(grace, f"Stopping container {self.record.name}", hooks_too=hooks_too)
        else:
            self._process.signal(signal.SIGKILL if grace < 1 else signal.SIGTERM)
        await asyncio.wait([self._task])

    async def kill(self, grace: float, message: str, *, hooks_too: bool = True) -> None:
        """End this incarnation; returns when the process has ended."""
        process = self._process
        if process is None:
            return
        deadline = time.monotonic() + grace
        self.context.event(self.record, "Normal", "Killing", message)
        hook = self.record.spec.get("lifecycle", {}).get("preStop")
        if hook and hooks_too and grace > 0:
            await self._pre_stop(hook, grace)
        process.signal(self._stop_signal() if grace > 0 else signal.SIGKILL)
        left = max(deadline - time.monotonic(), LEAST_GRACE if hook else 0.0)
        try:
            await asyncio.wait_for(process.wait(), left)
        except TimeoutError:
            process.signal(signal.SIGKILL)
            await process.wait()

    def update(self, spec: Object) -> None:
        """The spec was changed. A new image needs a new incarnation; ``resize`` handles resources."""
        changed = spec["image"] != self.record.spec["image"]
        self.record.spec = spec
        if changed:
            self.restart(f"Container {self.record.name} definition changed, will be restarted")

    def restart(self, message: str) -> None:
        """End this incarnation so that a new one follows at once, whatever the restart policy says."""
        self.record.changed.set()
        if self._process and not self.stopping:
            self._killing = asyncio.create_task(self._kill_soon(message))

    async def _kill_soon(self, message: str) -> None:
        # A kubelet acts at its next sync of the pod: whoever has just changed the pod still sees the old state.
        await asyncio.sleep(NOTICED_AFTER)
        await self.kill(self._full_grace(), message)

    def kill_out_of_memory(self) -> None:
        """Kill the container for exceeding its memory limit."""
        self.out_of_memory = True
        if self._process:
            self._process.signal(signal.SIGKILL)

    def _stop_signal(self) -> int:
        name = self.record.spec.get("lifecycle", {}).get("stopSignal", "SIGTERM")
        return getattr(signal, name, signal.SIGTERM)

    async def _pre_stop(self, hook: Object, grace: float) -> None:
        try:
            await asyncio.wait_for(hooks.run(self.context, self.record, hook), grace)
        except (hooks.HookError, TimeoutError):
            self.context.event(self.record, "Warning", "FailedPreStopHook", "PreStopHook failed")

    async def _run(self) -> None:
        restarting = "terminated" in self.record.state
        if restarting and self.record.kind == "main" and not self._is_restarted():
            return  # it ended for good before this agent was started
        while not self.stopping:
            image = await pull(self.context, self.record)
            if restarting:
                self.record.restart_count += 1
            begun = time.monotonic()
            await self._incarnation(image)
            restarting = True
            if self.stopping or not (self.record.changed.is_set() or self._is_restarted()):
                self.context.publish()
                return
            await self._wait_to_restart(time.monotonic() - begun)

    def _is_restarted(self) -> bool:
        ended = self.record.state.get("terminated") or self.record.last_state.get("terminated") or {}
        return is_restarted(self.context.record.pod, self.record, ended.get("exitCode", 0))

    def _full_grace(self) -> float:
        grace: float = self.context.record.pod["spec"].get("terminationGracePeriodSeconds", 30)
        return grace

    async def _wait_to_restart(self, ran_for: float) -> None:
        delay = self._backoff.next(ran_for)
        if not (self._killed_by_probe and delay == 0):
            self.context.publish()
        self._killed_by_probe = False
        await asyncio.sleep(NOTICED_AFTER)
        if delay == 0 or self.record.changed.is_set():
            return
        name = self.record.name
        text = f"Back-off restarting failed container {name} in pod {self.context.full_name}"
        self.context.event(self.record, "Warning", "BackOff", text)
        await asyncio.sleep(BACKOFF_SHOWN_AFTER - NOTICED_AFTER)
        message = f"back-off {go_duration(delay)} restarting failed container={name} pod={self.context.full_name}"
        if "terminated" in self.record.state:
            self.record.last_state = self.record.state
        self.record.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        self.context.publish()
        await asyncio.sleep(max(delay - BACKOFF_SHOWN_AFTER, 0) + NOTICED_AFTER)

    async def _incarnation(self, image: Image) -> None:
        """From creation to end; leaves the record terminated (or waiting, if it could not even start)."""
        record = self.record
        command = await self._prepare(image)
        self.context.event(record, "Normal", "Created", "Container created")
        capture = logs.Capture(record.log)
        await capture.open()
        try:
            out, err = capture.write_ends
            self._process = await self.context.services.launcher.spawn(command, stdout=out, stderr=err, main=True)
        except StartError as error:
            self._could_not_start(START_FAILED + str(error))
            return
        finally:
            capture.started()
        record.pid = self._process.pid
        self._started_at = time.time()
        started = now()
        self.context.event(record, "Normal", "Started", "Container started")
        self._probes = ProbeWorkers(self.context, record, self._unhealthy)
        try:
            code = await self._supervise(self._probes, started)
        finally:
            self._probes.stop()
            self._probes = None
        await capture.finished()
        self._ended(code, started)

    async def _supervise(self, workers: ProbeWorkers, started: str) -> int:
        process = self._process
        assert process is not None
        hook = self.record.spec.get("lifecycle", {}).get("postStart")
        if hook and not await self._post_start(hook):
            return await process.wait()
        if not process.ended.done():
            if "terminated" in self.record.state:
                self.record.last_state = self.record.state
            self.record.state = {"running": {"startedAt": started}}
            workers.start()
            self.context.publish()
        return await process.wait()

    async def _post_start(self, hook: Object) -> bool:
        self._hook_message = ""
        try:
            await hooks.run(self.context, self.record, hook)
        except hooks.HookError as error:
            self._hook_message = str(error)
            self.context.event(self.record, "Warning", "FailedPostStartHook", "PostStartHook failed")
            await self.kill(self._full_grace(), "FailedPostStartHook")
            return False
        return True

    def _unhealthy(self, kind: str, probe: Object) -> None:
        self._killed_by_probe = True
        grace = probe.get("terminationGracePeriodSeconds", self._full_grace())
        message = f"Container {self.record.name} failed {kind} probe, will be restarted"
        self._killing = asyncio.create_task(self.kill(grace, message))

    async def _prepare(self, image: Image) -> Command:
        """Root, env and command line of a new incarnation; waits for whatever is missing."""
        record, context = self.record, self.context
        while True:
            record.container_id = f"process://{secrets.token_hex(32)}"
            paths = path_map(context.record, record)
            try:
                self._check_user(image)
                await context.services.devices.pre_start(context.record, record.name)
                built = await environment.build(context, record, paths)
                record.env, record.variables = built.process, built.variables
                log_path = record.spec.get("terminationMessagePath") or rootfs.TERMINATION_LOG
                rootfs.build_root(record.root, context.volumes.mounts(record), log_path)
                return self._command(image, paths)
            except (MissingSource, MountError, DeviceError, ApiError) as error:
                record.container_id = ""
                self._config_error(str(error))
                await asyncio.sleep(CONFIG_RETRY)
                context.event(record, "Normal", "Pulled", _present(record.spec["image"]))

    def _check_user(self, image: Image) -> None:
        """Refuse root where the pod does not want it: by number, or because the image's user is root."""
        security = self.context.record.pod["spec"].get("securityContext", {}) | self.record.spec.get("securityContext", {})
        if not security.get("runAsNonRoot"):
            return
        where = f'(pod: "{self.context.full_name}", container: {self.record.name})'
        if security.get("runAsUser") == 0:
            raise MissingSource(f"container's runAsUser breaks non-root policy {where}")
        if "runAsUser" not in security and image.runs_as_root:
            raise MissingSource(f"container has runAsNonRoot and image will run as root {where}")

    def _command(self, image: Image, paths: rootfs.PathMap) -> Command:
        record = self.record
        entrypoint = [expand(paths.rewrite(word), record.variables) for word in record.spec.get("command", [])]
        args = [expand(paths.rewrite(word), record.variables) for word in record.spec.get("args", [])]
        argv = entrypoint + args if entrypoint else image.entrypoint + (args or image.command)
        folder = paths.inside(record.spec.get("workingDir", "/"))
        folder.mkdir(parents=True, exist_ok=True)
        record.working_dir = str(folder)
        return Command(argv, record.env, record.working_dir, record.container_id)

    def _config_error(self, message: str) -> None:
        self.record.state = {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
        self.context.event(self.record, "Warning", "Failed", f"Error: {message}")
        self.context.publish()

    def _could_not_start(self, message: str) -> None:
        record = self.record
        self.context.event(record, "Warning", "Failed", f"Error: {message}")
        terminated = {
            "exitCode": START_FAILED_CODE,
            "reason": "StartError",
            "message": message,
            "startedAt": EPOCH,
            "finishedAt": now(),
            "containerID": record.container_id,
        }
        if is_restarted(self.context.record.pod, record, START_FAILED_CODE):
            record.last_state = {"terminated": terminated}
            record.state = {"waiting": {"reason": "RunContainerError", "message": message}}
        else:
            record.state = {"terminated": terminated}
        record.ready = record.started = False

    def _ended(self, code: int, started: str) -> None:
        record = self.record
        reason = "OOMKilled" if self.out_of_memory else "Completed" if code == 0 else "Error"
        terminated: Object = {
            "exitCode": code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": now(),
            "containerID": record.container_id,
        }
        if message := self._termination_message(code):
            terminated["message"] = message
        self._process, record.pid = None, None
        self.out_of_memory = False
        record.started = False
        record.ready = record.kind == "init" and code == 0
        if self._hook_message:
            record.last_state = {"terminated": terminated}
            record.state = {"waiting": {"reason": "PostStartHookError", "message": self._hook_message}}
        else:
            record.state = {"terminated": terminated}

    def _termination_message(self, code: int) -> str:
        path = self.record.root / (self.record.spec.get("terminationMessagePath") or rootfs.TERMINATION_LOG).lstrip("/")
        message = path.read_bytes()[:MESSAGE_LIMIT].decode(errors="replace") if path.is_file() else ""
        if not message and code and self.record.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = logs.tail(self.record.log, LOG_TAIL_LIMIT)
        return message


def _present(image: str) -> str:
    return f'Container image "{image}" already present on machine and can be accessed by the pod'
