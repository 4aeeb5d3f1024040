"""One figure with every layer on the same time axis: GPU, model server, mesh and Kubernetes.

The first question about a failure is which layers show it, and which do not.
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
from labs.telemetry.promql import quantile, rate
from labs.topology import PlacedByRole, Role

EVENT_NAMESPACES = ("ml", "shop", "gpu-system")
"""Where a learner's actions cause events."""
EVENTS = "Kubernetes: events"
OWN = "load-"
"""How the names of the lab's own load Jobs and their pods begin (``job_load``)."""
CALLS = 'direction="outbound",deployment!="",dst_service=~"model-server.*"'


@dataclass(frozen=True)
class Query(PlacedByRole):
    """A query, and the name of its series if it has just one."""

    role: Role
    promql: str
    name: str = ""


@dataclass(frozen=True)
class TimelinePanel:
    """A panel of the timeline as data."""

    title: str
    unit: str
    queries: tuple[Query, ...]


FIRST_TOKEN = "vllm:time_to_first_token_seconds"
PANELS = (
    TimelinePanel("GPU temperature", "°C", (Query("gpus", 'max by (node, gpu) (DCGM_FI_DEV_GPU_TEMP{pod!=""})'),)),
    TimelinePanel("GPU clock", "MHz", (Query("gpus", 'max by (node, gpu) (DCGM_FI_DEV_SM_CLOCK{pod!=""})'),)),
    TimelinePanel(
        "Model server: requests",
        "",
        (Query("gpus", "sum(vllm:num_requests_running)", "running"), Query("gpus", "sum(vllm:num_requests_waiting)", "waiting")),
    ),
    TimelinePanel(
        "Model server: time to first token",
        "s",
        (Query("gpus", quantile(0.5, FIRST_TOKEN), "p50"), Query("gpus", quantile(0.95, FIRST_TOKEN), "p95")),
    ),
    TimelinePanel(
        "Mesh: calls to the model",
        "per s",
        (
            Query("users", rate("response_total", f'{CALLS},classification="success"'), "success"),
            Query("users", rate("response_total", f'{CALLS},classification="failure"'), "failure"),
        ),
    ),
    TimelinePanel("Mesh: latency of those calls", "ms", (Query("users", quantile(0.95, "response_latency_ms", CALLS), "p95"),)),
    TimelinePanel("Kubernetes: ready replicas", "", (Query("gpus", 'count(up{job="ready-endpoints"})', "model-server"),)),
)


def panels(servers: Mapping[str, Prometheus], last: str | float) -> list[Panel]:
    """The panels over the given span. If a Prometheus does not answer, its panels are empty and say so."""
    return [_panel(panel, servers, last) for panel in PANELS]


def _panel(panel: TimelinePanel, servers: Mapping[str, Prometheus], last: str | float) -> Panel:
    try:
        frames = [_named(servers[query.cluster].query(query.promql, last=last), query.name) for query in panel.queries]
    except LabError as error:
        return unavailable_panel(panel.title, error)
    return Panel(pd.concat(frames, axis=1).sort_index(), panel.title, panel.unit)


def unavailable_panel(title: str, error: LabError) -> Panel:
    """A panel without data that says why."""
    return Panel(pd.DataFrame(), title, empty=error.message.splitlines()[0][:100])


def _named(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if name:
        return frame.rename(columns={column: name for column in frame.columns}) if frame.shape[1] == 1 else frame
    # A GPU's index means nothing without its node, even where the indices happen to differ.
    places = [f"{labels.get('node', '?')} gpu {labels.get('gpu', '?')}" for labels in frame.attrs["labels"].values()]
    return frame.set_axis(places, axis=1)


def events_panel(events: Sequence[kube.Object], start: datetime, end: datetime) -> Panel:
    """A running count of Kubernetes events per reason since ``start``, the most frequent reason first.

    The pods of a load are left out: they are the experiment's own, and would hide what happens to the system.
    """
    times: dict[str, list[datetime]] = {}
    for event in events:
        if str((event.get("involvedObject") or {}).get("name", "")).startswith(OWN):
            continue
        moment = _moment(event)
        if moment is not None and start <= moment <= end:
            times.setdefault(event.get("reason") or "(no reason)", []).append(moment)
    reasons = sorted(times, key=lambda reason: -len(times[reason]))
    index = pd.date_range(start, end, freq="1s", name="time")
    # Nanoseconds on both sides: an event's times are in microseconds, and pandas refuses to cast the index to a coarser unit.
    moments = {reason: pd.DatetimeIndex(sorted(times[reason])).as_unit("ns") for reason in reasons}
    columns = {reason: np.searchsorted(moments[reason], index.as_unit("ns"), side="right") for reason in reasons}
    frame = pd.DataFrame(columns, index=index, dtype="float64")
    return Panel(frame, EVENTS, "so far", empty="no events")


def _moment(event: kube.Object) -> datetime | None:
    """When an event last happened: the field depends on the API version its reporter uses."""
    text = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def span(since: float) -> float:
    """Seconds from ``since`` (Unix time) until now.

    Raises:
        UsageError: ``since`` is in the future.
    """
    passed = time.time() - since
    if passed <= 0:
        raise UsageError(f"expected a time in the past (time.time() before the experiment); found one {-passed:.0f} s ahead")
    return passed
