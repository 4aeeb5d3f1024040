"""Charts for notebooks: a picture with alternative text, a one-sentence reading and a small table below it.

Figures use Agg without pyplot, so no state survives from one chart to the next.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labs.telemetry import tables
from labs.telemetry.palette import (
    FAINT,
    GRID,
    INK,
    PALETTE,
    SHADE,
    SHADE_ALPHA,
    SHADE_EDGE,
    SHADE_TEXT,
    colour,
    dash,
    marker,
)
from labs.telemetry.render import render
from labs.telemetry.windows import Window

FONT = 12
"""Points; no text in a chart is smaller than 11."""
SMALL = 11
WIDTH = 10.0
"""Inches: at DPI this fills a notebook's column."""
DPI = 100
HEIGHT_ALONE = 4.2
HEIGHT_IN_TIMELINE = 2.0
LONGEST_NAME = 28
"""Characters of a series' name that fit next to the axes."""
LEGIBLE = 7
"""The most series that a panel draws; its title counts the others."""
MARKS = 8
"""Markers on a line, where there are several lines: steps and noise hide a dash, and grey hides a colour."""
SAMPLE = (1.01, 1.045)
"""Where the sample of a line is drawn that stands before its name; the axes end at 1."""


@dataclass(frozen=True)
class Panel:
    """One set of axes: a frame indexed by time with a column per line. ``points`` draws marks instead of lines."""

    frame: pd.DataFrame
    title: str
    unit: str = ""
    points: bool = False
    empty: str = "no data in this span"


@dataclass(frozen=True)
class Chart:
    """A drawn chart that displays itself in a notebook; ``alt`` is its alternative text."""

    png: bytes
    alt: str
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    reading: str = ""
    name: str = ""

    def save(self, path: str) -> None:
        """Write the PNG."""
        with open(path, "wb") as out:
            out.write(self.png)

    def __str__(self) -> str:
        return "\n".join(part for part in (self.reading, self.table.to_string() if len(self.table) else "") if part) or self.alt

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # As HTML, because JupyterLab shows an image/png without the alternative text that its metadata has.
        picture = base64.b64encode(self.png).decode()
        table = tables.html(self.table, f"Numbers of the chart: {self.name}") if len(self.table) else ""
        width = int(WIDTH * DPI)
        figure = render("chart.html.j2", picture=picture, width=width, alt=self.alt, reading=self.reading, table=table)
        return {"text/html": figure, "text/plain": str(self)}


def draw(panels: Sequence[Panel], *, title: str = "", reading: str = "", windows: Sequence[Window] = ()) -> Chart:
    """Stacked panels on a shared time axis, with ``windows`` shaded across all of them."""
    alone = len(panels) == 1
    height = HEIGHT_ALONE if alone else 0.9 + HEIGHT_IN_TIMELINE * len(panels)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    span = _span(panels)
    for panel, axis in zip(panels, axes, strict=True):
        _panel(axis, panel, heading="" if alone and title else panel.title)
        _shade(axis, windows, span, labelled=axis is axes[0])
    _time_axis(axes[-1], span)
    heading = title or (panels[0].title if alone else "")
    if heading:
        figure.suptitle(heading, fontsize=FONT + 2, x=0.01, ha="left", weight="bold")
    return Chart(_png(figure), _alt(heading, panels, reading, _visible(windows, span)), _table(panels), reading, heading)


def bars(values: pd.Series, *, title: str, unit: str, reading: str = "") -> Chart:
    """One bar per value, labelled with its number; the first is at the top."""
    figure = Figure(figsize=(WIDTH, 1.2 + 0.36 * max(len(values), 1)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    drawn = axis.barh([str(name) for name in values.index], values.to_list(), color=PALETTE[0])
    axis.bar_label(drawn, fmt="{:.0f}", padding=4, fontsize=SMALL)
    axis.invert_yaxis()
    axis.tick_params(labelsize=SMALL)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel(unit, fontsize=SMALL)
    figure.suptitle(title, fontsize=FONT + 2, x=0.01, ha="left", weight="bold")
    said = "; ".join(f"{name} {value:.4g}" for name, value in values.items())
    return Chart(_png(figure), f"Bar chart: {title}, in {unit}. {said}. {reading}".strip(), reading=reading, name=title)


def intervals(frame: pd.DataFrame, *, title: str, unit: str, reading: str = "") -> Chart:
    """One row per value, the first at the top: a mark at ``value``, a line from ``low`` to ``high``, and the numbers."""
    figure = Figure(figsize=(WIDTH, 1.4 + 0.5 * max(len(frame), 1)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    told = [f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for _, row in frame.iterrows()]
    for number, (_, row) in enumerate(frame.iterrows()):
        axis.plot([row["low"], row["high"]], [number, number], color=PALETTE[0], linewidth=3, solid_capstyle="butt")
        axis.plot(row["value"], number, color=PALETTE[1], marker=marker(3), markersize=9)
        axis.annotate(
            told[number], (row["high"], number), xytext=(10, 0), textcoords="offset points", fontsize=SMALL, va="center"
        )
    axis.set_yticks(range(len(frame)), [str(name) for name in frame.index])
    axis.set_ylim(max(len(frame), 1) - 0.5, -0.5)
    axis.axvline(0, color=FAINT, linewidth=1)
    axis.set_xlim(right=1.45 * max(float(frame["high"].max()), 0.01) if len(frame) else None)  # room for the numbers
    axis.tick_params(labelsize=SMALL)
    axis.grid(axis="x", color=GRID, linewidth=0.8)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel(f"{unit}; mark: measured, line: 95 % interval", fontsize=SMALL)
    figure.suptitle(title, fontsize=FONT + 2, x=0.01, ha="left", weight="bold")
    said = "; ".join(f"{name} {text}" for name, text in zip(frame.index, told, strict=True))
    return Chart(_png(figure), f"Interval chart: {title}, in {unit}. {said}. {reading}".strip(), reading=reading, name=title)


def curves(
    lines: Mapping[str, pd.Series], *, x: str, y: str, title: str, reading: str, marks: Mapping[str, float], table: pd.DataFrame
) -> Chart:
    """Lines over a number instead of time, with a dotted diagonal where x equals y; ``marks`` are positions on the x axis."""
    figure = Figure(figsize=(WIDTH, HEIGHT_ALONE), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    frame = pd.concat(lines, axis=1).sort_index() if lines else pd.DataFrame()
    top = max((float(line.index.max()) for line in lines.values() if len(line)), default=1.0)
    axis.plot([0, top], [0, top], color=FAINT, linewidth=1, linestyle=":")
    for number, name in enumerate(lines):
        _line(axis, frame[name].dropna(), number, points=False, alone=len(lines) == 1)
    for row, (text, at) in enumerate(marks.items()):
        axis.axvline(at, color=colour(row), linewidth=1.5, linestyle=dash(row))
        place = (at, 0.03 + 0.08 * row)
        side = "right" if at > top / 2 else "left"
        axis.annotate(
            f" {text} ",
            xy=place,
            xycoords=axis.get_xaxis_transform(),
            fontsize=SMALL,
            ha=side,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1},
        )
    _dress(axis, x, y)
    axis.annotate("all that is asked for", xy=(top, top), xytext=(-6, 0), textcoords="offset points", fontsize=SMALL, ha="right")
    if lines:
        _direct_labels(axis, frame, points=False)
    figure.suptitle(title, fontsize=FONT + 2, x=0.01, ha="left", weight="bold")
    said = "; ".join(f"{name} rises to {line.max():.4g} {y} at {line.idxmax():.4g} {x}" for name, line in lines.items())
    placed = "".join(f" {text}, at {at:.4g} {x}." for text, at in marks.items())
    return Chart(_png(figure), f"Chart of {y} over {x}: {title}. {said}.{placed} {reading}".strip(), table, reading, title)


def _dress(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=SMALL)
    axis.set_ylabel(y, fontsize=SMALL)
    axis.tick_params(labelsize=SMALL)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _panel(axis: Axes, panel: Panel, heading: str) -> None:
    frame = panel.frame.dropna(axis="columns", how="all")
    shown, hidden = frame.iloc[:, :LEGIBLE], max(0, frame.shape[1] - LEGIBLE)
    note = f"   (+{hidden} more series, not drawn)" if hidden else ""
    axis.set_title(heading + note, fontsize=FONT, loc="left")
    axis.set_ylabel(panel.unit, fontsize=SMALL)
    axis.tick_params(labelsize=SMALL)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    whole = bool((shown.fillna(0) % 1 == 0).all(axis=None))
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=whole))
    if shown.empty:
        axis.text(0.5, 0.5, panel.empty, transform=axis.transAxes, ha="center", va="center", fontsize=FONT, color=FAINT)
        axis.set_yticks([])
        return
    for number, name in enumerate(shown.columns):
        _line(axis, shown[name], number, points=panel.points, alone=shown.shape[1] == 1)
    low, high = axis.get_ylim()
    flat = shown.min().min() == shown.max().max()
    if shown.min().min() >= 0 and (low < 0.5 * high or flat):
        axis.set_ylim(bottom=-0.03 * high)  # from zero, with room for a line at zero
    _direct_labels(axis, shown, panel.points)


def _line(axis: Axes, series: pd.Series, number: int, *, points: bool, alone: bool) -> None:
    if points:
        # A white rim keeps points apart that lie on each other; transparent ones would be too pale.
        rim: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
        axis.plot(series.index, series, linestyle="", marker=marker(number), markersize=5, color=colour(number), **rim)
        return
    every = max(1, len(series) // MARKS)
    marks: dict[str, Any] = (
        {} if alone else {"marker": marker(number), "markersize": 5, "markevery": (number * every // LEGIBLE, every)}
    )
    # Gaps stay gaps: the end of a series is often the point.
    axis.plot(series.index, series, linestyle=dash(number), linewidth=2, color=colour(number), **marks)


def _direct_labels(axis: Axes, frame: pd.DataFrame, points: bool) -> None:
    """Write each series' name at its right end, spread so that no two overlap."""
    if frame.shape[1] == 1 and len(str(frame.columns[0])) > LONGEST_NAME:
        return  # a single series named by its whole query: the title already says what it is
    last = {name: frame[name].dropna() for name in frame.columns}
    low, high = axis.get_ylim()
    gap = (high - low) * (SMALL + 3) / _height(axis)
    order = sorted(last, key=lambda name: float(last[name].iloc[-1]))
    place = _spread([float(last[name].iloc[-1]) for name in order], gap, low, high)
    for name, y in zip(order, place, strict=True):
        number = list(frame.columns).index(name)
        sample = _sample(number, y, points=points, alone=len(order) == 1)
        sample.set_transform(axis.get_yaxis_transform())
        axis.add_artist(sample)
        axis.annotate(
            f"{name}",
            xy=(SAMPLE[1] + 0.008, y),
            xycoords=axis.get_yaxis_transform(),
            fontsize=SMALL,
            va="center",
            color=INK,
            annotation_clip=False,
        )


def _sample(number: int, y: float, *, points: bool, alone: bool) -> Line2D:
    """A piece of a series' line before its name: the name itself is in ink, which every eye can read."""
    middle = sum(SAMPLE) / 2
    where, mark = ([middle], 0) if points else ([SAMPLE[0], middle, SAMPLE[1]], 1)
    line = Line2D(where, [y] * len(where), color=colour(number), linewidth=2, markersize=5, markevery=[mark], clip_on=False)
    line.set_linestyle("" if points else dash(number))
    line.set_marker("" if alone and not points else marker(number))
    return line


def _height(axis: Axes) -> float:
    """Approximate height of the axes in points; titles and ticks will take part of it."""
    return max(1.0, axis.get_window_extent().height * 72 / DPI * 0.8)


def _spread(values: list[float], gap: float, low: float, high: float) -> list[float]:
    """``values`` (ascending) moved apart until neighbours are ``gap`` apart, within the axis if possible."""
    placed: list[float] = []
    for value in values:
        placed.append(max(value, placed[-1] + gap) if placed else max(value, low + gap / 2))
    overshoot = max(0.0, placed[-1] - (high - gap / 2)) if placed else 0.0
    for index in range(len(placed) - 1, -1, -1):
        ceiling = placed[index + 1] - gap if index + 1 < len(placed) else placed[index] - overshoot
        placed[index] = min(placed[index], ceiling)
    return placed


def _span(panels: Sequence[Panel]) -> tuple[datetime, datetime] | None:
    """From the first to the last time in any panel; a panel without data still has an index."""
    times = [stamp for panel in panels if len(panel.frame.index) for stamp in (panel.frame.index[0], panel.frame.index[-1])]
    if not times:
        return None
    return min(times).floor("us").to_pydatetime(), max(times).floor("us").to_pydatetime()


def _visible(windows: Sequence[Window], span: tuple[datetime, datetime] | None) -> list[Window]:
    return [part for window in windows if span and (part := window.clipped(*span))]


def _shade(axis: Axes, windows: Sequence[Window], span: tuple[datetime, datetime] | None, *, labelled: bool) -> None:
    visible = _visible(windows, span)
    if labelled and visible:
        # Leave room above the data for one line of text per window.
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + (high - low) * len(visible) * (SMALL + 5) / _height(axis))
    for row, window in enumerate(visible):
        assert window.end is not None, "clipped windows end"
        axis.axvspan(dates.date2num(window.start), dates.date2num(window.end), color=SHADE, alpha=SHADE_ALPHA, linewidth=0)
        for edge in (window.start, window.end):
            axis.axvline(dates.date2num(edge), color=SHADE_EDGE, linewidth=1, linestyle=(0, (2, 2)))
        if labelled:
            axis.annotate(
                window.label,
                xy=(dates.date2num(window.start), 1),
                xycoords=axis.get_xaxis_transform(),
                xytext=(4, -4 - row * (SMALL + 4)),
                textcoords="offset points",
                fontsize=SMALL,
                va="top",
                color=SHADE_TEXT,
                bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1},
            )


def _time_axis(axis: Axes, span: tuple[datetime, datetime] | None) -> None:
    if span is None:
        axis.set_xticks([])
        return
    if span[0] < span[1]:
        axis.set_xlim(dates.date2num(span[0]), dates.date2num(span[1]))
    axis.xaxis.set_major_locator(dates.AutoDateLocator(tz=UTC, minticks=4, maxticks=8))
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S", tz=UTC))
    axis.set_xlabel("time (UTC)", fontsize=SMALL)


def _table(panels: Sequence[Panel]) -> pd.DataFrame:
    """Minimum, median, maximum and last value of every line."""
    rows = {}
    for panel in panels:
        for name in panel.frame.dropna(axis="columns", how="all").columns[:LEGIBLE]:
            values = panel.frame[name].dropna()
            key = str(name) if len(panels) == 1 else f"{panel.title}: {name}"
            rows[key] = {"min": values.min(), "median": values.median(), "max": values.max(), "last": values.iloc[-1]}
    return pd.DataFrame.from_dict(rows, orient="index").round(3)


def _alt(heading: str, panels: Sequence[Panel], reading: str, windows: Sequence[Window]) -> str:
    sentences = [f"Chart over time{f': {heading}' if heading else ''}."]
    for panel in panels:
        frame = panel.frame.dropna(axis="columns", how="all")
        if frame.empty:
            sentences.append(f"{panel.title}: {panel.empty}.")
            continue
        ranges = [f"{name} between {frame[name].min():.4g} and {frame[name].max():.4g}" for name in frame.columns[:LEGIBLE]]
        sentences.append(f"{panel.title}{f' in {panel.unit}' if panel.unit else ''}: {'; '.join(ranges)}.")
    sentences += [f"Shaded: {w.label}, from {w.start:%H:%M:%S} to {w.end:%H:%M:%S} UTC." for w in windows]
    return " ".join([*sentences, reading]).strip()
