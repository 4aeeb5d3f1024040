"""What the room knows of a moment: one query a look for each cluster's lines and one for the cards, as a plain snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from labs.errors import LabError
from labs.telemetry.prometheus import Labels, Prometheus
from labs.telemetry.promql import quantile, rate, together

WINDOW = "5s"
"""Of the rates: five scrapes, so that a change is seen within three seconds."""
TO_MODEL = 'direction="outbound",dst_service=~"model-server.*"'
"""The calls that leave a pod of the app cluster for the model, whoever makes them."""
IN_USE = 'pod!=""'


def _calls(codes: str) -> str:
    # "or vector(0)": nobody refused and nobody called are zeros, not gaps.
    labels = f'{TO_MODEL},status_code=~"{codes}"'
    return f"({rate('response_total', labels, window=WINDOW)} or vector(0))"


LINES: dict[str, dict[str, str]] = {
    "app": {
        "answered": _calls("2.."),
        "refused": _calls("4.."),
        "failed": _calls("5.."),
        "way": "max(gateway_latency)",
    },
    "gpu": {
        "running": "sum(vllm:num_requests_running)",
        "waiting": "sum(vllm:num_requests_waiting)",
        "tokens": rate("vllm:generation_tokens_total", window=WINDOW),
        "first token": quantile(0.95, "vllm:time_to_first_token_seconds", window=WINDOW),
        "hottest": f"max(DCGM_FI_DEV_GPU_TEMP{{{IN_USE}}})",
    },
}
"""The series of the chart and of the topology's labels, by cluster: PromQL with one result each."""
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
"""What is asked of a card: percent, MiB, °C, W, MHz, bits, number of the last error."""
CARDS = f'{{__name__=~"{"|".join(FIELDS)}"}}'
SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""The clock-event bits that mean slower than asked for: power limit, hardware slowdown, heat, power brake."""


@dataclass(frozen=True)
class Card:
    """One GPU. ``seen`` has its values by the names of ``FIELDS``; what is missing the card does not say (any more)."""

    node: str
    index: str
    pod: str = ""
    seen: Mapping[str, float] = field(default_factory=dict)

    def get(self, name: str) -> float | None:
        return self.seen.get(name)

    @property
    def state(self) -> str:
        """In words, the worst first."""
        xid = self.seen.get("xid")
        if "busy" not in self.seen:
            return "off the bus" if xid else "does not report"
        if xid:
            return f"XID {xid:g}"
        if int(self.seen.get("events", 0)) & SLOWED:
            return "slowed down"
        return "in use" if self.pod else "free"


@dataclass(frozen=True)
class Call:
    """So many calls a second from one workload of the app cluster to a Service."""

    source: str
    service: str
    per_second: float


@dataclass(frozen=True)
class Server:
    """A model server's pod, its node, and the answers it completes a second."""

    pod: str
    node: str
    per_second: float


@dataclass(frozen=True)
class Snapshot:
    """Everything the panel shows of one moment. ``silent``: what did not answer, in words."""

    at: float
    values: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    servers: tuple[Server, ...] = ()
    cards: tuple[Card, ...] = ()
    silent: tuple[str, ...] = ()


class Readings:
    """Asks the Prometheus of each cluster. A card that was seen once is not forgotten: its silence is shown."""

    def __init__(self, servers: Mapping[str, Prometheus]) -> None:
        self._servers = servers
        self._known: set[tuple[str, str]] = set()
        self._questions = {
            "app": together(LINES["app"] | {EDGES: CALLS}),
            "gpu": together(LINES["gpu"] | {PODS: SERVED}),
        }

    def take(self, at: float) -> Snapshot:
        """A snapshot of now, which is ``at`` (Unix time, s)."""
        rows: list[tuple[Labels, float]] = []
        silent: list[str] = []
        for cluster, promql in self._questions.items():
            rows += self._asked(cluster, promql, silent)
        cards = self._asked("gpu", CARDS, silent)
        single = {line for lines in LINES.values() for line in lines}
        # NaN is "no value", as in a quantile of nothing.
        values = {labels["line"]: value for labels, value in rows if labels["line"] in single and value == value}
        calls = [_call(labels, value) for labels, value in rows if labels["line"] == EDGES]
        served = [
            Server(labels.get("pod", "?"), labels.get("node", "?"), value) for labels, value in rows if labels["line"] == PODS
        ]
        return Snapshot(
            at, values, tuple(calls), tuple(sorted(served, key=lambda server: server.pod)),
            self._cards(cards), tuple(dict.fromkeys(silent)),
        )  # fmt: skip

    def _asked(self, cluster: str, promql: str, silent: list[str]) -> list[tuple[Labels, float]]:
        try:
            return self._servers[cluster].samples(promql)
        except LabError as error:
            silent.append(error.message.splitlines()[0][:120])
            return []

    def past(self, last: float) -> list[tuple[float, dict[str, float]]]:
        """The chart's lines of the last so many seconds, a row a second: what a room that opens begins with."""
        frames = []
        for cluster, lines in LINES.items():
            try:
                frames.append(_by_line(self._servers[cluster].query(together(lines), last=last, step=1)))
            except LabError:
                # It is told by the first snapshot, which asks the same server.
                continue
        if not frames:
            return []
        whole = pd.concat(frames, axis=1).sort_index()
        times = [stamp.timestamp() for stamp in whole.index]
        rows = ({str(name): value for name, value in row.items() if value == value} for row in whole.to_dict("records"))
        return list(zip(times, rows, strict=True))

    def _cards(self, rows: Iterable[tuple[Labels, float]]) -> tuple[Card, ...]:
        seen: dict[tuple[str, str], dict[str, float]] = {}
        pods: dict[tuple[str, str], str] = {}
        for labels, value in rows:
            key = (labels.get("node", "?"), labels.get("gpu", "?"))
            seen.setdefault(key, {})[FIELDS[labels["__name__"]]] = value
            pods[key] = labels.get("pod", "")
        self._known |= seen.keys()
        return tuple(Card(*key, pods.get(key, ""), seen.get(key, {})) for key in sorted(self._known))


def _call(labels: Labels, value: float) -> Call:
    source = labels.get("deployment") or ("load" if labels.get("k8s_job") else "?")
    return Call(source, labels["dst_service"], value)


def _by_line(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis([labels["line"] for labels in frame.attrs["labels"].values()], axis=1)
