"""PromQL that is built, the questions, objectives and dashboards it goes into, and the rules that Prometheus records."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest
import yaml

from labs import config
from labs.errors import NotFound
from labs.telemetry import dashboards, questions, slo
from labs.telemetry.promql import quantile, rate, share, together

RULES = yaml.safe_load((config.MANIFESTS / "prometheus" / "rules.yml").read_text())["groups"]


def test_promql_reads_as_it_would_be_typed() -> None:
    assert rate("a_total", window="1m") == "sum(rate(a_total[1m]))"
    assert rate("a_total", 'x="y"', by=["pod"]) == 'sum by (pod) (rate(a_total{x="y"}[10s]))'
    assert quantile(0.5, "a", by=["pod"]) == "histogram_quantile(0.5, sum by (le, pod) (rate(a_bucket[10s])))"
    assert share("a", "b") == "(a) / (b > 0)"
    two = together({"one": "sum(up)", "two": "x > 1"})
    assert two == 'label_replace(sum(up), "line", "one", "", "") or label_replace(x > 1, "line", "two", "", "")'


def test_a_question_or_objective_that_does_not_exist_lists_those_that_do() -> None:
    assert questions.find("requests waiting").cluster == "gpu"
    with pytest.raises(NotFound, match="tokens per second"):
        questions.find("tokens")
    with pytest.raises(NotFound, match="first token within"):
        slo.find("fast")


@pytest.mark.parametrize(("text", "brackets"), [(q.promql, "()[]{}") for q in questions.QUESTIONS.values()])
def test_brackets_of_questions_are_closed(text: str, brackets: str) -> None:
    assert all(text.count(brackets[i]) == text.count(brackets[i + 1]) for i in (0, 2, 4))


class Answers:
    """A Prometheus whose burn rates are given by window."""

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def instant(self, promql: str) -> pd.Series:
        (window,) = [window for window in slo.WINDOWS if f"[{window}]" in promql]
        return pd.Series([self._values[window]] if window in self._values else [], dtype="float64")


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"1m": 20, "5m": 15}, "page"),
        ({"1m": 0, "5m": 15}, "fine"),
        ({"1m": 20, "5m": 7}, "ticket"),
        ({"1m": 1, "5m": 1}, "fine"),
        ({"5m": 20}, "fine"),
    ],
)
def test_both_windows_must_burn(rates: dict[str, float], said: str) -> None:
    server: Any = Answers(rates)
    table = slo.burn(slo.find("first token within 0.5 s"), server)
    assert list(table.index) == list(slo.WINDOWS) and math.isnan(table["burn rate"]["1m"]) == ("1m" not in rates)
    assert slo.verdict(table["burn rate"]) == said


def test_the_recorded_error_budgets_are_those_of_the_objectives() -> None:
    (recorded,) = [group["rules"] for group in RULES if group["name"] == "slo"]
    assert {(r["record"], r["labels"]["objective"], r["expr"]) for r in recorded} == {
        (f"slo:error_budget:burn_rate{window}", objective.title, objective.burn_rate(window))
        for objective in slo.OBJECTIVES.values()
        for window in slo.WINDOWS
    }


def test_prometheus_loads_the_rules_and_gets_the_file() -> None:
    folder = config.MANIFESTS / "prometheus"
    assert yaml.safe_load((folder / "prometheus.yml").read_text())["rule_files"] == ["rules.yml"]
    generators = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    assert "rules.yml" in generators[0]["files"]


def test_dashboards_are_whole_and_their_recorded_series_exist() -> None:
    recorded = {rule["record"] for group in RULES for rule in group["rules"]}
    targets = dashboards.targets()
    assert len(targets) >= 20 and {target.cluster for target in targets} == {"app", "gpu"}
    for target in targets:
        name = target.promql.partition("{")[0]
        if ":" in name and not name.startswith(("vllm:", "sum", "max", "histogram", "count")):
            assert name in recorded, target
    listed = yaml.safe_load((dashboards.FOLDER / "kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
    assert set(listed) == set(dashboards.ROLES)
    for name in dashboards.ROLES:
        board = json.loads((dashboards.FOLDER / name).read_text())
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(panel["datasource"]["uid"] == "${datasource}" for panel in board["panels"])
