"""Quantities, and what a pod asks for in all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("2E3", "2000"),
        ("1E", "1000000000000000000"),
        ("64Mi", "67108864"),
        ("100k", "100000"),
        ("5n", "0.000000005"),
        ("+2", "2"),
        (".5", "0.5"),
        (3, "3"),
    ],
)
def test_values(text: str | int, value: str) -> None:
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1KB", "1ki", "one", "1mi", "--1", "0x10", "1Gim"])
def test_what_is_no_quantity_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="expected a quantity such as 500m or 2Gi; found"):
        quantity.parse(text)


@given(st.integers(0, 10**12))
def test_rounding_is_upwards(amount: int) -> None:
    assert quantity.milli(f"{amount}m") == amount
    assert quantity.whole(f"{amount}m") == -(-amount // 1000)
    assert quantity.whole(f"{amount}Ki") == amount * 1024


def container(cpu: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}} | more


def test_init_steps_count_by_the_largest_and_sidecars_stay() -> None:
    sidecar = container("100m", restartPolicy="Always")
    inits = [container("2"), sidecar, container("500m")]
    assert quantity.requests({"spec": {"containers": [container("1")], "initContainers": inits}}, "cpu") == 2
    assert quantity.requests({"spec": {"containers": [container("3")], "initContainers": inits}}, "cpu") == Decimal("3.1")
    late = [sidecar, container("2")]
    assert quantity.requests({"spec": {"containers": [container("1")], "initContainers": late}}, "cpu") == Decimal("2.1")


def test_a_limit_alone_is_a_request() -> None:
    limited = {"resources": {"limits": {"nvidia.com/gpu": "2"}}}
    assert quantity.requests({"spec": {"containers": [limited, {}]}}, "nvidia.com/gpu") == 2
    assert quantity.requests({"spec": {"containers": [limited], "overhead": {"cpu": "10m"}}}, "cpu") == Decimal("0.01")
