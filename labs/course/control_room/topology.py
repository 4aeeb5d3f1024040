"""The topology: both clusters, who calls whom, and how often per second, as one inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labs.course.control_room.live_chart import figure
from labs.course.control_room.readings import CallRate, GpuReading, Reading, ServerRate
from labs.course.render import render
from labs.telemetry.palette import INK, PALETTE

WIDTH, HEIGHT = 960, 206
FRAME, LINK = "#56606B", PALETTE[0]
BOX_WIDTH, BOX_HEIGHT = 118, 40
SERVERS_SHOWN = 4
"""Model servers that are drawn; the others are counted."""
MIDDLE = 104
"""Height of the row of single boxes."""


@dataclass(frozen=True)
class Box:
    """A workload with a second line under its name; ``x`` and ``y`` are its centre."""

    x: float
    y: float
    name: str
    note: str = ""


@dataclass(frozen=True)
class _Cluster:
    x: int
    width: int
    title: str


@dataclass(frozen=True)
class _Arrow:
    """An arrow with its rate; it is dotted if there is no traffic."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    quiet: bool
    label: str
    label_x: float
    label_y: float


@dataclass(frozen=True)
class _Detour:
    """Load that bypasses the chat: an arrow below it."""

    x1: float
    x2: float
    y: float
    low: float
    label: str


LOAD = Box(82, MIDDLE, "load")
CHAT = Box(318, MIDDLE, "chat")
GATEWAY = Box(602, MIDDLE, "gateway")
SERVER_X = 868
CLUSTERS = (_Cluster(8, 400, "app cluster"), _Cluster(530, 422, "gpu cluster"))


def draw(reading: Reading) -> str:
    """The picture as ``<svg>``; its label describes it in words."""
    servers = _server_boxes(reading.servers, reading.gpus)
    direct, asked, through = _rates(reading.calls)
    arrows = [_arrow(LOAD, CHAT, asked), _arrow(CHAT, GATEWAY, through)]
    arrows += [_arrow(GATEWAY, box, server.per_second if server else None) for box, server in servers]
    hidden = len(reading.servers) - SERVERS_SHOWN
    return render(
        "topology.svg.j2",
        description=describe(reading),
        width=WIDTH,
        height=HEIGHT,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        outline=FRAME,
        blue=LINK,
        ink=INK,
        clusters=CLUSTERS,
        arrows=arrows,
        detour=_detour(direct) if direct else None,
        link={"x": 469, "y": MIDDLE + 20, "label": _link_label(reading.values.get("link latency"))},
        boxes=[LOAD, CHAT, GATEWAY, *(box for box, _ in servers)],
        hidden={"x": SERVER_X, "count": hidden} if hidden > 0 else None,
    )


def describe(reading: Reading) -> str:
    """The picture in words."""
    direct, asked, through = _rates(reading.calls)
    latency = reading.values.get("link latency")
    parts = [
        f"Load calls the chat {_spoken(asked)}",
        f"the chat calls the model through the link {_spoken(through)}",
        *([f"load calls the model directly {_spoken(direct)}"] if direct else []),
        *(f"{server.pod} on {server.node or 'no node'} answers {_spoken(server.per_second)}" for server in reading.servers),
        *([f"the round trip to the gateway takes {figure(latency)} ms"] if latency is not None else []),
    ]
    return f"Topology: {'; '.join(parts)}."


def _spoken(per_second: float | None) -> str:
    return "not measured" if per_second is None else f"{figure(per_second)} times per second"


def _rates(calls: Sequence[CallRate]) -> tuple[float | None, float | None, float | None]:
    """Calls per second from load to the model, from load to the chat, from the chat to the model; None if not measured."""

    def total(source: str, service: str) -> float | None:
        found = [call.per_second for call in calls if call.source == source and call.service.startswith(service)]
        return sum(found) if found else None

    return total("load", "model-server"), total("load", "chat"), total("chat", "model-server")


def _server_boxes(servers: Sequence[ServerRate], gpus: Sequence[GpuReading]) -> list[tuple[Box, ServerRate | None]]:
    shown = list(servers[:SERVERS_SHOWN])
    if not shown:
        return [(Box(SERVER_X, MIDDLE, "model server", "none seen"), None)]
    gap = min(58.0, 160 / len(shown))
    first = MIDDLE - gap * (len(shown) - 1) / 2
    boxes: list[tuple[Box, ServerRate | None]] = []
    for number, server in enumerate(shown):
        gpu = next((gpu for gpu in gpus if gpu.pod == server.pod), None)
        place = f"{server.node} gpu {gpu.index}" if gpu else server.node
        boxes.append((Box(SERVER_X, first + gap * number, f"…{server.pod[-11:]}", place), server))
    return boxes


def _arrow(source: Box, target: Box, per_second: float | None) -> _Arrow:
    x1, x2 = source.x + BOX_WIDTH / 2, target.x - BOX_WIDTH / 2
    at = 0.62 if target.y != source.y else 0.5  # off centre, so that the labels of several arrows do not overlap
    return _Arrow(
        x1,
        source.y,
        x2,
        target.y,
        width=min(1.5 + per_second / 10, 5) if per_second else 1,
        quiet=not per_second,
        label=_rate(per_second),
        label_x=x1 + (x2 - x1) * at,
        label_y=source.y + (target.y - source.y) * at - 6,
    )


def _detour(per_second: float) -> _Detour:
    return _Detour(LOAD.x, GATEWAY.x, MIDDLE + BOX_HEIGHT / 2, MIDDLE + 66, _rate(per_second))


def _rate(per_second: float | None) -> str:
    return "–" if per_second is None else f"{figure(per_second)}/s"


def _link_label(milliseconds: float | None) -> str:
    return "link: not measured" if milliseconds is None else f"link: {figure(milliseconds)} ms"
