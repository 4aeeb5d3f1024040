"""A load that is running, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult
from labs.telemetry.windows import Window


class Load(ABC):
    """A load in progress. As a context manager, it waits for the load to end on a normal exit and stops it on an error.

    ``name`` says where it runs; ``windows`` are what its charts shade.
    """

    def __init__(self, plan: LoadPlan, name: str, windows: Callable[[], Sequence[Window]]) -> None:
        plan.check()
        self.plan, self.name, self._windows = plan, name, windows
        self._result: LoadResult | None = None

    @abstractmethod
    def wait_until_running(self, timeout: float = 60.0) -> None:
        """Wait until its generator runs; ``timeout`` in seconds.

        Raises:
            LabError: it does not run in time, or it has already failed.
        """

    @abstractmethod
    def result(self) -> LoadResult:
        """Wait until the load has ended and return everything it measured.

        Raises:
            TimedOut: it did not end in time.
            LabError: the generator failed; the message contains its output.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the load now; harmless if it has already ended."""

    @abstractmethod
    def _output(self) -> str:
        """What the generator has printed so far."""

    def so_far(self, since: float | None = None) -> LoadResult:
        """The requests that have ended; the load continues. Requests in flight, the slowest among them, are missing.

        With ``since`` (Unix time in seconds), only requests due from then on.
        """
        result = self._result or LoadResult(_complete(self._output()), self.plan, self._windows)
        return result if since is None else result.since(since)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.result()
        else:
            self.stop()

    def __repr__(self) -> str:
        return f"<load {self.name}: {self.plan.offered} to {self.plan.target} for {self.plan.seconds:g} s>"


def _complete(output: str) -> str:
    """``output`` without its last line, which may be incomplete."""
    return output.rpartition("\n")[0]
