"""One figure that lines the planes up: the GPU, the model server, the mesh and Kubernetes over the same span of time.

The first question about a failure is on which plane it shows, and on which it does not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from labs import kube
from labs.errors import LabError, UsageError
from labs.telemetry.charts import Panel
from labs.telemetry.prometheus import Prometheus

EVENT_NAMESPACES = ("ml", "shop", "gpu-system")
"""Where the events that a learner causes happen."""
EVENTS = "Kubernetes: events"
RATE = "10s"
"""Window of every rate: ten scrapes, short enough to show a failure within seconds."""
CALLS = 'direction="outbound",deployment!="",dst_service=~"model-server.*"'


@dataclass(frozen=True)
class Line:
    """A query, and the name of its series if it has just one."""

    cluster: str
    promql: str
    name: str = ""


@dataclass(frozen=True)
class Plane:
    """A panel of the story as data."""

    title: str
    unit: str
    lines: tuple[Line, ...]


PLANES = (
    Plane("GPU temperature", "°C", (Line("gpu", 'max by (node, gpu) (DCGM_FI_DEV_GPU_TEMP{pod!=""})'),)),
    Plane("GPU clock", "MHz", (Line("gpu", 'max by (node, gpu) (DCGM_FI_DEV_SM_CLOCK{pod!=""})'),)),
    Plane(
        "Model server: requests", "",
        (Line("gpu", "sum(vllm:num_requests_running)", "running"), Line("gpu", "sum(vllm:num_requests_waiting)", "waiting")),
    ),
    Plane(
        "Model server: time to first token", "s",
        (
            Line("gpu", f"histogram_quantile(0.5, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[{RATE}])))", "p50"),
            Line("gpu", f"histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[{RATE}])))", "p95"),
        ),
    ),
    Plane(
        "Mesh: calls to the model", "per s",
        (
            Line("app", f'sum(rate(response_total{{{CALLS},classification="success"}}[{RATE}]))', "success"),
            Line("app", f'sum(rate(response_total{{{CALLS},classification="failure"}}[{RATE}]))', "failure"),
        ),
    ),
    Plane(
        "Mesh: latency of those calls", "ms",
        (Line("app", f"histogram_quantile(0.95, sum by (le) (rate(response_latency_ms_bucket{{{CALLS}}}[{RATE}])))", "p95"),),
    ),
    Plane("Kubernetes: ready replicas", "", (Line("gpu", 'count(up{job="ready-endpoints"})', "model-server"),)),
)  # fmt: skip


def panels(servers: Mapping[str, Prometheus], last: str | float) -> list[Panel]:
    """The panels of the story over the last while. A plane whose Prometheus does not answer is an empty panel that says so."""
    return [_panel(plane, servers, last) for plane in PLANES]


def _panel(plane: Plane, servers: Mapping[str, Prometheus], last: str | float) -> Panel:
    try:
        frames = [_named(servers[line.cluster].query(line.promql, last=last), line.name) for line in plane.lines]
    except LabError as error:
        return silent_plane(plane.title, error)
    return Panel(pd.concat(frames, axis=1).sort_index(), plane.title, plane.unit)


def silent_plane(title: str, error: LabError) -> Panel:
    """The panel of a plane that does not answer."""
    return Panel(pd.DataFrame(), title, empty=error.message.splitlines()[0][:100])


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if name:
        return frame.rename(columns={column: name for column in frame.columns}) if frame.shape[1] == 1 else frame
    # A card's index means nothing without its node, even if it differs by chance.
    places = [f"{labels.get('node', '?')} gpu {labels.get('gpu', '?')}" for labels in frame.attrs["labels"].values()]
    return frame.set_axis(places, axis=1)


def events_panel(events: Sequence[kube.Object], start: datetime, end: datetime) -> Panel:
    """How many events of each reason Kubernetes has told since ``start``, the most frequent first: a step where it acted."""
    times: dict[str, list[datetime]] = {}
    for event in events:
        moment = _moment(event)
        if moment is not None and start <= moment <= end:
            times.setdefault(event.get("reason") or "(no reason)", []).append(moment)
    reasons = sorted(times, key=lambda reason: -len(times[reason]))
    index = pd.date_range(start, end, freq="1s", name="time")
    # Nanoseconds on both sides: an event's microseconds are a coarser unit, into which pandas refuses to cast the index.
    told = {reason: pd.DatetimeIndex(sorted(times[reason])).as_unit("ns") for reason in reasons}
    columns = {reason: np.searchsorted(told[reason], index.as_unit("ns"), side="right") for reason in reasons}
    frame = pd.DataFrame(columns, index=index, dtype="float64")
    return Panel(frame, EVENTS, "so far", empty="Kubernetes told of nothing")


def _moment(event: kube.Object) -> datetime | None:
    """When an event happened last: controllers fill one of three fields, by the age of their client."""
    text = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def span(since: float) -> float:
    """Seconds from ``since`` (Unix time) until now.

    Raises:
        UsageError: that lies in the future.
    """
    passed = time.time() - since
    if passed <= 0:
        raise UsageError(f"expected a time in the past (time.time() before the experiment); found one {-passed:.0f} s ahead")
    return passed
