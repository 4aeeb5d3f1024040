"""Checks that need no cluster to be seen failing: each finding names what is off."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from labs.course.checks import Finding, registered
from labs.course.execute import Outcome
from labs.course.expectations import (
    capacity,
    cost,
    failures,
    game_day,
    incident,
    observability,
    preflight,
    resilience,
    teardown,
    zero_trust,
)
from labs.course.expectations.cluster_objects import deployments_available, meshed
from labs.course.notebooks import Notebook, all_notebooks
from labs.journal import Injection
from labs.setup.doctor import Finding as Examined

NO_LAB: Any = None
"""Notebooks 00 and 99 look at the machine: there is no lab yet, or no more."""


def test_00_1_names_what_the_doctor_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.doctor, "examine", lambda: [Examined("Linux", True, "Linux")])
    assert preflight.machine_is_ready(NO_LAB).ok
    monkeypatch.setattr(preflight.doctor, "examine", lambda: [Examined("2 cores or more", False, "1")])
    finding = preflight.machine_is_ready(NO_LAB)
    assert not finding.ok and finding.found == "2 cores or more: 1"


def asked(query: Callable[..., pd.DataFrame]) -> Any:
    """A lab whose Prometheus servers answer with ``query``."""
    names = {"users": SimpleNamespace(name="app"), "gpus": SimpleNamespace(name="gpu")}
    return SimpleNamespace(query=query, primary=names.__getitem__, app=names["users"], gpu=names["gpus"])


@pytest.mark.parametrize("quiet", [pd.DataFrame(), pd.DataFrame({"x": [0.0]}), pd.DataFrame({"x": [float("nan")]})])
def test_07_1_names_the_silent(quiet: pd.DataFrame) -> None:
    def query(promql: str, **parameters: str) -> pd.DataFrame:
        return quiet if "vllm" in promql else pd.DataFrame({"x": [1.0, 7.0]})

    lab = asked(query)
    finding = observability.witnesses_speak(lab)
    assert not finding.ok and finding.found == "silent: the model server"
    lab.query = lambda promql, **parameters: pd.DataFrame({"x": [1.0]})
    assert observability.witnesses_speak(lab).ok


def journal(*rows: tuple[str, float | None]) -> Any:
    """A lab with these injections: name, and when they ended."""
    found = [Injection(name, name, name, {}, 1.0, end) for name, end in rows]
    return SimpleNamespace(
        journal=SimpleNamespace(all=lambda: found), active_faults=lambda: [row for row in found if row.end is None]
    )


def test_08_1_and_12_2_name_what_is_in_force() -> None:
    for look in (failures.nothing_is_broken, game_day.nothing_is_left):
        assert look(journal(("gateway-down", 2.0))).ok
        finding = look(journal(("gateway-down", None)))
        assert not finding.ok and "gateway-down" in finding.found


def counted(value: float | None) -> Any:
    """A lab whose Prometheus has one value, or no series, for whatever it is asked."""
    frame = pd.DataFrame() if value is None else pd.DataFrame({"x": [value, value]})
    return asked(lambda promql, **parameters: frame)


@pytest.mark.parametrize(
    ("look", "enough", "few", "none"),
    [
        (capacity.one_gpu_was_full, (7.0, "7 waited at most"), (0.0, "0 waited at most"), "never just one model server ready"),
        (
            capacity.two_gpus_generated_more,
            (861.2, "861 tokens a second at most"),
            (438.0, "438 tokens a second at most"),
            "never two model servers",
        ),
    ],
)
def test_10_says_what_was_seen(look: Any, enough: tuple[float, str], few: tuple[float, str], none: str) -> None:
    assert look(counted(enough[0])) == Finding(True, enough[1])
    assert look(counted(few[0])) == Finding(False, few[1])
    finding = look(counted(None))
    assert not finding.ok and none in finding.found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("bad-rollout", 2.0)], "never injected: link-latency"),
        ([("bad-rollout", 2.0), ("link-latency", None)], "still active: link-latency"),
        ([], "never injected: bad-rollout, link-latency"),
    ],
)
def test_11_1_wants_both_causes_made_and_repaired(rows: list[tuple[str, float | None]], found: str) -> None:
    finding = incident.both_causes_are_repaired(journal(*rows))
    assert not finding.ok and finding.found == found
    assert incident.both_causes_are_repaired(journal(("bad-rollout", 2.0), ("link-latency", 3.0))).ok


def test_11_2_names_the_new_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def deployed(*args: str) -> None:
        containers = [{"name": "model-server", "args": list(args)}]
        item = {"spec": {"template": {"spec": {"containers": containers}}}}
        monkeypatch.setattr(incident, "get", lambda cluster, *words: item)

    monkeypatch.setattr(incident, "model_server_is_ready", lambda lab: Finding(True, "model-server 2 ready"))
    lab: Any = SimpleNamespace(gpu=None)
    deployed("model-server")
    assert incident.old_version_is_ready(lab).ok
    deployed("model-server", "--max-model-len=64")
    finding = incident.old_version_is_ready(lab)
    assert not finding.ok and finding.found == "model-server runs with model-server --max-model-len=64"


@pytest.mark.parametrize(("points", "ok"), [([], False), ([40], False), ([90, 40], True)])
def test_12_1_wants_a_game_that_was_won(monkeypatch: pytest.MonkeyPatch, points: list[int], ok: bool) -> None:
    board = pd.DataFrame({"player": ["ada"] * len(points), "points": points})
    monkeypatch.setattr("labs.course.gameday.leaderboard.read", lambda files: board)
    lab: Any = None
    assert game_day.a_game_was_won(lab).ok is ok


@pytest.mark.parametrize("notebook", all_notebooks(), ids=lambda n: n.number)
def test_a_notebook_has_run_all_of_its_checks(notebook: Notebook) -> None:
    known = {id for id in registered() if id.startswith(f"{notebook.number}.")}
    assert known and {row["id"] for row in Outcome(notebook, notebook.content).checks} == known


def test_no_check_is_without_a_notebook() -> None:
    assert {id.partition(".")[0] for id in registered()} == {notebook.number for notebook in all_notebooks()}


def test_99_1_names_what_still_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = teardown._ranges()
    with socket.create_server((f"{first}254.251", 0)) as server:
        finding = teardown.no_listener_is_left(NO_LAB)
        assert not finding.ok and "listeners, such as 127." in finding.found
    monkeypatch.setattr(teardown.psutil, "net_connections", lambda kind: [])
    assert teardown.no_listener_is_left(NO_LAB).ok
    assert server.fileno() == -1


def test_99_2_sees_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    assert not teardown.no_file_is_left(NO_LAB).ok
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "gone"))
    assert teardown.no_file_is_left(NO_LAB).ok


def deployment(ready: int | None, available: str = "True") -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": [{"type": "Available", "status": available}]}
    return {"metadata": {"name": "model-server"}, "status": status | ({} if ready is None else {"readyReplicas": ready})}


@pytest.mark.parametrize(
    ("items", "ok", "found"),
    [
        ([deployment(2)], True, "model-server 2 ready"),
        ([deployment(1)], False, "model-server has 1 ready pods"),
        ([deployment(2, "False")], False, "model-server has 2 ready pods"),
        ([deployment(None)], False, "model-server has 0 ready pods"),
        ([], False, "there is no model-server in ml"),
    ],
)
def test_a_deployment_scaled_to_nothing_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, items: list[Any], ok: bool, found: str
) -> None:
    monkeypatch.setattr("labs.course.expectations.cluster_objects.get", lambda cluster, *words: {"items": items})
    cluster: Any = None
    finding = deployments_available(cluster, "ml", "model-server", pods=2)
    assert (finding.ok, finding.found) == (ok, found)


@pytest.mark.parametrize(
    ("pods", "ok", "found"),
    [
        ([], False, "no pod with app=x in ml"),
        ([("a", True), ("b", True)], True, "2 pods, each with a ready proxy"),
        ([("a", True), ("b", False)], False, "without a ready proxy: b"),
        ([("a", None)], False, "without a ready proxy: a"),
    ],
)
def test_a_pod_without_a_ready_proxy_is_named(
    monkeypatch: pytest.MonkeyPatch, pods: list[tuple[str, bool | None]], ok: bool, found: str
) -> None:
    items = [
        {
            "metadata": {"name": name},
            "status": {"initContainerStatuses": [] if ready is None else [{"name": "linkerd-proxy", "ready": ready}]},
        }
        for name, ready in pods
    ]
    monkeypatch.setattr("labs.course.expectations.cluster_objects.get", lambda cluster, *words: {"items": items})
    cluster: Any = None
    finding = meshed(cluster, "ml", "app=x")
    assert (finding.ok, finding.found) == (ok, found)


def cost_pod(name: str, proxy: bool, ready: bool = True) -> dict[str, Any]:
    sidecar = [{"name": "linkerd-proxy"}] if proxy else []
    statuses = [{"name": row["name"], "ready": ready} for row in sidecar]
    return {
        "metadata": {"name": name},
        "spec": {"initContainers": sidecar, "containers": [{"name": name}]},
        "status": {"initContainerStatuses": statuses, "containerStatuses": [{"name": name, "ready": True}]},
    }


@pytest.mark.parametrize(
    ("mesh", "plain", "found"),
    [
        ([cost_pod("echo", True)], [cost_pod("echo", False), cost_pod("asker", False)], ""),
        ([cost_pod("echo", False)], [cost_pod("echo", False), cost_pod("asker", False)], "app: without a ready proxy: echo"),
        ([cost_pod("echo", True)], [cost_pod("echo", False), cost_pod("asker", True)], "with a proxy in cost-plain: asker"),
        ([cost_pod("echo", True)], [], "0 pods in cost-plain"),
        ([], [], "app: no pod with app=asker in cost"),
    ],
)
def test_13_1_wants_proxies_on_one_side_only(
    monkeypatch: pytest.MonkeyPatch, mesh: list[dict[str, Any]], plain: list[dict[str, Any]], found: str
) -> None:
    def get(cluster: Any, kind: str, *words: str) -> dict[str, Any]:
        return {"items": plain if words[1] == "cost-plain" else mesh}

    monkeypatch.setattr("labs.course.expectations.cluster_objects.get", get)
    monkeypatch.setattr("labs.course.expectations.cost.get", get)
    lab: Any = SimpleNamespace(app=SimpleNamespace(name="app"), gpu=SimpleNamespace(name="gpu"))
    finding = cost.meshed_and_plain(lab)
    assert finding.ok == (not found) and found in finding.found


@pytest.mark.parametrize(
    ("mirrors", "ok", "found"),
    [
        ({"echo-gpu": {}, "echo-flat-gpu": {cost.FLAT: "gpu"}}, True, "echo-flat-gpu pod to pod, echo-gpu through the gateway"),
        ({"echo-gpu": {}, "echo-flat-gpu": {}}, False, "echo-flat-gpu through the gateway"),
        ({"echo-gpu": {}}, False, "echo-gpu through the gateway"),
        ({}, False, "no mirrored service in cost"),
    ],
)
def test_13_2_tells_the_two_ways_apart(
    monkeypatch: pytest.MonkeyPatch, mirrors: dict[str, dict[str, str]], ok: bool, found: str
) -> None:
    items = [{"metadata": {"name": name, "labels": labels}} for name, labels in mirrors.items()]
    monkeypatch.setattr("labs.course.expectations.cost.get", lambda cluster, *words: {"items": items})
    finding = cost.shared_in_both_ways(SimpleNamespace(app=None))
    assert finding.ok == ok and found in finding.found


@pytest.mark.parametrize(
    ("namespace", "pods", "found"),
    [
        ("deny", {"a": "deny", "b": "deny"}, "2 pods deny"),
        ("deny", {"a": "deny", "b": None}, "without config.linkerd.io/default-inbound-policy=deny: b"),
        (None, {"a": "deny"}, "deny: ml"),
        ("audit", {}, "deny: ml"),
    ],
)
def test_06_4_wants_the_namespace_and_each_pod_to_deny(
    monkeypatch: pytest.MonkeyPatch, namespace: str | None, pods: dict[str, str | None], found: str
) -> None:
    def annotated(name: str, value: str | None) -> dict[str, Any]:
        return {"metadata": {"name": name, "annotations": {zero_trust.DEFAULT: value} if value else {}}}

    def get(cluster: Any, kind: str, *words: str) -> dict[str, Any]:
        going = {"metadata": {"name": "going", "deletionTimestamp": "now"}}
        items = [going, *(annotated(name, value) for name, value in pods.items())]
        return {"items": items} if kind == "pods" else annotated("ml", namespace)

    monkeypatch.setattr("labs.course.expectations.zero_trust.get", get)
    finding = zero_trust.default_is_deny(SimpleNamespace(gpu=None))
    assert finding.ok == ("pods deny" in found) and found in finding.found


@pytest.mark.parametrize(
    ("answers", "ok"), [(("200", "403"), True), (("403", "403"), False), (("200", "200"), False), (("", "403"), False)]
)
def test_06_5_wants_the_chat_in_and_the_visitor_out(answers: tuple[str, str], ok: bool) -> None:
    def kubectl(*words: str) -> str:
        return answers["visitor" in words] + "\n"

    lab: Any = SimpleNamespace(app=SimpleNamespace(kubectl=kubectl))
    finding = zero_trust.callers_are_told_apart(lab)
    assert finding.ok == ok and f"the chat {answers[0]}, the visitor {answers[1]}" == finding.found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["answers-gpu", "answers-flat-gpu", "answers-federated", "x"], "answers-federated, answers-flat-gpu, answers-gpu, x"),
        (["answers-gpu"], "missing: answers-flat-gpu, answers-federated"),
    ],
)
def test_09_2_names_the_way_that_is_missing(monkeypatch: pytest.MonkeyPatch, names: list[str], found: str) -> None:
    items = [{"metadata": {"name": name}} for name in names]
    monkeypatch.setattr("labs.course.expectations.resilience.get", lambda cluster, *words: {"items": items})
    finding = resilience.answers_are_mirrored(SimpleNamespace(app=None))
    assert finding.ok == (len(names) > 1) and finding.found == found
