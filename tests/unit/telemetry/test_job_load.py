"""Load: plans that are refused, the Job they become, the records that come back."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from labs.errors import LabError, UsageError
from labs.pods.loadgen import options as loadgen
from labs.telemetry.job_load import OWNER, JobLoad, objects, stop_orphans
from labs.telemetry.load_plan import LoadPlan
from labs.telemetry.load_result import LoadResult


def line(id: int, latency: float, ok: bool = True) -> str:
    intended = 1764000000.0 + id
    record = {
        "kind": "request",
        "id": id,
        "intended": intended,
        "sent": intended + 0.001,
        "first_byte": None,
        "end": intended + latency,
        "latency": latency,
        "ttft": None,
        "lag": 0.001,
        "status": 200 if ok else 503,
        "ok": ok,
        "error": None if ok else "http 503: no",
        "cluster": "gpu",
        "pod": "model-0",
        "node": "n",
        "gpu": "0",
        "tokens": 9,
        "tpot": None,
    }
    return json.dumps(record)


SUMMARY = json.dumps({"kind": "summary", "achieved_rps": 0.9})


def test_the_job_carries_the_plan_and_asks_for_a_proxy() -> None:
    namespace, account, job = objects(LoadPlan("chat", rps=2.5, seconds=30, stream=True), "load-1")
    assert namespace["metadata"]["name"] == account["metadata"]["namespace"] == job["metadata"]["namespace"]
    template = job["spec"]["template"]
    args = template["spec"]["containers"][0]["args"]
    assert args[:4] == ["loadgen", "--url", "http://chat.shop.svc.cluster.local:8080", "--chat"]
    assert args[args.index("--rps") + 1] == "2.5" and "--stream" in args
    assert template["metadata"]["annotations"] == {"linkerd.io/inject": "enabled"}
    assert template["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert job["spec"]["backoffLimit"] == 0, "a second try would mix two schedules in one result"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"target": "chatt"}, "chat, model"),
        ({"rps": 0}, "expected rps above 0; found 0"),
        ({"seconds": -1}, "expected seconds above 0"),
        ({"arrivals": "random"}, "poisson, constant, ramp, burst; found 'random'"),
    ],
)
def test_a_plan_that_cannot_run_is_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LoadPlan(**{"target": "chat", "rps": 1, "seconds": 1, **words}).check()


def test_percentiles_count_failed_requests_and_the_index_is_the_intended_time() -> None:
    text = "\n".join(["a proxy's note", *(line(n, 0.1) for n in range(98, -1, -1)), line(99, 10.0, ok=False), SUMMARY])
    result = LoadResult(text, LoadPlan("chat", rps=1, seconds=100))
    row = result.summary().iloc[0]
    assert row["requests"] == 100 and row["errors %"] == 1.0 and row["achieved/s"] == 0.9
    assert row["p50 ms"] == 100 and row["p99 ms"] > 100
    assert result.records.index.is_monotonic_increasing and isinstance(result.records.index.dtype, pd.DatetimeTZDtype)
    assert "ttft p50 ms" not in row.index


def test_the_plot_tells_answered_from_failed() -> None:
    result = LoadResult("\n".join([line(0, 0.1), line(1, 5.0, ok=False), SUMMARY]), LoadPlan("chat", rps=1, seconds=2))
    alt = result.plot(reading="One failed.").alt
    began = result.records.index[0].timestamp()
    assert "Shaded: a pause, from" in result.plot(shade={"a pause": (began, began + 1)}).alt
    assert "answered between 0.1 and 0.1" in alt and "failed between 5 and 5" in alt


def test_a_log_without_requests_is_an_empty_result() -> None:
    result = LoadResult("", LoadPlan("chat", rps=1, seconds=2))
    assert result.records.empty and result.summary().iloc[0]["requests"] == 0
    assert "no request was sent" in result.plot().alt


def test_the_limits_of_an_objective_are_read_by_column() -> None:
    assert LoadPlan("chat", rps=1, seconds=2, slo="ttft=0.5,tpot=0.05").limits() == {"ttft": 0.5, "tpot": 0.05}
    assert LoadPlan("chat", rps=1, seconds=2).limits() == {}


def test_a_load_tells_what_has_ended_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    log = "\n".join([line(0, 0.1), line(1, 0.2), line(2, 0.3)[:40]])
    monkeypatch.setattr("labs.kube.apply", lambda api, made: None)
    monkeypatch.setattr("labs.kube.select", lambda api, *words, **options: [{"metadata": {"name": "load-1-x"}}])
    monkeypatch.setattr("labs.kube.logs", lambda api, *words: log)
    running = JobLoad(None, LoadPlan("chat", rps=1, seconds=9), lambda: ())  # type: ignore[arg-type]
    assert list(running.so_far().records["latency"]) == [0.1, 0.2]
    assert list(running.so_far(since=1764000000.5).records["latency"]) == [0.2]


def test_a_load_ends_with_its_generator_not_with_what_runs_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[dict[str, Any]] = [{"running": {}}, {"terminated": {"exitCode": 0}}]
    looks = iter([states[0], *[states[1]] * 9])

    def select(api: object, *words: str, **options: str) -> list[dict[str, Any]]:
        containers = [{"name": "beside", "state": {"running": {}}}, {"name": "loadgen", "state": next(looks)}]
        return [{"metadata": {"name": "load-1-x"}, "status": {"containerStatuses": containers}}]

    monkeypatch.setattr("labs.kube.apply", lambda api, made: None)
    monkeypatch.setattr("labs.kube.get", lambda api, *words: {"status": {"active": 1}})
    monkeypatch.setattr("labs.kube.select", select)
    monkeypatch.setattr("labs.kube.logs", lambda api, *words: line(0, 0.1))
    monkeypatch.setattr("labs.kube.delete", lambda api, *words: True)
    plan = LoadPlan("chat", rps=1, seconds=9)
    assert len(JobLoad(None, plan, lambda: ()).result().records) == 1  # type: ignore[arg-type]
    states[1]["terminated"]["exitCode"] = 1
    looks = iter([*states, *[states[1]] * 9])
    with pytest.raises(LabError, match="failed"):
        JobLoad(None, plan, lambda: ()).result()  # type: ignore[arg-type]


def test_only_the_loads_of_processes_that_are_gone_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr("labs.kube.apply", lambda api, objects: made.append(objects[-1]))
    JobLoad(None, LoadPlan("chat", rps=1, seconds=9), lambda: ())  # type: ignore[arg-type]
    JobLoad(None, LoadPlan("chat", rps=1, seconds=9), lambda: ())  # type: ignore[arg-type]
    number, since = json.loads(made[1]["metadata"]["annotations"][OWNER])
    made[1]["metadata"]["annotations"][OWNER] = json.dumps((number, since - 100))
    nobodys = {"metadata": {"name": "fault-overload"}}
    deleted: list[str] = []
    monkeypatch.setattr("labs.kube.select", lambda api, *words, **options: [*made, nobodys])
    monkeypatch.setattr("labs.kube.delete", lambda api, kind, name, namespace: deleted.append(name))
    assert stop_orphans(None) == deleted == [made[1]["metadata"]["name"]]  # type: ignore[arg-type]


def test_users_lengths_and_the_slo_reach_the_command_line_only_if_they_are_asked_for() -> None:
    plain = LoadPlan("chat", rps=1, seconds=2).arguments()
    assert not {"--users", "--prompt-tokens", "--answer-tokens", "--slo"} & set(plain)
    words = LoadPlan("model", rps=1, seconds=2, users=4, prompt_tokens="lognormal:200:0.8", slo="ttft=0.5").arguments()
    assert words[words.index("--users") + 1] == "4" and words[words.index("--slo") + 1] == "ttft=0.5"
    assert words[words.index("--prompt-tokens") + 1] == "lognormal:200:0.8"


def test_the_arguments_are_the_load_generators_own() -> None:
    plan = LoadPlan("model", rps=1, seconds=2, arrivals="ramp", prompt_tokens="9", answer_tokens="uniform:2:3", slo="latency=1")
    args = loadgen.parser().parse_args(plan.arguments()[1:])
    assert (args.arrivals, args.slo.limits, args.rps) == ("ramp", {"latency": 1.0}, 1.0)


def test_goodput_is_in_the_summary() -> None:
    summary = json.dumps({"kind": "summary", "achieved_rps": 0.9, "goodput": {"rps": 0.4, "share": 0.5}})
    row = LoadResult("\n".join([line(0, 0.1), line(1, 9.0), summary]), LoadPlan("chat", rps=1, seconds=2)).summary().iloc[0]
    assert (row["good/s"], row["good %"]) == (0.4, 50)
