"""The topology: both clusters, who calls whom, and how often a second, as one inline SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from labs.course.control_room.live_chart import INK, SIZE, figure
from labs.course.control_room.readings import Call, Card, Server, Snapshot

WIDTH, HEIGHT = 960, 206
FRAME, LINK = "#56606B", "#0072B2"
BOX_WIDTH, BOX_HEIGHT = 118, 40
SERVERS_SHOWN = 4
"""Model servers drawn at most; the rest is counted."""
MIDDLE = 104
"""Height of the row in which the single boxes stand."""


@dataclass(frozen=True)
class Box:
    """A workload, with a second line under its name; ``x`` and ``y`` are its centre."""

    x: float
    y: float
    name: str
    note: str = ""


LOAD = Box(82, MIDDLE, "load", "")
CHAT = Box(318, MIDDLE, "chat", "")
GATEWAY = Box(602, MIDDLE, "gateway", "")
SERVER_X = 868


def draw(snapshot: Snapshot) -> str:
    """The picture as ``<svg>``; what it shows is in its label, too."""
    servers = _server_boxes(snapshot.servers, snapshot.cards)
    direct, asked, through = _rates(snapshot.calls)
    parts = [
        f'<svg role="img" aria-label="{html.escape(describe(snapshot))}" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%"'
        f' style="max-width:{WIDTH}px;background:#fff;font:{SIZE}px sans-serif" xmlns="http://www.w3.org/2000/svg">',
        _frame(8, 400, "app cluster"), _frame(530, 422, "gpu cluster"),
        _edge(LOAD, CHAT, asked), _edge(CHAT, GATEWAY, through),
    ]  # fmt: skip
    if direct:
        parts.append(_around(direct))
    parts.append(_way(snapshot.values.get("way")))
    for box, server in servers:
        parts.append(_edge(GATEWAY, box, server.per_second if server else None))
    parts += [_box(box) for box in (LOAD, CHAT, GATEWAY, *(box for box, _ in servers))]
    hidden = len(snapshot.servers) - SERVERS_SHOWN
    if hidden > 0:
        parts.append(f'<text x="{SERVER_X}" y="{HEIGHT - 14}" text-anchor="middle" fill="{INK}">and {hidden} more</text>')
    return "".join([*parts, "</svg>"])


def describe(snapshot: Snapshot) -> str:
    """The picture in words."""
    direct, asked, through = _rates(snapshot.calls)
    way = snapshot.values.get("way")
    parts = [
        f"Load calls the chat {_told(asked)}",
        f"the chat calls the model through the link {_told(through)}",
        *([f"load calls the model directly {_told(direct)}"] if direct else []),
        *(f"{server.pod} on {server.node or 'no node'} answers {_told(server.per_second)}" for server in snapshot.servers),
        *([f"the way to the gateway takes {figure(way)} ms"] if way is not None else []),
    ]
    return f"Topology: {'; '.join(parts)}."


def _told(per_second: float | None) -> str:
    return "not measured" if per_second is None else f"{figure(per_second)} times a second"


def _rates(calls: Sequence[Call]) -> tuple[float | None, float | None, float | None]:
    """Calls a second from load to the model, from load to the chat, from the chat to the model; None where none was counted."""

    def total(source: str, service: str) -> float | None:
        found = [call.per_second for call in calls if call.source == source and call.service.startswith(service)]
        return sum(found) if found else None

    return total("load", "model-server"), total("load", "chat"), total("chat", "model-server")


def _server_boxes(servers: Sequence[Server], cards: Sequence[Card]) -> list[tuple[Box, Server | None]]:
    shown = list(servers[:SERVERS_SHOWN])
    if not shown:
        return [(Box(SERVER_X, MIDDLE, "model server", "none seen"), None)]
    gap = min(58.0, 160 / len(shown))
    first = MIDDLE - gap * (len(shown) - 1) / 2
    boxes: list[tuple[Box, Server | None]] = []
    for number, server in enumerate(shown):
        card = next((card for card in cards if card.pod == server.pod), None)
        place = f"{server.node} gpu {card.index}" if card else server.node
        boxes.append((Box(SERVER_X, first + gap * number, f"…{server.pod[-11:]}", place), server))
    return boxes


def _frame(x: float, width: float, title: str) -> str:
    return (
        f'<rect x="{x}" y="8" width="{width}" height="{HEIGHT - 16}" rx="8" fill="none" stroke="{FRAME}"/>'
        f'<text x="{x + 12}" y="28" font-weight="bold" fill="{INK}">{title}</text>'
    )


def _box(box: Box) -> str:
    left, top = box.x - BOX_WIDTH / 2, box.y - BOX_HEIGHT / 2
    middle = f'x="{box.x}" text-anchor="middle" fill="{INK}"'
    name = f'<text {middle} y="{box.y + (-3 if box.note else 4):.0f}" font-weight="bold">{html.escape(box.name)}</text>'
    note = f'<text {middle} y="{box.y + 14:.0f}" font-size="11">{html.escape(box.note)}</text>' if box.note else ""
    return (
        f'<rect x="{left}" y="{top:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#F4F6F8" stroke="{FRAME}"/>'
        f"{name}{note}"
    )


def _edge(source: Box, target: Box, per_second: float | None) -> str:
    """An arrow with its rate in the middle; a dotted one where nothing flows."""
    x1, x2 = source.x + BOX_WIDTH / 2, target.x - BOX_WIDTH / 2
    at = 0.62 if target.y != source.y else 0.5  # off the middle, so that the labels of several do not meet
    x, y = x1 + (x2 - x1) * at, source.y + (target.y - source.y) * at - 6
    return _arrow(x1, source.y, x2, target.y, per_second) + _rate(x, y, per_second)


def _arrow(x1: float, y1: float, x2: float, y2: float, per_second: float | None) -> str:
    quiet = not per_second
    dash = ' stroke-dasharray="2 4"' if quiet else ""
    head = f'<path d="M{x2 - 8:.0f} {y2 - 5:.0f}L{x2:.0f} {y2:.0f}L{x2 - 8:.0f} {y2 + 5:.0f}" fill="none" stroke="{LINK}"/>'
    width = 1 if quiet else min(1.5 + per_second / 10, 5) if per_second else 1
    line = f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="{LINK}" stroke-width="{width:.1f}"{dash}/>'
    return line + head


def _rate(x: float, y: float, per_second: float | None) -> str:
    text = "–" if per_second is None else f"{figure(per_second)}/s"
    # A white rim keeps the number legible where it lies on a line.
    rim = 'stroke="#fff" stroke-width="4" paint-order="stroke"'
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" fill="{INK}" {rim}>{text}</text>'


def _around(per_second: float) -> str:
    """Load that goes to the model without the chat: an arrow below it."""
    low = MIDDLE + 66
    x1, x2 = LOAD.x, GATEWAY.x
    y = MIDDLE + BOX_HEIGHT / 2
    path = f'<path d="M{x1} {y}V{low}H{x2}V{y}" fill="none" stroke="{LINK}" stroke-width="2"/>'
    head = f'<path d="M{x2 - 5} {y + 8}L{x2} {y}L{x2 + 5} {y + 8}" fill="none" stroke="{LINK}"/>'
    return path + head + _rate((x1 + x2) / 2, low - 6, per_second)


def _way(milliseconds: float | None) -> str:
    text = "link: not measured" if milliseconds is None else f"link: {figure(milliseconds)} ms"
    return f'<text x="{(408 + 530) / 2}" y="{MIDDLE + 20}" text-anchor="middle" fill="{INK}">{text}</text>'
