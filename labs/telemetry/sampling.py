"""Sampling a value repeatedly while a cell does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

import pandas as pd


class Sampling:
    """Calls ``look`` every ``every`` seconds on a separate thread while a ``with`` block runs.

    ``look`` returns a mapping of names to numbers, which becomes a row of ``frame``. A missing name counts as 0, because counting
    by group omits empty groups.
    """

    def __init__(self, look: Callable[[], Mapping[str, float]], every: float = 0.5) -> None:
        self._look, self._every = look, every
        self._rows: dict[pd.Timestamp, Mapping[str, float]] = {}
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per sample so far, indexed by time (UTC), with a column per name."""
        # A copy, because the thread may add a row at any time.
        rows = dict(self._rows)
        index = pd.DatetimeIndex(list(rows), tz="UTC", name="time")
        return pd.DataFrame(list(rows.values()), index=index).fillna(0).astype("float64").sort_index(axis=1)

    def _run(self) -> None:
        while not self._stop.is_set():
            now = pd.Timestamp.now("UTC")
            try:
                self._rows[now] = self._look()
            except Exception as error:  # raised on exit: a thread has nobody to raise it to
                self._error = error
                return
            self._stop.wait(self._every)

    def __enter__(self) -> Sampling:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error
