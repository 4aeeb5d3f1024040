"""Reports from clients, and what they ask of a GPU."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.gpu_simulator.profile import FOLDER, UnknownProduct, profile_of, profiles
from labs.pods.gpu_simulator.work import BadWork, decode_step_seconds, demand_of, parse, token_rate
from labs.wire.gpu_work import Work

A100 = profiles()["NVIDIA-A100-SXM4-80GB"]
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner))


@given(st.builds(Work, st.text(), *[st.integers(0, 10**12)] * 5, st.floats(0, 10)))
def test_a_report_survives_its_json(work: Work) -> None:
    assert parse(asdict(work)) == work


@given(JSON | st.dictionaries(st.sampled_from(list(asdict(Work()))), JSON))
def test_any_json_is_a_report_or_refused(body: Any) -> None:
    try:
        work = parse(body)
    except BadWork:
        return
    assert demand_of(A100, work).seconds >= 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "JSON object"),
        ({"tokens": 1}, "unknown field 'tokens'"),
        ({"running": "4"}, "running: expected a number; found '4'"),
        ({"running": True}, "running"),
        ({"decode_tokens": -1}, "at least 0"),
        ({"seconds": float("nan")}, "seconds"),
        ({"pod": 7}, "pod: expected text"),
    ],
)
def test_bad_reports_are_named(body: Any, words: str) -> None:
    with pytest.raises(BadWork, match=words):
        parse(body)


def test_roofline_of_an_eight_billion_parameter_model() -> None:
    """16 GB of weights on an A100: 9750 prompt tokens per second, one token of a lone sequence in about 10 ms."""
    work = Work("model", weights_bytes=16_000_000_000)
    assert token_rate(A100, work.weights_bytes) == pytest.approx(9750)
    assert decode_step_seconds(A100, work, 1) == pytest.approx(0.00981, abs=1e-5)
    assert decode_step_seconds(A100, work, 8) == decode_step_seconds(A100, work, 1), (
        "a batch costs no more until arithmetic binds"
    )
    assert decode_step_seconds(A100, work, 500) > 4 * decode_step_seconds(A100, work, 1)


def test_a_batch_shares_one_pass_over_the_weights() -> None:
    alone = demand_of(A100, Work("m", decode_tokens=8, weights_bytes=10**10, running=1))
    batch = demand_of(A100, Work("m", decode_tokens=8, weights_bytes=10**10, running=8))
    assert alone.bytes == 8 * batch.bytes
    assert alone.flops == batch.flops


def test_an_unknown_product_lists_the_known() -> None:
    with pytest.raises(UnknownProduct, match="Tesla-T4"):
        profile_of("GTX-1080")


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda profile: profile.product)
def test_profiles_are_consistent(profile: Any) -> None:
    assert profile.product == profile.model_name.replace(" ", "-")
    assert profile.max_operating_c < profile.slowdown_c < profile.shutdown_c
    assert profile.idle_w < profile.power_min_limit_w < profile.power_limit_w
    full = 25 + profile.power_limit_w * profile.thermal_resistance_k_per_w * 1.03
    assert full < profile.max_operating_c, "a well-cooled GPU does not throttle by heat"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_figure_of_a_profile_says_where_it_comes_from(path: Path) -> None:
    head, _, figures = path.read_text().partition("product = ")
    explained = set(re.findall(r"\[([a-z]+)\] ", head))
    for line in figures.splitlines()[1:]:
        if " = " in line and not line.startswith('"'):  # the lines of [mig] are explained by its own
            marks = set(re.findall(r"\[([a-z]+)\]", line.partition("#")[2]))
            assert marks and marks <= explained, line
