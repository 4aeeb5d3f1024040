"""``lab fault``: what it lists and shows, how it refuses, and its exit codes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labs import cli
from labs.faults.catalogue import catalogue
from labs.journal import Journal
from labs.session import Session


@pytest.fixture
def clusters(gpu: Any, backend: Any, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The commands work on the cluster and the journal of the test."""
    known: Any = SimpleNamespace(name=backend.name, can=backend.can, nodes=backend.nodes, clusters=lambda: {"gpu": gpu})
    monkeypatch.setattr(Session, "of_checkout", lambda: Session(known, journal))
    return gpu


def test_the_list_names_every_fault_and_says_which_is_in_force(clusters: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "inject", "gpu-overheat", "gpu=1", "node=gpu-worker"]) == 0
    assert clusters.faults == {("gpu-worker", 1, "overheat")}
    capsys.readouterr()
    assert cli.run(["fault", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["faults"]] == list(catalogue())
    assert [row["name"] for row in told["active"]] == ["gpu-overheat"]
    assert cli.run(["fault", "list"]) == 0
    page = capsys.readouterr().out
    assert "gateway-down" in page and "gpu=1" in page


def test_what_is_shown_answers_what_on_call_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "show", "gpu-xid79"]) == 0
    page = capsys.readouterr().out
    for words in ("gpu-xid79: ", "Blast radius: ", "Shows on", "  kubernetes ", "Look at", "  1. ", "Repair: ", "Prevent: "):
        assert words in page
    assert cli.run(["fault", "show", "gpu-xid79", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "gpu-xid79"


def test_inject_and_heal(clusters: Any, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "inject", "gpu-xid79", "gpu=0"]) == 0
    assert "heal it with: lab fault heal gpu-xid79" in capsys.readouterr().out
    assert cli.run(["fault", "heal", "--all"]) == 0
    assert capsys.readouterr().out.startswith("healed: ")
    assert not clusters.faults and not journal.active()
    assert cli.run(["fault", "heal", "--all"]) == 0
    assert "no fault is active" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["show", "inject", "heal"])
def test_an_unknown_name_lists_the_known(clusters: Any, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert cli.run(["fault", verb, "gpu-on-fire"]) == 1
    told = capsys.readouterr().err
    assert "'gpu-on-fire'" in told and "gpu-overheat" in told


def test_one_that_is_not_in_force_cannot_be_healed(clusters: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fault", "heal", "gpu-xid79"]) == 1
    assert "active fault" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inject", "gpu-overheat", "gpu"], "expected PARAMETER=VALUE; found 'gpu'"),
        (["inject", "gpu-overheat", "gpu="], "found 'gpu='"),
        (["inject", "gpu-overheat", "=0"], "found '=0'"),
        (["inject", "gpu-overheat", "pod=x"], "has no parameter pod"),
        (["heal"], "expected the name of a fault, or --all"),
        (["heal", "gpu-xid79", "--all"], "expected the name of a fault, or --all"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(
    clusters: Any, journal: Journal, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.run(["fault", *words]) == 2
    assert said in capsys.readouterr().err
    assert not clusters.faults and not journal.all()
