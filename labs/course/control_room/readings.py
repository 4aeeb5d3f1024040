"""What the control room shows at one moment: a query for each cluster's series, and one for the GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from labs.errors import LabError
from labs.telemetry.prometheus import Labels, Prometheus
from labs.telemetry.promql import quantile, rate, together
from labs.topology import Role, primary

WINDOW = "5s"
"""Window of the rates: five scrapes, so that a change shows within three seconds."""
TO_MODEL = 'direction="outbound",dst_service=~"model-server.*"'
"""Calls from any pod in the app cluster to the model."""
IN_USE = 'pod!=""'


def _calls(codes: str) -> str:
    # "or vector(0)": no refusals and no calls are zeros, not gaps.
    labels = f'{TO_MODEL},status_code=~"{codes}"'
    return f"({rate('response_total', labels, window=WINDOW)} or vector(0))"


LINES: dict[Role, dict[str, str]] = {
    "users": {
        "answered": _calls("2.."),
        "refused": _calls("4.."),
        "failed": _calls("5.."),
        "link latency": "max(gateway_latency)",
    },
    "gpus": {
        "running": "sum(vllm:num_requests_running)",
        "waiting": "sum(vllm:num_requests_waiting)",
        "tokens": rate("vllm:generation_tokens_total", window=WINDOW),
        "first token": quantile(0.95, "vllm:time_to_first_token_seconds", window=WINDOW),
        "hottest": f"max(DCGM_FI_DEV_GPU_TEMP{{{IN_USE}}})",
    },
}
"""The series of the chart and the topology's labels, by role of cluster: PromQL with a single result each."""
EDGES = "edge"
PODS = "served"
CALLS = rate("response_total", 'direction="outbound",dst_service!=""', by=["deployment", "k8s_job", "dst_service"], window=WINDOW)
SERVED = rate("vllm:request_success_total", by=["pod", "node"], window=WINDOW)
FIELDS = {
    "DCGM_FI_DEV_GPU_UTIL": "busy",
    "DCGM_FI_DEV_FB_USED": "used",
    "DCGM_FI_DEV_FB_FREE": "free",
    "DCGM_FI_DEV_GPU_TEMP": "temperature",
    "DCGM_FI_DEV_POWER_USAGE": "power",
    "DCGM_FI_DEV_SM_CLOCK": "clock",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": "events",
    "DCGM_FI_DEV_XID_ERRORS": "xid",
}
"""Metrics of a GPU, in percent, MiB, °C, W, MHz, bits, and the number of the last error."""
GPUS = f'{{__name__=~"{"|".join(FIELDS)}"}}'
SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""The clock event bits that mean a reduced clock: power limit, hardware slowdown, heat, power brake."""


@dataclass(frozen=True)
class GpuReading:
    """One GPU. ``values`` are named as in ``FIELDS``; what the GPU does not (or no longer) report is missing."""

    node: str
    index: str
    pod: str = ""
    values: Mapping[str, float] = field(default_factory=dict)

    def get(self, name: str) -> float | None:
        return self.values.get(name)

    @property
    def state(self) -> str:
        """In words, the most serious first."""
        xid = self.values.get("xid")
        if "busy" not in self.values:
            return "off the bus" if xid else "not reporting"
        if xid:
            return f"XID {xid:g}"
        if int(self.values.get("events", 0)) & SLOWED:
            return "slowed down"
        return "in use" if self.pod else "free"


@dataclass(frozen=True)
class CallRate:
    """Calls per second from one workload in the app cluster to a Service."""

    source: str
    service: str
    per_second: float


@dataclass(frozen=True)
class ServerRate:
    """A model server's pod, its node, and the answers it completes per second."""

    pod: str
    node: str
    per_second: float


@dataclass(frozen=True)
class Reading:
    """Everything the panel shows at one moment (``at``: Unix time in seconds). ``errors``: what did not answer."""

    at: float
    values: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[CallRate, ...] = ()
    servers: tuple[ServerRate, ...] = ()
    gpus: tuple[GpuReading, ...] = ()
    errors: tuple[str, ...] = ()


class Monitor:
    """Queries the Prometheus of each cluster. Once a GPU has been seen, the panel keeps it even if it stops reporting."""

    def __init__(self, servers: Mapping[str, Prometheus]) -> None:
        self._servers = servers
        self._known: set[tuple[str, str]] = set()
        self._questions: dict[Role, str] = {
            "users": together(LINES["users"] | {EDGES: CALLS}),
            "gpus": together(LINES["gpus"] | {PODS: SERVED}),
        }

    def read(self, at: float) -> Reading:
        """The current state; ``at`` is now (Unix time, s)."""
        samples: list[tuple[Labels, float]] = []
        errors: list[str] = []
        for role, promql in self._questions.items():
            samples += self._samples(role, promql, errors)
        gpus = self._gpus(self._samples("gpus", GPUS, errors))
        return Reading(at, _values(samples), _calls_of(samples), _servers_of(samples), gpus, tuple(dict.fromkeys(errors)))

    def _server(self, role: Role) -> Prometheus:
        return self._servers[primary(role).name]

    def _samples(self, role: Role, promql: str, errors: list[str]) -> list[tuple[Labels, float]]:
        try:
            return self._server(role).samples(promql)
        except LabError as error:
            errors.append(error.message.splitlines()[0][:120])
            return []

    def past(self, last: float) -> list[tuple[float, dict[str, float]]]:
        """The series of the last ``last`` seconds, one row per second: what a newly opened room starts with."""
        frames = []
        for role, lines in LINES.items():
            try:
                frames.append(_by_line(self._server(role).query(together(lines), last=last, step=1)))
            except LabError:
                # The first reading asks the same server and reports it.
                continue
        if not frames:
            return []
        whole = pd.concat(frames, axis=1).sort_index()
        times = [stamp.timestamp() for stamp in whole.index]
        rows = ({str(name): value for name, value in row.items() if value == value} for row in whole.to_dict("records"))
        return list(zip(times, rows, strict=True))

    def _gpus(self, samples: Iterable[tuple[Labels, float]]) -> tuple[GpuReading, ...]:
        values: dict[tuple[str, str], dict[str, float]] = {}
        pods: dict[tuple[str, str], str] = {}
        for labels, value in samples:
            key = (labels.get("node", "?"), labels.get("gpu", "?"))
            values.setdefault(key, {})[FIELDS[labels["__name__"]]] = value
            pods[key] = labels.get("pod", "")
        self._known |= values.keys()
        return tuple(GpuReading(*key, pods.get(key, ""), values.get(key, {})) for key in sorted(self._known))


def _values(samples: Iterable[tuple[Labels, float]]) -> dict[str, float]:
    """The single series by name. NaN means "no value", as in a quantile of nothing."""
    single = {line for lines in LINES.values() for line in lines}
    return {labels["line"]: value for labels, value in samples if labels["line"] in single and value == value}


def _calls_of(samples: Iterable[tuple[Labels, float]]) -> tuple[CallRate, ...]:
    return tuple(_call(labels, value) for labels, value in samples if labels["line"] == EDGES)


def _servers_of(samples: Iterable[tuple[Labels, float]]) -> tuple[ServerRate, ...]:
    found = [
        ServerRate(labels.get("pod", "?"), labels.get("node", "?"), value) for labels, value in samples if labels["line"] == PODS
    ]
    return tuple(sorted(found, key=lambda server: server.pod))


def _call(labels: Labels, value: float) -> CallRate:
    source = labels.get("deployment") or ("load" if labels.get("k8s_job") else "?")
    return CallRate(source, labels["dst_service"], value)


def _by_line(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis([labels["line"] for labels in frame.attrs["labels"].values()], axis=1)
