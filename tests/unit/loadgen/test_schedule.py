"""Schedules: as many requests as promised, at the promised rate, the same for the same seed."""

import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.loadgen import prompts, slo, trace
from labs.pods.loadgen.arrivals import burst, constant, poisson, ramp
from labs.pods.loadgen.main import main


@given(st.floats(0.1, 200), st.floats(0.1, 60))
def test_constant_arrivals_keep_equal_gaps(rps: float, seconds: float) -> None:
    due = list(constant(rps, seconds))
    assert len(due) == round(rps * seconds)
    assert all(abs((b - a) - 1 / rps) < 1e-6 for a, b in pairwise(due))


@given(st.floats(0.1, 100), st.floats(0.1, 30), st.integers())
def test_poisson_arrivals_are_ordered_and_repeatable(rps: float, seconds: float, seed: int) -> None:
    due = list(poisson(rps, seconds, seed))
    assert due == sorted(due) == list(poisson(rps, seconds, seed))
    assert all(0 <= moment < seconds for moment in due)


def test_poisson_gaps_have_the_mean_and_spread_of_an_exponential() -> None:
    due = list(poisson(50, 400, seed=3))
    gaps = [b - a for a, b in pairwise(due)]
    assert statistics.mean(gaps) == pytest.approx(0.02, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--url=chat:8080"],
        ["--url=http://x", "--rps=0"],
        ["--url=http://x", "--seconds=nan"],
        ["--url=http://x", "--arrivals=random"],
        ["--url=http://x", "--slo=p99=1"],
        ["--url=http://x", "--prompt-tokens=uniform:9:3"],
        ["--url=http://x", "--prompt-tokens=lognormal:inf:1"],
        ["--url=http://x", "--users=0"],
        ["--url=http://x", "--users=-1"],
        ["--url=http://x", "--max-tokens=0"],
        ["--url=http://x", "--shared-tokens=-3"],
    ],
)
def test_wrong_flags_are_usage_errors(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    assert capsys.readouterr().err


@given(st.floats(0, 100), st.floats(0.1, 100), st.floats(1, 60))
def test_a_ramp_sends_what_its_mean_rate_says_and_ever_faster(first: float, last: float, seconds: float) -> None:
    due = list(ramp(first, last, seconds))
    assert len(due) == pytest.approx((first + last) / 2 * seconds, abs=1)
    assert due == sorted(due) and all(0 <= moment <= seconds + 1e-6 for moment in due)
    half = sum(moment < seconds / 2 for moment in due)
    assert half == pytest.approx((3 * first + last) / 8 * seconds, abs=2)


@given(st.floats(0.5, 100), st.floats(1, 60), st.floats(0.5, 10))
def test_bursts_keep_the_mean_rate_and_come_at_once(rps: float, seconds: float, every: float) -> None:
    due = list(burst(rps, seconds, every))
    assert len(due) == round(rps * seconds)
    assert all(abs(moment / every - round(moment / every)) < 1e-6 for moment in due)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 5000), st.integers(1, 500)), min_size=1, max_size=20), st.floats(0.1, 9)
)
def test_a_trace_comes_back_in_order_and_at_its_speed(rows: list[tuple[float, int, int]], speed: float) -> None:
    text = ["TIMESTAMP,ContextTokens,GeneratedTokens", *(f"{due!r},{prompt},{answer}" for due, prompt, answer in rows)]
    found = trace.read(text, speed)
    ordered = sorted(rows)
    assert [a.due for a in found] == pytest.approx([(row[0] - ordered[0][0]) / speed for row in ordered])
    assert sorted((a.prompt_tokens or 0, a.answer_tokens or 0) for a in found) == sorted((p, a) for _, p, a in rows)


def test_a_trace_may_have_dates_and_no_lengths() -> None:
    found = trace.read(["TIMESTAMP", "2024-05-10 00:00:01.5", "2024-05-10 00:00:00.0"])
    assert found == [trace.Arrival(0.0), trace.Arrival(1.5)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "line 1"),
        (["time", "1"], "TIMESTAMP"),
        (["TIMESTAMP"], "at least one"),
        (["TIMESTAMP", "soon"], "line 2"),
        (["TIMESTAMP,ContextTokens", "1,many"], "line 2"),
        (["TIMESTAMP,ContextTokens", "1,5", "2,0"], "line 3"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(lines: list[str], said: str) -> None:
    with pytest.raises(trace.BadTrace, match=said):
        trace.read(lines)


def test_lengths_are_drawn_as_said() -> None:
    chance = random.Random(1)
    draws = {
        text: [prompts.distribution(text)(chance) for _ in range(2000)] for text in ("7", "uniform:5:9", "lognormal:100:0.8")
    }
    assert set(draws["7"]) == {7} and set(draws["uniform:5:9"]) == {5, 6, 7, 8, 9}
    assert statistics.median(draws["lognormal:100:0.8"]) == pytest.approx(100, rel=0.1)
    assert statistics.mean(draws["lognormal:100:0.8"]) > 120


@given(st.text())
def test_a_length_is_read_or_refused(text: str) -> None:
    try:
        assert prompts.distribution(text)(random.Random(1)) >= 1
    except ValueError as error:
        assert "expected a length" in str(error)


@pytest.mark.parametrize("text", ["", "ttft", "ttft=0", "ttft=x", "p99=1", "ttft=1,"])
def test_a_wrong_slo_is_refused(text: str) -> None:
    assert slo.parse("ttft=0.5,tpot=0.05").limits == {"ttft": 0.5, "tpot": 0.05}
    with pytest.raises(ValueError, match="expected limits"):
        slo.parse(text)


def test_a_trace_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url=http://x", "--trace=/nowhere.csv"]) == 2
    assert "cannot replay /nowhere.csv" in capsys.readouterr().err
