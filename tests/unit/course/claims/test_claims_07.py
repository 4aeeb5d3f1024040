"""Notebook 07: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("07")


def test_the_proxy_saw_one_series_of_successes() -> None:
    NB.says("This asks the one in the app cluster what the chat's proxy saw; expect one series, `success`.")
    table = NB.table("07-03")
    assert list(table.columns) == ["success"] and table.iloc[0, 0] > 1


def test_a_mistake_in_a_query_is_marked() -> None:
    NB.says("A query with a mistake should tell you where the mistake is:")
    assert "unclosed left parenthesis" in NB.text("07-05") and NB.lines("07-05")[-1].strip() == "^"


def test_the_panels_are_those_that_the_prose_names() -> None:
    NB.says("Read them from top to bottom: the GPU, the model server, the mesh, Kubernetes.")
    titles = list(dict.fromkeys(str(name).split(":")[0].split(" ")[0] for name in NB.table("07-09").index))
    assert titles == ["GPU", "Model", "Mesh", "Kubernetes"]


def test_the_witnesses_tell_what_the_prose_says() -> None:
    NB.says("The GPU runs at its full clock long before anybody suffers, and Kubernetes sees two ready servers all the time.")
    rows = NB.table("07-09")
    assert (rows.loc[[f"GPU clock: {name}" for name in ("gpu-worker gpu 0", "gpu-worker2 gpu 0")], "median"] == 1410).all()
    replicas = rows.loc["Kubernetes: ready replicas: model-server"]
    assert replicas["min"] == replicas["max"] == 2


def test_the_queue_and_the_first_token_grow_together() -> None:
    NB.says(
        "while it is empty, users are fine; when it grows, the time to the first token grows with it, and so does the latency"
    )
    rows = NB.table("07-09")
    assert rows.loc["Model server: requests: waiting", "median"] <= 1 and rows.loc["Model server: requests: waiting", "max"] > 16
    first = rows.loc["Model server: time to first token: p95"]
    assert first["median"] < 1 and first["max"] > 4 * first["median"]
    late = rows.loc["Mesh: latency of those calls: p95"]
    assert late["max"] > 1.5 * late["median"]


def test_the_events_are_not_those_of_the_load() -> None:
    NB.says("(The pods that send the load are left out of the events.)")
    assert not [name for name in NB.table("07-09").index if "events: SuccessfulCreate" in str(name) or "Scheduled" in str(name)]


def test_the_last_stage_achieves_less_than_it_is_offered() -> None:
    NB.says("Look at *offered* and *achieved* in the last row. (In the others, they differ a little")
    table = NB.table("07-11")
    assert list(table["offered/s"]) == [3, 9, 18]
    share = table["achieved/s"] / table["offered/s"]
    assert share["18 rps"] < 0.85 and 0.75 < share["3 rps"] < 1.3 and 0.75 < share["9 rps"] < 1.3


def test_few_requests_fail_and_only_in_the_last_stage() -> None:
    NB.says("(If a few of them failed: a server whose queue is full refuses with 429.)")
    errors = NB.table("07-11")["errors %"]
    assert list(errors)[:2] == [0, 0] and errors["18 rps"] < 20


def test_the_first_stage_meets_the_objective_and_the_last_misses_it() -> None:
    NB.says("Expect the first stage to meet it and the last one to miss it.")
    first, _, last = NB.lines("07-13")
    assert first.endswith("-> met") and last.endswith("-> missed")
