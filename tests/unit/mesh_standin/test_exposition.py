"""The text a scrape gets, read back by Prometheus' own client library."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from labs.pods.mesh_standin.exposition import Registry


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "tls"]), st.text(st.characters(codec="utf-8"))), min_size=1, max_size=8)
)
def test_counters_are_read_back_whatever_their_labels_say(series: list[dict[str, str]]) -> None:
    registry = Registry()
    for labels in series:
        registry.count("request_total", labels)
    (family,) = text_string_to_metric_families(registry.render())
    assert sum(sample.value for sample in family.samples) == len(series)
    assert {frozenset(s.labels.items()) for s in family.samples} == {frozenset(labels.items()) for labels in series}


@given(st.lists(st.floats(0, 1e5, allow_nan=False), min_size=1))
def test_histograms_are_cumulative_and_end_at_the_count(values: list[float]) -> None:
    registry = Registry()
    for value in values:
        registry.observe("latency", {}, value, (1, 10, 100))
    (family,) = text_string_to_metric_families(registry.render())
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "latency_bucket"}
    assert [buckets[le] for le in ("1", "10", "100")] == [sum(v <= bound for v in values) for bound in (1, 10, 100)]
    assert buckets["+Inf"] == len(values)
