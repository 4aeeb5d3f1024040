"""The live chart: four small panels as one inline SVG, cheap enough to be drawn anew at every update.

It holds no ids, so that several may stand on one page, and its own white ground, so that it reads the same in a dark theme.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from labs.course.control_room.history import History, Point
from labs.telemetry.charts import PALETTE
from labs.telemetry.windows import Window

WIDTH, HEIGHT = 480, 170
"""Of one panel, in SVG units, which are pixels at a notebook's usual width."""
LEFT, RIGHT, TOP, BOTTOM = 44, 92, 34, 24
"""Room around the plot: numbers, names of the lines, heading, times."""
DASHES = ("", "7 4", "2 3")
SIZE = 12
GAP = 14.0
"""Least distance between the names of two lines."""
TICK = 30.0
"""Seconds between two marks of the time axis."""
INK, PALE, SHADE, EDGE = "#222222", "#DDDDDD", "#E69F00", "#8A6000"


@dataclass(frozen=True)
class Panel:
    """A heading and the series it shows, at most three. ``floor`` is the least height of the axis."""

    title: str
    lines: tuple[str, ...]
    floor: float


PANELS = (
    Panel("Calls to the model, per second", ("answered", "refused", "failed"), 5),
    Panel("Requests in the model servers", ("running", "waiting"), 5),
    Panel("Time to first token, s (95 of 100 are faster)", ("first token",), 0.5),
    Panel("Hottest card in use, °C", ("hottest",), 50),
)


def draw(history: History, now: float, windows: Sequence[Window], reading: str) -> str:
    """The whole chart as ``<svg>``; ``now`` is its right edge (Unix time, s), ``reading`` its text for a screen reader."""
    parts = [
        f'<svg role="img" aria-label="{html.escape(reading)}" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT}" width="100%"'
        f' style="max-width:{2 * WIDTH}px;background:#fff;font:{SIZE}px sans-serif" xmlns="http://www.w3.org/2000/svg">'
    ]
    for number, panel in enumerate(PANELS):
        x, y = number % 2 * WIDTH, number // 2 * HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(panel, history, now, windows), "</g>"]
    return "".join([*parts, "</svg>"])


def _panel(panel: Panel, history: History, now: float, windows: Sequence[Window]) -> list[str]:
    pieces = {name: history.pieces(name) for name in panel.lines}
    highest = max((value for found in pieces.values() for piece in found for _, value in piece), default=0.0)
    scale = _Scale(now, history.span, nice(max(highest, panel.floor)))
    parts = [f'<text x="{LEFT}" y="16" font-weight="bold" fill="{INK}">{html.escape(panel.title)}</text>']
    parts += _shades(windows, scale) + _axes(scale)
    drawn = [name for name in panel.lines if pieces[name]]
    for name in drawn:
        number = panel.lines.index(name)
        parts += [_line(piece, scale, number) for piece in pieces[name]]
    if not drawn:
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle:.0f}" y="{HEIGHT / 2:.0f}" text-anchor="middle" fill="#555">nothing measured yet</text>')
    return parts + _names(panel, {name: pieces[name][-1][-1] for name in drawn}, history, scale)


@dataclass(frozen=True)
class _Scale:
    now: float
    span: float
    top: float

    def x(self, at: float) -> float:
        return LEFT + (1 - (self.now - at) / self.span) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def nice(value: float) -> float:
    """The round number at or above ``value`` where an axis ends: 1, 2 or 5 times a power of ten.

    >>> nice(6.1)
    10.0
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _axes(scale: _Scale) -> list[str]:
    parts = []
    for value in (0.0, scale.top / 2, scale.top):
        y = scale.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{PALE}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">{value:g}</text>')
    for back in range(0, round(scale.span) + 1, round(TICK)):
        text = "now" if not back else f"−{back} s"
        x = scale.x(scale.now - back)
        parts.append(f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="middle" fill="{INK}">{text}</text>')
    return parts


def _line(piece: Sequence[Point], scale: _Scale, number: int) -> str:
    points = " ".join(f"{scale.x(at):.1f},{scale.y(value):.1f}" for at, value in piece if at >= scale.now - scale.span)
    dash = f' stroke-dasharray="{DASHES[number]}"' if DASHES[number] else ""
    return f'<polyline points="{points}" fill="none" stroke="{PALETTE[number]}" stroke-width="2"{dash}/>'


def _names(panel: Panel, last: dict[str, Point], history: History, scale: _Scale) -> list[str]:
    """Each line's name and newest value at its right end, spread so that no two overlap."""
    parts, lowest = [], math.inf
    for name in sorted(last, key=lambda name: last[name][1]):
        y = min(scale.y(last[name][1]) + 4, lowest - GAP)
        lowest = y
        value = history.latest(name)
        shown = "–" if value is None else figure(value)
        colour = PALETTE[panel.lines.index(name)]
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y:.1f}" fill="{colour}">{html.escape(name)} {shown}</text>')
    return parts


def figure(value: float) -> str:
    """A number as a panel writes it.

    >>> figure(0.0456), figure(5.23), figure(249.6)
    ('0.05', '5.2', '250')
    """
    return f"{value:.2f}" if 0 < value < 1 else f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _shades(windows: Sequence[Window], scale: _Scale) -> list[str]:
    """The spans in which something was broken: a shade, dotted edges, and its name."""
    parts = []
    for row, window in enumerate(_visible(windows, scale)):
        start = max(scale.x(window.start.timestamp()), LEFT)
        end = min(scale.x(window.end.timestamp() if window.end else scale.now), WIDTH - RIGHT)
        # Near the right end the name would run into those of the lines.
        late = start > (LEFT + WIDTH - RIGHT) / 2
        place = f'x="{WIDTH - RIGHT - 3}" text-anchor="end"' if late else f'x="{start + 3:.1f}"'
        parts.append(
            f'<rect x="{start:.1f}" y="{TOP - 12}" width="{end - start:.1f}" height="{HEIGHT - TOP - BOTTOM + 12}"'
            f' fill="{SHADE}" fill-opacity=".18" stroke="{EDGE}" stroke-dasharray="2 2"/>'
            f'<text {place} y="{TOP - 1 + row * GAP:.1f}" fill="#5C4000" font-size="11">{html.escape(window.label)}</text>'
        )
    return parts


def _visible(windows: Sequence[Window], scale: _Scale) -> list[Window]:
    earliest = scale.now - scale.span
    return [window for window in windows if window.end is None or window.end.timestamp() > earliest][-2:]
