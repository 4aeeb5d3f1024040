"""An experiment against a running lab: the numbers of one failure, within tolerances, every time it is run."""

from __future__ import annotations

import pandas as pd
import pytest

from labs.faults.experiments.result import Experiment
from labs.lab import Lab

pytestmark = [pytest.mark.integration, pytest.mark.catalogue, pytest.mark.timeout(900)]
HOT_AFTER = 6.0
"""Seconds until an overheated GPU has lowered its clock (docs/gpu-model.md: time constants ten times faster than real ones)."""


@pytest.fixture(scope="module")
def hot(lab_at_08: Lab) -> tuple[Experiment, str]:
    """One of the two GPUs that serve is overheated; with the name of the pod that uses it."""
    lab = lab_at_08
    pod, node, gpu = lab.serving_gpus().iloc[0]
    fault = lab.fault("gpu-overheat", node=node, gpu=gpu)
    return lab.experiment(fault, {"rps": 8, "arrivals": "constant"}, steady=10, seconds=20, recovery=15), pod


def moved(experiment: Experiment) -> dict[str, str]:
    return dict(zip(experiment.layers["indicator"], experiment.layers["moved"], strict=True))


def test_nothing_fails_and_users_wait_longer(hot: tuple[Experiment, str]) -> None:
    requests = hot[0].requests.to_dict("index")
    assert requests["fault"]["failed %"] == 0 and requests["recovery"]["failed %"] == 0
    assert requests["fault"]["p95 ms"] > 1.4 * requests["steady"]["p95 ms"]


def test_the_gpu_shows_it_and_kubernetes_does_not(hot: tuple[Experiment, str]) -> None:
    found = moved(hot[0])
    assert found["hottest GPU in use, °C"] == "up" and found["slowest busy clock, MHz"] == "down"
    assert {found["ready model servers"], found["failures per second"], found["4xx per second"], found["GPUs reporting"]} == {"-"}


def test_the_balancer_shifts_traffic_to_the_cool_gpu(hot: tuple[Experiment, str]) -> None:
    experiment, pod = hot
    parts = experiment.phases.split(experiment.load.records)
    throttled = parts["fault"][parts["fault"].index[0] + pd.Timedelta(seconds=HOT_AFTER) :]
    share = {name: float((part["pod"] == pod).mean()) for name, part in (("steady", parts["steady"]), ("fault", throttled))}
    assert share["fault"] < share["steady"] - 0.05


def test_it_is_detected_and_is_over_soon_after_the_heal(hot: tuple[Experiment, str]) -> None:
    assert hot[0].detected is not None and hot[0].detected < 15
    assert hot[0].recovered is not None and hot[0].recovered < 15
