"""The live chart: four small panels as one inline SVG, cheap enough to redraw with every update.

It has no ids, so that several charts can share a page, and a white background, so that it also reads well in a dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labs.course.control_room.history import History, Point
from labs.course.render import render
from labs.telemetry.palette import FAINT, GRID, INK, PALETTE, SHADE, SHADE_ALPHA, SHADE_EDGE, SHADE_TEXT
from labs.telemetry.windows import Window

WIDTH, HEIGHT = 480, 170
"""Size of one panel in SVG units, which are pixels at a notebook's usual width."""
LEFT, RIGHT, TOP, BOTTOM = 44, WIDTH - 116, 34, HEIGHT - 24
"""The edges of the plot in a panel. Around it: numbers, the lines' names, the heading, times."""
DASHES = ("", "7 4", "2 3")
GAP = 14.0
"""Minimum distance between the names of two lines."""
COLOURS = {
    "ink": INK,
    "faint": FAINT,
    "grid": GRID,
    "shade": SHADE,
    "shade_alpha": SHADE_ALPHA,
    "shade_edge": SHADE_EDGE,
    "shade_text": SHADE_TEXT,
}
"""What the template draws everything in that is not a series."""
TICK = 30.0
"""Seconds between two marks on the time axis."""


@dataclass(frozen=True)
class LivePanel:
    """A heading and up to three series. ``floor`` is the minimum height of the axis."""

    title: str
    series: tuple[str, ...]
    floor: float


PANELS = (
    LivePanel("Calls to the model, per second", ("answered", "refused", "failed"), 5),
    LivePanel("Requests in the model servers", ("running", "waiting"), 5),
    LivePanel("Time to first token p95, s", ("first token",), 0.5),
    LivePanel("Hottest GPU in use, °C", ("hottest",), 50),
)


@dataclass(frozen=True)
class _Scale:
    """Maps times and values to places in a panel."""

    now: float
    span: float
    top: float

    def x(self, at: float) -> float:
        return LEFT + (1 - (self.now - at) / self.span) * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return BOTTOM - value / self.top * (BOTTOM - TOP)


@dataclass(frozen=True)
class _Tick:
    at: float
    text: str


@dataclass(frozen=True)
class _Polyline:
    points: str
    colour: str
    dash: str


@dataclass(frozen=True)
class _Name:
    """A line's name and latest value, at its right end, after a sample of the line."""

    y: float
    text: str
    colour: str
    dash: str


@dataclass(frozen=True)
class _Shade:
    """A span in which a fault was active."""

    x: float
    width: float
    label: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True)
class _Drawing:
    """One panel as the template draws it."""

    x: int
    y: int
    title: str
    values: Sequence[_Tick]
    times: Sequence[_Tick]
    lines: Sequence[_Polyline]
    names: Sequence[_Name]
    shades: Sequence[_Shade]


def draw(history: History, now: float, windows: Sequence[Window], reading: str) -> str:
    """The chart as ``<svg>``. ``now`` (Unix time, s) is its right edge; ``reading`` describes it to a screen reader."""
    panels = [
        _panel(panel, history, now, windows, x=number % 2 * WIDTH, y=number // 2 * HEIGHT) for number, panel in enumerate(PANELS)
    ]
    edges = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
    return render(
        "live_chart.svg.j2", panels=panels, reading=reading, width=2 * WIDTH, height=2 * HEIGHT, colours=COLOURS, **edges
    )


def _panel(panel: LivePanel, history: History, now: float, windows: Sequence[Window], *, x: int, y: int) -> _Drawing:
    pieces = {name: found for name in panel.series if (found := history.pieces(name))}
    highest = max((value for found in pieces.values() for piece in found for _, value in piece), default=0.0)
    scale = _Scale(now, history.span, nice(max(highest, panel.floor)))
    return _Drawing(
        x=x,
        y=y,
        title=panel.title,
        values=[_Tick(scale.y(value), f"{value:g}") for value in (0.0, scale.top / 2, scale.top)],
        times=_times(scale),
        lines=[_line(piece, scale, panel.series.index(name)) for name, found in pieces.items() for piece in found],
        names=_names(panel, {name: found[-1][-1] for name, found in pieces.items()}, history, scale),
        shades=_shades(windows, scale),
    )


def nice(value: float) -> float:
    """The round number at or above ``value`` where an axis ends: 1, 2 or 5 times a power of ten.

    >>> nice(6.1)
    10.0
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _times(scale: _Scale) -> list[_Tick]:
    ages = range(0, round(scale.span) + 1, round(TICK))
    return [_Tick(scale.x(scale.now - age), f"−{age} s" if age else "now") for age in ages]


def _line(piece: Sequence[Point], scale: _Scale, number: int) -> _Polyline:
    points = " ".join(f"{scale.x(at):.1f},{scale.y(value):.1f}" for at, value in piece if at >= scale.now - scale.span)
    return _Polyline(points, PALETTE[number], DASHES[number])


def _names(panel: LivePanel, last: Mapping[str, Point], history: History, scale: _Scale) -> list[_Name]:
    """The names, spread so that no two overlap."""
    names: list[_Name] = []
    for name in sorted(last, key=lambda name: last[name][1]):
        lowest = names[-1].y if names else math.inf
        latest = history.latest(name)
        text = f"{name} {'–' if latest is None else figure(latest)}"
        number = panel.series.index(name)
        names.append(_Name(min(scale.y(last[name][1]) + 4, lowest - GAP), text, PALETTE[number], DASHES[number]))
    return names


def figure(value: float) -> str:
    """A number as a panel shows it.

    >>> figure(0.0456), figure(5.23), figure(249.6)
    ('0.05', '5.2', '250')
    """
    return f"{value:.2f}" if 0 < value < 1 else f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _shades(windows: Sequence[Window], scale: _Scale) -> list[_Shade]:
    """The latest two spans in which a fault was active."""
    earliest = scale.now - scale.span
    visible = [window for window in windows if window.end is None or window.end.timestamp() > earliest][-2:]
    return [_shade(window, scale, row) for row, window in enumerate(visible)]


def _shade(window: Window, scale: _Scale, row: int) -> _Shade:
    start = max(scale.x(window.start.timestamp()), LEFT)
    end = min(scale.x(window.end.timestamp() if window.end else scale.now), RIGHT)
    # Near the right edge a label would run into the names of the lines.
    late = start > (LEFT + RIGHT) / 2
    return _Shade(
        x=start,
        width=end - start,
        label=window.label,
        label_x=RIGHT - 3 if late else start + 3,
        label_y=TOP - 1 + row * GAP,
        anchor="end" if late else "start",
    )
