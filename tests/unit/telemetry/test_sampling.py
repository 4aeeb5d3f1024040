"""Sampling: rows while the block runs, and errors that are told."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from labs.telemetry.sampling import Sampling


def test_a_row_per_look_and_zero_for_a_group_that_is_gone() -> None:
    looks = iter([{"a": 2}, {"a": 1, "b": 1}])
    with Sampling(lambda: next(looks, {"b": 2}), every=0.01) as samples:
        time.sleep(0.2)
    assert samples.frame["a"].iloc[:3].tolist() == [2, 1, 0] and samples.frame["b"].iloc[:3].tolist() == [0, 1, 2]
    assert isinstance(samples.frame.index.dtype, pd.DatetimeTZDtype)


def test_a_look_that_fails_is_told_on_leaving() -> None:
    def look() -> dict[str, float]:
        raise ValueError("no cluster")

    with pytest.raises(ValueError, match="no cluster"), Sampling(look):
        time.sleep(0.02)
