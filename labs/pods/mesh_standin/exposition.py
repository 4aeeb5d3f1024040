"""Counters and histograms in Prometheus' text format.

Own code, since the client library would cost each proxy 5 MB, and Linkerd's series of the same name differ in their label names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

Labels = Mapping[str, str]
Series = tuple[tuple[str, str], ...]


class Histogram:
    """``counts`` has one entry per bound and a last one for what lies beyond."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Registry:
    """Series by metric name; written by one thread and read by another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[str, dict[Series, int]] = defaultdict(lambda: defaultdict(int))
        self._histograms: dict[str, dict[Series, Histogram]] = defaultdict(dict)

    def count(self, name: str, labels: Labels, by: int = 1) -> None:
        with self._lock:
            self._counters[name][tuple(labels.items())] += by

    def observe(self, name: str, labels: Labels, value: float, bounds: Sequence[float]) -> None:
        with self._lock:
            self._histograms[name].setdefault(tuple(labels.items()), Histogram(bounds)).observe(value)

    def render(self, gauges: Sequence[tuple[str, Labels, float]] = ()) -> str:
        """The whole page; ``gauges`` are current values, sorted by name; those whose names end like a counter's are counters."""
        with self._lock:
            lines = [*self._render_counters(), *self._render_histograms()]
        seen: set[str] = set()
        for name, labels, value in gauges:
            if name not in seen:
                lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
                seen.add(name)
            lines.append(_sample(name, tuple(labels.items()), value))
        return "\n".join(lines) + "\n"

    def _render_counters(self) -> Iterator[str]:
        for name, series in self._counters.items():
            yield f"# TYPE {name} counter"
            yield from (_sample(name, labels, value) for labels, value in series.items())

    def _render_histograms(self) -> Iterator[str]:
        for name, series in self._histograms.items():
            yield f"# TYPE {name} histogram"
            for labels, histogram in series.items():
                reached = 0
                for bound, count in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
                    reached += count
                    yield _sample(f"{name}_bucket", (*labels, ("le", bound)), reached)
                yield _sample(f"{name}_sum", labels, histogram.total)
                yield _sample(f"{name}_count", labels, reached)


def _sample(name: str, labels: Series, value: float) -> str:
    if not labels:
        return f"{name} {value}"
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
