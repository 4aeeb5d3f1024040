"""Faults against clusters that only remember: refused before anything changes, healed however the block ends."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

from labs.clusters.base import Capabilities
from labs.errors import CommandFailed, LabError, NotFound, UsageError
from labs.faults import session
from labs.faults.catalogue import find
from labs.faults.injectors.base import Scene
from labs.faults.journal import Journal


@pytest.fixture
def fault(scene: Scene, journal: Journal) -> Any:
    def make(name: str, **where: Any) -> session.FaultSession:
        known, place = session.prepare(scene, journal, name, where)
        return session.FaultSession(scene, journal, known, place)

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


def test_without_words_it_takes_a_card_that_is_in_use(fault: Any) -> None:
    assert fault("gpu-overheat").where == {"gpu": 3, "node": "gpu-worker2"}


def test_no_card_in_use_and_none_named_is_refused(fault: Any, gpu: Any) -> None:
    gpu.busy.clear()
    with pytest.raises(UsageError, match="no pod uses a GPU"):
        fault("gpu-overheat")
    assert fault("gpu-overheat", gpu="2").where == {"gpu": 2, "node": "gpu-worker"}


@pytest.mark.parametrize(
    ("name", "where", "kind", "said"),
    [
        ("gpu-overheats", {}, NotFound, r"gateway-down, .*gpu-overheat, gpu-xid79"),
        ("gpu-overheat", {"node": "gpu-worker9"}, NotFound, "there are: gpu-worker, gpu-worker2"),
        ("gpu-overheat", {"gpu": 4}, NotFound, "there are: 0, 1, 2, 3"),
        ("gpu-overheat", {"gpu": "first"}, UsageError, "found 'first'"),
        ("gpu-overheat", {"pod": "x"}, UsageError, "does not know pod; it takes: gpu, node"),
    ],
)
def test_bad_words_are_refused_before_anything_changes(
    fault: Any, gpu: Any, journal: Journal, name: str, where: dict[str, Any], kind: type[LabError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        fault(name, **where)
    assert not gpu.faults and not journal.all()


def test_the_same_fault_twice_is_refused_and_two_different_are_not(fault: Any, gpu: Any) -> None:
    with fault("gpu-overheat", gpu=0, node="gpu-worker"), fault("gpu-xid79", gpu=0, node="gpu-worker"):
        with pytest.raises(UsageError, match="overheat of gpu 0 of gpu-worker, where it is in force already"):
            fault("gpu-overheat", gpu=0, node="gpu-worker")
        assert len(gpu.faults) == 2
    assert not gpu.faults


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("node-lost", "its nodes are not the lab's to stop"),
        ("proxy-killed", "its nodes are not the lab's to reach into"),
        ("link-loss", "the network between its clusters is not the lab's to disturb"),
    ],
)
def test_what_the_backend_cannot_do_is_refused_and_says_why(
    fault: Any, backend: Any, journal: Journal, name: str, why: str
) -> None:
    backend.can = Capabilities(True, True, False, True, False)
    with pytest.raises(UsageError, match=f"backend fake cannot make {name}: {why}"):
        fault(name)
    assert not journal.all()


def test_another_process_heals_what_a_dead_kernel_left(fault: Any, gpu: Any, scene: Scene, journal: Journal) -> None:
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    fault("gpu-xid79", gpu=1, node="gpu-worker").__enter__()
    later = Journal(journal.path)
    healed = session.heal_all(scene, later)
    assert [injection.name for injection in healed] == ["gpu-xid79", "gpu-overheat"]
    assert not gpu.faults and not later.active()


def test_one_that_cannot_be_healed_stays_and_does_not_keep_the_others(
    fault: Any, gpu: Any, scene: Scene, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    fault("gpu-xid79", gpu=1, node="gpu-worker").__enter__()
    through = gpu.kubectl

    def kubectl(*words: str) -> str:
        if "xid79" in words:
            raise CommandFailed(["kubectl"], 1, "node unreachable")
        return through(*words)

    monkeypatch.setattr(gpu, "kubectl", kubectl)
    with pytest.raises(CommandFailed, match="node unreachable"):
        session.heal_all(scene, journal)
    assert [injection.name for injection in journal.active()] == ["gpu-xid79"]
    assert gpu.faults == {("gpu-worker", 1, "xid79")}


def test_two_that_change_one_thing_are_refused(scene: Scene, journal: Journal) -> None:
    first, second = find("bad-rollout"), find("crash-loop")
    journal.begin(first.name, {})
    with pytest.raises(UsageError, match="crash-loop would change gpu deployment ml/model-server, where bad-rollout is in force"):
        session.refuse_conflict(second, {}, journal.active())
    session.refuse_conflict(find("gateway-down"), {}, journal.active())


def test_a_secret_one_tells_its_name_only_when_it_has_ended(journal: Journal) -> None:
    secret = journal.begin("gateway-down", {}, secret=True)
    assert secret.title == secret.label == secret.window().label == "a mystery"
    journal.end(secret.id)
    (ended,) = journal.all()
    assert ended.label == "gateway-down" and ended.window().label == "gateway-down"


def test_healing_by_hand_inside_the_block_is_no_error(fault: Any, scene: Scene, journal: Journal) -> None:
    with fault("gpu-overheat", gpu=0, node="gpu-worker"):
        session.heal_all(scene, journal)
    assert not journal.active()


def test_what_a_restarted_kernel_left_is_healed_and_nothing_else(fault: Any, scene: Scene, gpu: Any, journal: Journal) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    fault("gpu-overheat", gpu=0, node="gpu-worker").__enter__()
    by_command = session.inject(scene, journal, find("gpu-xid79"), {"gpu": 1, "node": "gpu-worker"})
    assert session.heal_orphans(scene, journal) == []
    fault("gpu-overheat", gpu=2, node="gpu-worker").__enter__()
    rows = json.loads(journal.path.read_text())
    rows[-1]["owner"] = [gone.pid, 1.0]
    journal.path.write_text(json.dumps(rows))
    assert [row.where["gpu"] for row in session.heal_orphans(scene, Journal(journal.path))] == [2]
    assert gpu.faults == {("gpu-worker", 0, "overheat"), ("gpu-worker", 1, "xid79")}
    assert by_command.owner is None


def test_a_process_number_that_is_used_again_is_another_process(journal: Journal) -> None:
    mine = journal.begin("gateway-down", {}, owned=True)
    assert mine.owner is not None and not mine.is_orphan
    assert dataclasses.replace(mine, owner=(mine.owner[0], mine.owner[1] - 100)).is_orphan
