"""Faults against clusters that only record: refused before anything changes, healed however the block ends."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from labs.errors import CommandFailed, LabError, NotFound, UsageError
from labs.faults import lifecycle
from labs.faults.catalogue import find
from labs.journal import Journal
from labs.session import Session


@pytest.fixture
def fault(session: Session) -> Any:
    def make(name: str, **parameters: Any) -> lifecycle.FaultContext:
        known, place = lifecycle.prepare(session, name, parameters)
        return lifecycle.FaultContext(session, known, place)

    return make


def test_in_force_inside_the_block_and_healed_after(fault: Any, gpu: Any, journal: Journal) -> None:
    with fault("gpu-overheat", gpu=1, node="gpu-worker"):
        assert gpu.faults == {("gpu-worker", 1, "overheat")}
        assert [injection.name for injection in journal.active()] == ["gpu-overheat"]
    assert not gpu.faults and not journal.active()
    (remembered,) = journal.all()
    assert remembered.end is not None and remembered.end >= remembered.start
    assert remembered.window().label == "gpu-overheat gpu=1 node=gpu-worker"


@pytest.mark.parametrize("error", [RuntimeError("cell failed"), KeyboardInterrupt()])
def test_healed_when_the_block_fails_or_is_interrupted(fault: Any, gpu: Any, journal: Journal, error: BaseException) -> None:
    with pytest.raises(type(error)), fault("gpu-xid79", gpu=0):
        raise error
    assert not gpu.faults and not journal.active()


@pytest.mark.parametrize("error", [CommandFailed(["kubectl"], 1, "no"), KeyboardInterrupt()])
def test_an_injection_that_fails_leaves_nothing(fault: Any, gpu: Any, journal: Journal, error: BaseException) -> None:
    broken = fault("gpu-overheat", gpu=0)
    gpu.broken = error
    with pytest.raises(type(error)), broken:
        raise AssertionError("the block must not run")
    assert not gpu.faults and not journal.all()


def test_without_parameters_it_takes_a_gpu_that_is_in_use(fault: Any) -> None:
    assert fault("gpu-overheat").parameters == {"gpu": 3, "node": "gpu-worker2"}


def test_no_gpu_in_use_and_none_named_is_refused(fault: Any, gpu: Any) -> None:
    gpu.busy.clear()
    with pytest.raises(UsageError, match="no pod uses a GPU"):
        fault("gpu-overheat")
    assert fault("gpu-overheat", gpu="2").parameters == {"gpu": 2, "node": "gpu-worker"}


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "said"),
    [
        ("gpu-overheats", {}, NotFound, r"gateway-down, .*gpu-overheat, gpu-xid79"),
        ("gpu-overheat", {"node": "gpu-worker9"}, NotFound, "there are: gpu-worker, gpu-worker2"),
        ("gpu-overheat", {"gpu": 4}, NotFound, "there are: 0, 1, 2, 3"),
        ("gpu-overheat", {"gpu": "first"}, UsageError, "found 'first'"),
        ("gpu-overheat", {"pod": "x"}, UsageError, "has no parameter pod; it has: gpu, node"),
    ],
)
def test_bad_parameters_are_refused_before_anything_changes(
    fault: Any, gpu: Any, journal: Journal, name: str, parameters: dict[str, Any], kind: type[LabError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        fault(name, **parameters)
    assert not gpu.faults and not journal.all()


def test_the_same_fault_twice_is_refused_and_two_different_are_not(fault: Any, gpu: Any) -> None:
    with fault("gpu-overheat", gpu=0, node="gpu-worker"), fault("gpu-xid79", gpu=0, node="gpu-worker"):
        with pytest.raises(
            UsageError, match="affects overheat on GPU 0 of gpu-worker, and so does the same fault, which is active"
        ):
            fault("gpu-overheat", gpu=0, node="gpu-worker")
        assert len(gpu.faults) == 2
    assert not gpu.faults


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("node-lost", "freeze in gpu: not ours"),
        ("control-plane-down", "freeze-control-plane in gpu: not ours"),
        ("proxy-killed", "kill-container in app: not ours"),
        ("link-loss", "shape-link in gpu: not ours"),
    ],
)
def test_what_the_backend_cannot_do_is_refused_and_says_why(
    fault: Any, backend: Any, journal: Journal, name: str, why: str
) -> None:
    backend.nodes.reason = "not ours"
    with pytest.raises(UsageError, match=f"backend fake does not support {name}: {why}"):
        fault(name)
    assert not journal.all()


def test_another_process_heals_what_a_dead_kernel_left(fault: Any, gpu: Any, session: Session) -> None:
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    fault("gpu-xid79", gpu=1, node="gpu-worker").__enter__()
    later = Session(session.backend, Journal(session.journal.path))
    healed = lifecycle.heal_all(later)
    assert [injection.name for injection in healed] == ["gpu-xid79", "gpu-overheat"]
    assert not gpu.faults and not later.journal.active()


def test_one_that_cannot_be_healed_stays_and_does_not_keep_the_others(
    fault: Any, gpu: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    fault("gpu-xid79", gpu=1, node="gpu-worker").__enter__()
    through: Callable[..., str] = gpu.kubectl

    def kubectl(*words: str) -> str:
        if "xid79" in words:
            raise CommandFailed(["kubectl"], 1, "node unreachable")
        return through(*words)

    monkeypatch.setattr(gpu, "kubectl", kubectl)
    with pytest.raises(CommandFailed, match="node unreachable"):
        lifecycle.heal_all(session)
    assert [injection.name for injection in session.journal.active()] == ["gpu-xid79"]
    assert gpu.faults == {("gpu-worker", 1, "xid79")}


def test_two_that_change_one_thing_are_refused(session: Session) -> None:
    first, second = find("bad-rollout"), find("crash-loop")
    session.journal.begin(first.name, first.title, {})
    with pytest.raises(UsageError, match="crash-loop affects gpu deployment ml/model-server, and so does bad-rollout"):
        lifecycle.check_conflicts(second, {}, session.journal.active())
    lifecycle.check_conflicts(find("gateway-down"), {}, session.journal.active())


def test_a_secret_one_tells_its_name_only_when_it_has_ended(journal: Journal) -> None:
    secret = journal.begin("gateway-down", "gateway-down", {}, secret=True)
    assert secret.title == secret.label == secret.window().label == "a mystery"
    journal.end(secret.id)
    (ended,) = journal.all()
    assert ended.label == "gateway-down" and ended.window().label == "gateway-down"


def test_healing_by_hand_inside_the_block_is_no_error(fault: Any, session: Session) -> None:
    with fault("gpu-overheat", gpu=0, node="gpu-worker"):
        lifecycle.heal_all(session)
    assert not session.journal.active()


def test_what_a_restarted_kernel_left_is_healed_and_nothing_else(
    fault: Any, session: Session, gpu: Any, journal: Journal
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    by_command = lifecycle.inject(session, find("gpu-xid79"), {"gpu": 1, "node": "gpu-worker"})
    assert lifecycle.heal_orphans(session) == []
    fault("gpu-overheat", gpu=2, node="gpu-worker").__enter__()
    rows = json.loads(journal.path.read_text())
    rows[-1]["owner"] = [gone.pid, 1.0]
    journal.path.write_text(json.dumps(rows))
    assert [row.parameters["gpu"] for row in lifecycle.heal_orphans(session)] == [2]
    assert gpu.faults == {("gpu-worker", 0, "overheat"), ("gpu-worker", 1, "xid79")}
    assert by_command.owner is None


def test_a_process_number_that_is_used_again_is_another_process(journal: Journal) -> None:
    mine = journal.begin("gateway-down", "gateway-down", {}, owned=True)
    assert mine.owner is not None and not mine.is_orphan
    assert dataclasses.replace(mine, owner=(mine.owner[0], mine.owner[1] - 100)).is_orphan
