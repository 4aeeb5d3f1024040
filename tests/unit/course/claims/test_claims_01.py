"""Notebook 01: what its prose claims is what its outputs show."""

from __future__ import annotations

import re

from tests.support.claims import Executed

NB = Executed("01")


def ends_with_all_four(nb: Executed) -> None:
    both = nb.table("01-18").loc["both workers"]
    assert 0 < both["min"] <= 4 and both["max"] == both["last"] == 4


def test_lab_up_lists_its_steps_with_their_times() -> None:
    NB.says("Expect a list of named steps, each with its time.")
    steps = [line for line in NB.text("01-02").splitlines() if line.startswith("✓")]
    assert len(steps) >= 4 and all(re.fullmatch(r"✓ .+ \([\d.]+ (s|min)\)", step) for step in steps)


def test_what_open_says_is_explained() -> None:
    NB.says("The first time, it also installs the `linkerd` command for notebook 04, and says so")
    assert re.fullmatch(r"(Recover: installed linkerd .*\n+)?<lab on backend \w+: clusters app, gpu>", NB.text("01-04"))


def test_three_nodes_in_each_cluster() -> None:
    NB.says("Expect three nodes in `app` and three in `gpu`.")
    NB.says("One control plane and two workers each.")
    for cluster in ("app", "gpu"):
        assert [line for line in NB.lines("01-06") if line.startswith(cluster)] == [
            f"{cluster}-control-plane",
            f"{cluster}-worker",
            f"{cluster}-worker2",
        ]


def test_the_gpu_workers_carry_a_taint_and_their_control_plane_does_not() -> None:
    NB.says("Expect `nvidia.com/gpu` on both workers of `gpu`")
    NB.says("The one in `gpu` has no taint")
    control, *workers = NB.lines("01-08")[1:]
    assert "<none>" in control and len(workers) == 2 and all("nvidia.com/gpu" in worker for worker in workers)


def test_the_rollout_succeeds() -> None:
    NB.says("Expect `successfully rolled out`.")
    assert "successfully rolled out" in NB.lines("01-10")[-1]


def test_the_scheduler_spread_the_pods() -> None:
    NB.says("The scheduler spread them over the two workers. None is on this cluster's control plane node")
    pods = NB.table("01-12")
    assert len(pods) == 4 and set(pods["node"]) == {"app-worker", "app-worker2"} and set(pods["status"]) == {"Running"}


def test_one_worker_falls_to_zero_and_the_other_rises_to_four() -> None:
    NB.says("Expect one worker to fall to zero and the other to rise to four.")
    nodes = NB.table("01-18").drop("both workers")
    assert sorted(nodes["last"]) == [0, 4] and nodes["max"].min() >= 1


def test_all_four_are_ready_again() -> None:
    NB.says("the other worker runs all four; in between, fewer than four may be ready")
    ends_with_all_four(NB)


def test_the_node_takes_pods_again() -> None:
    NB.says("Bring the node back:")
    assert NB.lines("01-20") == ["schedulable: yes"]
