"""Failure accrual as a Service's annotations ask for it.

Ranges and defaults are those of linkerd2 (policy-controller, ``k8s/index/src/outbound/index.rs``, ``core/src/outbound.rs``).
"""

from __future__ import annotations

from collections.abc import Mapping

from labs.pods.mesh_standin.durations import parse_duration
from labs.pods.mesh_standin.proxy_config import Accrual, SuccessRate
from labs.wire import linkerd

MODES = ("consecutive", "unified")
DEFAULT_ACCRUAL: Accrual = {"max_failures": 7, "min_penalty": 1.0, "max_penalty": 60.0, "jitter": 0.5}
DEFAULT_SUCCESS_RATE: SuccessRate = {"threshold": 0.8, "window": 10.0, "min_requests": 5}
SHORTEST_WINDOW = 0.01
"""Seconds."""
MOST_REQUESTS = 1_000_000


def parse_accrual(annotations: Mapping[str, str]) -> Accrual | None:
    """The circuit breaker; None without one.

    Raises:
        ValueError: a value cannot be read or is out of range. Linkerd then runs no breaker at all.
    """
    mode = annotations.get(linkerd.FAILURE_ACCRUAL)
    if mode is None:
        return None
    if mode not in MODES:
        raise ValueError(f"unsupported failure accrual mode: {mode}")
    found = _consecutive(annotations)
    return found if mode == "consecutive" else {**found, "success_rate": _success_rate(annotations)}


def _consecutive(annotations: Mapping[str, str]) -> Accrual:
    prefix = f"{linkerd.FAILURE_ACCRUAL}-consecutive"
    found: Accrual = {
        "max_failures": _count(annotations, f"{prefix}-max-failures", DEFAULT_ACCRUAL["max_failures"]),
        "min_penalty": _seconds(annotations, f"{prefix}-min-penalty", DEFAULT_ACCRUAL["min_penalty"]),
        "max_penalty": _seconds(annotations, f"{prefix}-max-penalty", DEFAULT_ACCRUAL["max_penalty"]),
        "jitter": _number(annotations, f"{prefix}-jitter-ratio", DEFAULT_ACCRUAL["jitter"], 100.0),
    }
    if not found["max_penalty"]:
        raise ValueError("max_penalty cannot be zero")
    if found["min_penalty"] > found["max_penalty"]:
        raise ValueError(f"min_penalty ({found['min_penalty']:g}s) cannot exceed max_penalty ({found['max_penalty']:g}s)")
    return found


def _success_rate(annotations: Mapping[str, str]) -> SuccessRate:
    default = DEFAULT_SUCCESS_RATE
    found: SuccessRate = {
        "threshold": _number(annotations, f"{linkerd.SUCCESS_RATE}-threshold", default["threshold"], 1.0),
        "window": _seconds(annotations, f"{linkerd.SUCCESS_RATE}-window", default["window"]),
        "min_requests": _count(annotations, f"{linkerd.SUCCESS_RATE}-min-requests", default["min_requests"]),
    }
    if not found["window"]:
        raise ValueError("success-rate-window must be greater than zero")
    if found["threshold"] and found["window"] < SHORTEST_WINDOW:
        raise ValueError(f"success-rate-window must be at least 10ms, got {found['window']:g}s")
    if found["threshold"] and found["min_requests"] > MOST_REQUESTS:
        raise ValueError(f"success-rate-min-requests cannot exceed {MOST_REQUESTS}, got {found['min_requests']}")
    return found


def _count(annotations: Mapping[str, str], name: str, default: int) -> int:
    text = annotations.get(name, str(default)).strip()
    if not text.isdecimal():
        raise ValueError(f"invalid digit found in string: {text}")
    return int(text)


def _seconds(annotations: Mapping[str, str], name: str, default: float) -> float:
    return parse_duration(annotations[name]) if name in annotations else default


def _number(annotations: Mapping[str, str], name: str, default: float, most: float) -> float:
    found = float(annotations.get(name, default))
    if not 0.0 <= found <= most:  # also true of NaN
        raise ValueError(f"{name} must be between 0 and {most:g}, got {found:g}")
    return found
