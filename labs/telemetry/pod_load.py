"""A load from a pod that is already running: it starts within a second, and has that pod's identity in the mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labs.clusters.base import Cluster, namespace_and_name
from labs.errors import TimedOut
from labs.telemetry.load import Load
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.telemetry.windows import Window
from labs.waiting import attempts

STARTUP_TIMEOUT = 60.0
"""Seconds the generator may take to start and to end, in addition to the load itself."""


class PodLoad(Load):
    """Runs the generator with ``kubectl exec`` in a pod of the Deployment ``inside`` (``NAMESPACE/DEPLOYMENT``).

    The pod's first container must have the lab's image. ``stop`` ends ``kubectl``; if the container runtime does not end a
    program together with its client, the generator finishes its plan.
    """

    def __init__(self, cluster: Cluster, plan: LoadPlan, windows: Callable[[], Sequence[Window]], inside: str) -> None:
        namespace_and_name(inside)
        super().__init__(plan, inside, windows)
        self._lines: list[str] = []
        self._program = cluster.start_program(inside, *plan.arguments(), on_line=self._lines.append)

    def wait_until_running(self, timeout: float = STARTUP_TIMEOUT) -> None:
        for _ in attempts(timeout):
            if any(line.startswith('{"kind"') for line in self._lines):
                return
            if not self._program.is_running:
                self._program.wait(0)
        namespace, _ = namespace_and_name(self.name)
        raise TimedOut(f"the load in {self.name} is not running after {timeout:g} s", fix=f"kubectl -n {namespace} get pods")

    def result(self) -> LoadResult:
        if self._result is None:
            try:
                self._program.wait(self.plan.seconds + self.plan.timeout + STARTUP_TIMEOUT)
                self._result = LoadResult(self._output(), self.plan, self._windows)
            finally:
                self.stop()
        return self._result

    def stop(self) -> None:
        self._program.end()

    def _output(self) -> str:
        return "".join(self._lines)
