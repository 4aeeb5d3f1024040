"""A fleet of GPUs under a clock that a test moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.profile import profile_of


@pytest.fixture
def clock() -> SimpleNamespace:
    """``clock.now`` in seconds stands still until a test moves it."""
    return SimpleNamespace(now=0.0)


@pytest.fixture
def fleet(clock: SimpleNamespace) -> Fleet:
    """Four A100 of node ``gpu-worker``."""
    return Fleet.of("gpu-worker", profile_of("NVIDIA-A100-SXM4-80GB"), 4, lambda: clock.now)
