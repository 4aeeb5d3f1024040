"""Charts: what they say, what they shade, and that they are pictures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest

from labs.telemetry.charts import PALETTE, Panel, _spread, bars, draw
from labs.telemetry.windows import Window

START = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)


def frame(**columns: list[float]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.date_range(START, periods=rows, freq="1s", name="time"))


def test_a_chart_is_a_png_with_alternative_text_and_a_table() -> None:
    chart = draw([Panel(frame(hot=[50.0, 90.0], cool=[40.0, 41.0]), "", "°C")], title="Temperature", reading="One rises.")
    data, metadata = chart._repr_mimebundle_()
    assert chart.png.startswith(b"\x89PNG") and data["text/plain"]
    alt = metadata["image/png"]["alt"]
    assert "Temperature" in alt and "hot between 50 and 90" in alt and "One rises." in alt
    assert chart.table.loc["hot", "max"] == 90
    assert "One rises." in chart.caption()["text/html"] and "<table" in chart.caption()["text/html"]


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
    assert len(chart.table) == len(PALETTE)


def test_bars_say_their_numbers() -> None:
    chart = bars(pd.Series({"etcd": 52.0}), title="SavedState", unit="MiB")
    assert "etcd 52" in chart.alt and chart.png.startswith(b"\x89PNG")


def test_labels_are_moved_apart_and_stay_inside() -> None:
    placed = _spread([1.0, 1.0, 9.9], gap=1.0, low=0.0, high=10.0)
    assert all(b - a >= 1.0 - 1e-9 for a, b in pairwise(placed)) and placed[-1] <= 9.5 + 1e-9
