"""Records and their sum: nothing is lost, timeouts count, histograms add up across pods."""

import json
import math

from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.pods.loadgen.record import Record
from labs.pods.loadgen.summary import HOUR_US, Summary, histogram, quantiles

few = settings(max_examples=8)
"""A histogram of this range has 20,000 counters: making one takes milliseconds."""
SECONDS = st.floats(0, 100)
RECORDS = st.lists(
    st.builds(
        lambda id, wait, took, status, error: Record(
            id, 1e9 + id, 1e9 + id + wait, 1e9 + id + wait + took, status=status, error=error
        ),
        st.integers(0, 1000),
        st.floats(0, 1),
        SECONDS,
        st.sampled_from([200, 503, 0]),
        st.sampled_from([None, "timeout", "stream: broken"]),
    ),
    max_size=30,
)


@few
@given(RECORDS)
def test_the_summary_counts_every_record_once(records: list[Record]) -> None:
    summary = Summary(5.0)
    for record in records:
        summary.add(record)
    line = json.loads(json.dumps(summary.line(histogram([0.001]))))
    assert line["requests"] == len(records) == line["ok"] + line["failed"]
    assert line["ok"] == sum(record.status == 200 and record.error is None for record in records)
    assert sum(line["errors"].values()) == sum(record.error is not None for record in records)
    assert (line["latency"] is None) == (not records)


@given(RECORDS)
def test_a_record_line_is_json_with_the_documented_fields(records: list[Record]) -> None:
    for record in records:
        line = json.loads(json.dumps(record.line(with_itl=False)))
        assert line["kind"] == "request" and "itl" not in line
        assert math.isclose(line["latency"], line["end"] - line["intended"], abs_tol=1e-5)
        assert math.isclose(line["lag"], line["sent"] - line["intended"], abs_tol=1e-5)
        assert line["ok"] == (line["status"] == 200 and line["error"] is None)


@few
@given(st.lists(SECONDS, min_size=1, max_size=200))
def test_quantiles_are_within_the_histograms_precision(values: list[float]) -> None:
    found = quantiles(histogram(values))
    assert found is not None
    assert math.isclose(found["max"], max(values), rel_tol=2e-3, abs_tol=2e-6)
    assert found["p50"] <= found["p95"] <= found["p99"] <= found["max"]


@few
@given(st.lists(SECONDS, max_size=50), st.lists(SECONDS, max_size=50))
def test_histograms_of_two_pods_add_up(one: list[float], other: list[float]) -> None:
    merged = HdrHistogram(1, HOUR_US, 3)
    for part in (one, other):
        merged.decode_and_add(histogram(part).encode())
    both = histogram(one + other)
    assert merged.get_total_count() == len(one) + len(other)
    assert quantiles(merged) == quantiles(both)


def test_values_out_of_range_are_kept_at_the_end_not_dropped() -> None:
    assert histogram([1e9, -1.0]).get_total_count() == 2
