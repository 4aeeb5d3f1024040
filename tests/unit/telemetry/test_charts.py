"""Charts: what they say, what they shade, and that they are pictures."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import nbformat
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbconvert import HTMLExporter

from labs.telemetry.charts import LEGIBLE, Panel, _panel, _spread, bars, draw
from labs.telemetry.palette import INK
from labs.telemetry.windows import Window

START = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)


def frame(**columns: list[float]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.date_range(START, periods=rows, freq="1s", name="time"))


class Read(HTMLParser):
    """The tags of a page, each with its attributes; a screen reader and a browser begin with the same."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_picture_itself_has_the_alternative_text_and_its_reading_and_table_follow() -> None:
    panel = Panel(frame(hot=[50.0, 90.0], cool=[40.0, 41.0]), "", "°C")
    chart = draw([panel], title='Temperature of "both" & <more>', reading="One rises.")
    shown = chart._repr_mimebundle_()
    assert set(shown) == {"text/html", "text/plain"} and shown["text/plain"].startswith("One rises.")
    (image,) = [attributes for tag, attributes in Read(shown["text/html"]).tags if tag == "img"]
    assert image["alt"] == chart.alt and image["src"] == f"data:image/png;base64,{base64.b64encode(chart.png).decode()}"
    assert 'Temperature of "both" & <more>' in chart.alt and "hot between 50 and 90" in chart.alt and "One rises." in chart.alt
    assert chart.png.startswith(b"\x89PNG") and chart.table.loc["hot", "max"] == 90
    assert "<figcaption><em>One rises.</em></figcaption>" in shown["text/html"] and "<table" in shown["text/html"]


def test_jupyterlab_and_nbconvert_keep_the_alternative_text() -> None:
    """Both choose text/html, and JupyterLab keeps its pictures even in a notebook that it does not trust."""
    shown = draw([Panel(frame(x=[1.0, 2.0]), "x")], title="T")._repr_mimebundle_()
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("execute_result", data=shown)])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert [attributes["alt"] for tag, attributes in Read(page).tags if tag == "img"] == [
        "Chart over time: T. x: x between 1 and 2."
    ]


@pytest.mark.parametrize("points", [False, True])
def test_a_name_is_in_ink_and_stands_after_a_sample_of_its_line(points: bool) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    columns = frame(**{f"s{n}": [float(n), float(n + 1)] for n in range(LEGIBLE)})
    _panel(axis, Panel(columns, "many", points=points), "many")
    assert [text.get_color() for text in axis.texts] == [INK] * LEGIBLE
    drawn = [(line.get_color(), line.get_marker(), str(line.get_linestyle())) for line in axis.lines if line.get_clip_on()]
    samples = [(line.get_color(), line.get_marker(), str(line.get_linestyle())) for line in axis.lines if not line.get_clip_on()]
    assert len(set(drawn)) == LEGIBLE and sorted(samples) == sorted(drawn)
    assert len({marker for _, marker, _ in drawn}) == LEGIBLE, "grey hides a colour, and steps hide a dash"


def test_a_fault_in_the_span_is_named_and_one_outside_is_not() -> None:
    inside = Window("gateway-down", START + timedelta(seconds=2), START + timedelta(seconds=4))
    before = Window("gpu-xid79", START - timedelta(seconds=90), START - timedelta(seconds=60))
    panel = Panel(frame(x=[float(n) for n in range(10)]), "x")
    shaded, plain = draw([panel], windows=[inside, before]), draw([panel], windows=[before])
    assert "gateway-down, from 16:00:02 to 16:00:04" in shaded.alt
    assert "xid79" not in shaded.alt and shaded.png != plain.png
    assert plain.png == draw([panel]).png


def test_a_fault_that_goes_on_is_shaded_to_the_end_of_the_data() -> None:
    panel = Panel(frame(x=[1.0] * 10), "x")
    assert "from 16:00:02 to 16:00:09" in draw([panel], windows=[Window("w", START + timedelta(seconds=2))]).alt


@pytest.mark.parametrize("empty", [pd.DataFrame(), frame(x=[float("nan")] * 3)])
def test_no_data_is_said_and_not_an_error(empty: pd.DataFrame) -> None:
    chart = draw([Panel(empty, "Latency", "ms")], title="T")
    assert "no data in this span" in chart.alt and chart.png.startswith(b"\x89PNG") and chart.table.empty


def test_many_series_are_counted_not_crowded() -> None:
    chart = draw([Panel(frame(**{f"s{n}": [float(n)] * 3 for n in range(20)}), "many")])
    assert len(chart.table) == LEGIBLE


def test_bars_say_their_numbers() -> None:
    chart = bars(pd.Series({"etcd": 52.0}), title="SavedState", unit="MiB")
    assert "etcd 52" in chart.alt and chart.png.startswith(b"\x89PNG")


def test_labels_are_moved_apart_and_stay_inside() -> None:
    placed = _spread([1.0, 1.0, 9.9], gap=1.0, low=0.0, high=10.0)
    assert all(b - a >= 1.0 - 1e-9 for a, b in pairwise(placed)) and placed[-1] <= 9.5 + 1e-9
