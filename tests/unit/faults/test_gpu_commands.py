"""``lab gpu``: the GPUs' own commands, against a cluster that records what was sent."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from labs import cli

DEVICE = {
    "index": 2,
    "state": "lost",
    "utilization_percent": 0,
    "memory_used_bytes": 2**31,
    "power_w": 60.0,
    "temperature_c": 31.0,
    "sm_clock_mhz": 210,
    "faults": ["xid79"],
    "pods": ["model-0"],
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Commands sent to the simulators, the pod's name first."""
    commands: list[tuple[str, ...]] = []

    def kubectl(*words: str) -> str:
        words = (words[3], *words[words.index("ctl") + 1 :])
        commands.append(words)
        known = {"xid79": {"summary": "gone", "xid": 79}, "hang": {"summary": "stuck", "xid": 0}}
        return json.dumps([DEVICE] if words[1] == "list" else {"known": known, "gpus": [{"gpu": 2, "faults": ["xid79"]}]})

    def select(api: Any, kind: str, namespace: str, **selectors: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": f"simulator-{n}"}, "spec": {"nodeName": n}} for n in nodes]

    nodes = ["b", "a"]
    monkeypatch.setattr("labs.kube.select", select)
    clusters = {"gpu": SimpleNamespace(api=None, kubectl=kubectl)}
    monkeypatch.setattr("labs.session.backends.current", lambda: SimpleNamespace(clusters=lambda: clusters))
    return commands


def test_gpus_of_all_nodes_are_listed(sent: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["gpu", "list", "--json"]) == 0
    assert [row["node"] for row in json.loads(capsys.readouterr().out)] == ["a", "b"]
    assert cli.run(["gpu", "list"]) == 0
    assert "2.0GiB" in capsys.readouterr().out
    assert sent[0] == ("simulator-a", "list", "--json")


def test_a_fault_goes_to_the_node_that_is_named(sent: list[tuple[str, ...]]) -> None:
    assert cli.run(["gpu", "fault", "inject", "xid79", "--node", "b", "--gpu", "2"]) == 0
    assert cli.run(["gpu", "fault", "heal", "plugin-crash", "--node", "a"]) == 0
    assert cli.run(["gpu", "show", "--node", "a", "--gpu", "1"]) == 0
    assert sent == [
        ("simulator-b", "fault", "inject", "--gpu", "2", "--fault", "xid79"),
        ("simulator-a", "fault", "heal", "--fault", "plugin-crash"),
        ("simulator-a", "show", "--gpu", "1"),
    ]


def test_faults_are_listed_with_where_they_are(sent: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["gpu", "fault", "list"]) == 0
    page = capsys.readouterr().out
    assert "a/2 b/2" in page and "hang" in page


@pytest.mark.parametrize(
    ("words", "code"),
    [(["fault", "inject", "xid79", "--gpu", "1"], 2), (["show", "--node", "c", "--gpu", "0"], 1), (["show"], 2)],
)
def test_it_asks_which_before_anything_is_sent(sent: list[tuple[str, ...]], words: list[str], code: int) -> None:
    assert cli.run(["gpu", *words]) == code
    assert sent == []
