"""Load from a pod that runs already: it begins within a second, and has that pod's identity in the mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from labs.clusters.base import Cluster, namespace_and_name
from labs.errors import UsageError
from labs.telemetry.load import STARTUP, LoadPlan, LoadResult, RunningLoad
from labs.telemetry.windows import Window


class PodLoad(RunningLoad):
    """Runs in the first container of a Deployment's pod, which has the lab's image; ``inside`` is ``NAMESPACE/DEPLOYMENT``.

    What was begun there goes on to its end, whether or not somebody waits for it.
    """

    def __init__(self, cluster: Cluster, plan: LoadPlan, windows: Callable[[], Sequence[Window]], inside: str) -> None:
        plan.check()
        namespace_and_name(inside)
        self.plan, self.name = plan, inside
        self._windows = windows
        self._result: LoadResult | None = None
        limit = plan.seconds + plan.timeout + STARTUP
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._text = self._pool.submit(cluster.run_program, inside, *plan.arguments(), timeout=limit)

    def result(self) -> LoadResult:
        """Wait until the load has ended.

        Raises:
            CommandFailed: it could not be run there, in kubectl's words.
            TimedOut: it did not end in time.
        """
        if self._result is None:
            try:
                self._result = LoadResult(self._text.result(), self.plan, self._windows)
            finally:
                self.stop()
        return self._result

    def so_far(self, since: float | None = None) -> LoadResult:
        raise UsageError("a load inside a pod tells its requests when it has ended", fix="the same load without inside=")

    def stop(self) -> None:
        """Wait for it no longer; harmless if it has ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)
