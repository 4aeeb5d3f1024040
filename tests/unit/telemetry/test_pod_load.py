"""Load from a pod that runs already: what is executed there, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from labs.clusters.base import Cluster
from labs.errors import CommandFailed, UsageError
from labs.telemetry.load import LoadPlan
from labs.telemetry.pod_load import PodLoad

PLAN = LoadPlan("http://answers:8080", rps=1, seconds=2)


def line(id: int, latency: float) -> str:
    record = {"kind": "request", "id": id, "intended": 1764000000.0 + id, "latency": latency, "status": 200, "ok": True}
    return json.dumps(record)


class PodThatAnswers(Cluster):
    """kubectl exec that prints a load of two requests, or fails."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__("app")
        self.fails = fails
        self.asked: list[tuple[str, ...]] = []

    def kubectl(self, *args: str, input: str | None = None, timeout: float = 60) -> str:
        self.asked.append(args)
        if self.fails:
            raise CommandFailed(["kubectl"], 1, "no such deployment")
        return "\n".join([line(0, 0.1), line(1, 0.2), json.dumps({"kind": "summary", "achieved_rps": 0.9})])


def test_it_is_executed_in_that_pod_and_has_the_same_records() -> None:
    pod = PodThatAnswers()
    with PodLoad(pod, PLAN, lambda: (), "resilience/caller") as load:
        assert "resilience/caller" in repr(load)
    assert list(load.result().records["latency"]) == [0.1, 0.2]
    (asked,) = pod.asked
    assert asked[:5] == ("exec", "--namespace", "resilience", "deploy/caller", "--")
    assert asked[5:] == ("python", "-m", "labs.pods", *PLAN.arguments())


def test_one_that_cannot_be_executed_says_so_and_an_error_in_the_block_is_not_hidden() -> None:
    with pytest.raises(CommandFailed, match="no such deployment"):
        PodLoad(PodThatAnswers(fails=True), PLAN, lambda: (), "resilience/nobody").result()
    with pytest.raises(ZeroDivisionError), PodLoad(PodThatAnswers(), PLAN, lambda: (), "resilience/caller"):
        raise ZeroDivisionError


@pytest.mark.parametrize("inside", ["caller", "/caller", "resilience/", "a/b/c"])
def test_a_place_that_is_none_is_refused_and_nothing_is_run(inside: str) -> None:
    pod = PodThatAnswers()
    with pytest.raises(UsageError, match="as NAMESPACE/DEPLOYMENT"):
        PodLoad(pod, PLAN, lambda: (), inside)
    assert not pod.asked


def test_what_it_has_so_far_is_not_known() -> None:
    with pytest.raises(UsageError, match="when it has ended"):
        PodLoad(PodThatAnswers(), PLAN, lambda: (), "resilience/caller").so_far()
