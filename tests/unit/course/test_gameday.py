"""The game day: what is drawn, what a diagnosis is worth, what the pager and the replay show, and that every game ends healed."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import BoundedIntText

from labs.clusters.docker.tool import K3D as K3D_TOOL
from labs.course.gameday import game as games
from labs.course.gameday import incident as incidents
from labs.course.gameday import leaderboard, mystery, pager, scenario, score
from labs.course.gameday.game import UNNOTICED, GameDay
from labs.course.gameday.incident import CAUSES, Incident
from labs.course.gameday.leaderboard import Entry
from labs.course.gameday.replay import Replay
from labs.course.gameday.score import Diagnosis, grade
from labs.course.notebooks import find
from labs.errors import LabError, NotFound, TimedOut, UsageError
from labs.faults.catalogue import LAYERS, catalogue
from labs.faults.experiments import layers
from labs.faults.experiments.layers import INDICATORS
from labs.faults.experiments.phases import stamp
from labs.faults.injectors.base import Injector, Parameters
from labs.journal import Journal
from labs.session import Session
from labs.telemetry.windows import Window

NOTHING: frozenset[str] = frozenset()
K3D = frozenset(K3D_TOOL.unsupported)
CONTEXTS = frozenset({"freeze", "freeze-control-plane", "kill-container", "shape-link"})
BEGAN = 1_800_000_000.0


def session(unsupported: frozenset[str] = NOTHING) -> Session:
    """A lab on a backend whose nodes cannot do what ``unsupported`` names."""
    nodes = SimpleNamespace(unsupported_reason=lambda action, cluster: "not ours" if action in unsupported else None)
    backend: Any = SimpleNamespace(name="fake", nodes=nodes, clusters=dict)
    return Session(backend)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_has_its_failures_and_only_those_the_lab_can_make(level: int) -> None:
    here = mystery.possible(session(), level)
    assert len(here) >= 4 and {fault.level for fault in here} == {level}
    elsewhere = mystery.possible(session(CONTEXTS), level)
    assert len(elsewhere) < len(here) and all(fault.layer != "network" for fault in elsewhere)


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="1 \\(obvious\\)"):
        mystery.possible(session(), 4)


@given(st.integers(0, 2**31), st.sampled_from([1, 2, 3]))
def test_a_seed_is_a_game(seed: int, level: int) -> None:
    faults = mystery.possible(session(), level)
    first, second = mystery.draw(faults, seed), mystery.draw(faults, seed)
    assert first == second and first.fault in faults
    assert first.repairs[first.right_letter] == first.fault.repair and first.fault.object in first.objects
    assert len(set(first.repairs.values())) == mystery.CHOICES


@given(st.integers(0, 2**31))
def test_only_one_of_the_repairs_is_right(seed: int) -> None:
    drawn = mystery.draw([catalogue()["crash-loop"]], seed)
    assert not {catalogue()[name].repair for name in ("slow-start", "health-lies", "out-of-memory")} & set(drawn.repairs.values())


@given(st.integers(0, 2**31), st.data())
def test_what_a_lab_cannot_make_changes_no_other_game(seed: int, data: st.DataObject) -> None:
    faults = mystery.possible(session(), 1)
    drawn = mystery.draw(faults, seed)
    some = data.draw(st.lists(st.sampled_from(faults), unique_by=lambda fault: fault.name))
    assert mystery.draw([fault for fault in faults if fault in some or fault == drawn.fault], seed) == drawn


def test_all_of_a_level_are_drawn_by_some_seed() -> None:
    faults = mystery.possible(session(), 1)
    assert {mystery.draw(faults, seed).fault.name for seed in range(200)} == {fault.name for fault in faults}


MYSTERY = mystery.draw([catalogue()["gateway-down"]], 1)
RIGHT = Diagnosis("mesh", MYSTERY.fault.object, MYSTERY.right_letter)
WRONG = next(letter for letter in MYSTERY.repairs if letter != MYSTERY.right_letter)


@pytest.mark.parametrize(
    ("diagnosis", "hints", "seconds", "total"),
    [
        (RIGHT, 0, 30, 100),
        (RIGHT, 2, 30, 80),
        (RIGHT, 0, 60 + 15 * 4, 96),
        (RIGHT, 0, 10_000, 70),
        (Diagnosis("gpu", MYSTERY.fault.object, MYSTERY.right_letter), 0, 30, 60),
        (Diagnosis("mesh", "one GPU", WRONG), 0, 30, 40),
        (Diagnosis("gpu", "one GPU", WRONG), 3, 10_000, 0),
    ],
)
def test_every_part_of_a_diagnosis_is_graded(diagnosis: Diagnosis, hints: int, seconds: float, total: int) -> None:
    assert grade(MYSTERY, diagnosis, hints, seconds).total == total


@given(st.integers(0, 3), st.integers(0, 3), st.floats(0, 2000), st.floats(0, 2000))
def test_more_hints_and_more_time_are_never_worth_more(few: int, more: int, soon: float, late: float) -> None:
    better = grade(MYSTERY, RIGHT, min(few, more), min(soon, late)).total
    assert 0 <= grade(MYSTERY, RIGHT, max(few, more), max(soon, late)).total <= better <= sum(score.POINTS.values())


@pytest.mark.parametrize(
    ("diagnosis", "kind"),
    [
        (Diagnosis("mash", MYSTERY.fault.object, "A"), NotFound),
        (Diagnosis("mesh", "the thing", "A"), NotFound),
        (Diagnosis("mesh", MYSTERY.fault.object, "Z"), UsageError),
    ],
)
def test_a_typing_mistake_is_no_answer(diagnosis: Diagnosis, kind: type[LabError]) -> None:
    with pytest.raises(kind):
        diagnosis.check(MYSTERY)


@pytest.mark.parametrize("unsupported", [NOTHING, K3D, CONTEXTS])
def test_notebook_12_says_the_right_diagnosis_of_its_seed(unsupported: frozenset[str]) -> None:
    text = "\n".join(cell.source for cell in find("12").content.cells if cell.cell_type == "code")
    drawn = re.search(r"game_day\(level=(\d), .*seed=(\d+)\)", text)
    said = re.search(r'diagnose\(layer="(.+)", object="(.+)", repair="(.)"\)', text)
    assert drawn and said
    found = mystery.draw(mystery.possible(session(unsupported), int(drawn[1])), int(drawn[2]))
    assert said.groups() == (found.fault.layer, found.fault.object, found.right_letter)


def entry(player: str, points: int, seconds: float) -> Entry:
    return Entry(player, 1, points, seconds, 0, True, True, True, "gateway-down", 7, BEGAN)


def test_a_room_is_collected_and_the_best_is_first(tmp_path: Path) -> None:
    ada, bob = tmp_path / "ada.jsonl", tmp_path / "bob of room 2.jsonl"
    leaderboard.append(entry("ada", 80, 90), ada)
    leaderboard.append(entry("ada", 100, 70), ada)
    leaderboard.append(entry("bob", 100, 40), bob)
    board = leaderboard.read([ada, bob])
    assert list(zip(board["player"], board["points"], strict=True)) == [("bob", 100), ("ada", 100), ("ada", 80)]
    with pytest.raises(NotFound, match="nobody"):
        leaderboard.read([tmp_path / "nobody.jsonl"])


def test_no_game_yet_is_an_empty_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderboard, "FILE", tmp_path / "none.jsonl")
    assert leaderboard.read().empty


class Server:
    """A Prometheus that answers every query with ``level``."""

    def __init__(self, level: float) -> None:
        self.level = level

    def instant(self, promql: str) -> pd.Series:
        return pd.Series([self.level])

    def query(self, promql: str, *, last: float, step: float = 1) -> pd.DataFrame:
        index = pd.date_range(stamp(BEGAN), periods=60, freq="s")
        return pd.DataFrame({"value": [self.level] * 60}, index=index)


def test_the_pager_tells_what_users_notice_and_never_why() -> None:
    servers: Any = {"app": Server(0.0), "gpu": Server(0.0)}
    steady = pd.Series({row.name: 5.0 for row in INDICATORS})
    told = pager.symptoms(servers, steady)
    assert "successes per second: 5 before, 0 now" in told
    assert not any(word in text for text in told for word in ("card", "clock", "gateway", "ready"))
    quiet = pager.symptoms(servers, pd.Series({row.name: 0.0 for row in INDICATORS}))
    assert quiet == () and "all quiet" in str(pager.Page(5, quiet))
    page = pager.Page(83, told)
    assert page.clock == "01:23" and 'role="alert"' in page._repr_html_() and "PAGE, 01:23" in str(page)


def replay() -> Replay:
    index = pd.date_range(stamp(BEGAN), periods=61, freq="s")
    flat = pd.Series(1.0, index=index)
    frames = {row.name: flat for row in INDICATORS}
    frames["failures per second"] = pd.Series([0.0 if n < 25 else 4.0 for n in range(61)], index=index)
    # Users arrive five seconds before the injection: a median over all of the time before would call that a failure.
    frames["successes per second"] = pd.Series([0.0 if n < 14 else 7.0 for n in range(61)], index=index)
    window = Window("a mystery", stamp(BEGAN + 20).to_pydatetime())
    return Replay(BEGAN, BEGAN + 20, BEGAN + 60, frames, (), window)


def test_the_replay_says_what_moved_when_and_nothing_of_what_lay_ahead() -> None:
    found = replay()
    (note,) = found.notes().to_dict("records")
    assert (note["at s"], note["layer"], note["indicator"]) == (5, "mesh", "failures per second")
    with pytest.raises(UsageError, match="from 0 to 40 s"):
        found.at(99)


def test_the_field_that_moves_through_the_replay_has_a_name_and_the_game_s_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipywidgets.interact", lambda show, **controls: controls)
    field = replay().browse()["seconds"]
    assert isinstance(field, BoundedIntText) and (field.description, field.max) == ("second", 40)


class Nothing(Injector):
    """An injector that only remembers whether it is in force."""

    broken = False

    def inject(self, session: Session, parameters: Parameters) -> None:
        Nothing.broken = True

    def heal(self, session: Session, parameters: Parameters, memory: Parameters) -> None:
        Nothing.broken = False


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(scenario.lifecycle, "injector", lambda fault: Nothing())
    monkeypatch.setattr(leaderboard, "FILE", tmp_path / "leaderboard.jsonl")
    monkeypatch.setattr(games.timeline, "panels", lambda servers, span: [])
    journal = Journal(tmp_path / "faults.json")
    load = SimpleNamespace(stopped=False)
    load.stop = lambda: setattr(load, "stopped", True)
    load.so_far = lambda since: SimpleNamespace(records=pd.DataFrame({"ok": [True]}, index=[pd.Timestamp.now("UTC")]))
    return SimpleNamespace(
        backend=session().backend,
        journal=journal,
        active_faults=journal.active,
        running=load,
        load=lambda *words, **options: load,
        wait_until=lambda *words, **options: None,
        snapshot=lambda before=None: layers.snapshot({"app": Server(1.0), "gpu": Server(1.0)}, before),  # type: ignore[dict-item]
        servers={"app": Server(1.0), "gpu": Server(1.0)},
    )


def test_a_game_from_the_page_to_the_leaderboard(lab: Any) -> None:
    game = GameDay(lab, 1, "ada", seed=7)
    game.start(steady=0)
    assert game.page().symptoms == UNNOTICED and "running" in repr(game)
    (hidden,) = lab.journal.active()
    assert Nothing.broken and hidden.secret and hidden.label == "a mystery"
    assert re.fullmatch(r".+ \(-10 points\)", game.hint())
    assert set(game.snapshot()["moved"]) == {"-"}
    fault = game._mystery.fault
    with pytest.raises(NotFound):
        game.diagnose("mash", fault.object, "A")
    result = game.diagnose(fault.layer, fault.object, game._mystery.right_letter)
    assert result.score.total == 90 and fault.name in str(result) and "seed=7" in str(result)
    assert not Nothing.broken and not lab.journal.active() and lab.running.stopped
    assert list(leaderboard.read()["player"]) == ["ada"]
    with pytest.raises(UsageError, match="no game is running"):
        game.page()
    assert "over" in repr(game)


def test_the_choices_name_every_layer_object_and_repair(lab: Any) -> None:
    told = GameDay(lab, 2, "ada", seed=1).choices()
    assert all(layer in told for layer in LAYERS) and all(f"{letter}: " in told for letter in "ABCDE")


def test_hints_run_out(lab: Any) -> None:
    game = GameDay(lab, 1, "ada", seed=7)
    game.start(steady=0)
    for _ in range(3):
        game.hint()
    with pytest.raises(UsageError, match="you have seen them all"):
        game.hint()
    game.give_up()
    assert not Nothing.broken and not lab.journal.active()


def test_a_game_needs_a_whole_lab_and_begins_once(lab: Any) -> None:
    with pytest.raises(UsageError, match="no game is running"):
        GameDay(lab, 1, "ada").hint()
    held = lab.journal.begin("gateway-down", "Gateway is down", {})
    with pytest.raises(UsageError, match="already broken"):
        GameDay(lab, 1, "ada").start(steady=0)
    lab.journal.end(held.id)
    game = GameDay(lab, 1, "ada", seed=3)
    game.start(steady=0)
    with pytest.raises(UsageError, match="has already started"):
        game.start(steady=0)
    game.give_up()


def test_an_interrupted_start_leaves_no_load(lab: Any) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    lab.wait_until = interrupted
    with pytest.raises(KeyboardInterrupt):
        GameDay(lab, 1, "ada", seed=3).start(steady=0)
    assert lab.running.stopped and not lab.journal.active()


def test_the_seed_is_not_shown_while_the_game_runs(lab: Any) -> None:
    game = GameDay(lab, 1, "ada")
    game.start(steady=0)
    assert str(game._seed) not in f"{game!r} {game.page()} {game.choices()}"
    game.give_up()


class Stubborn(Injector):
    """The second of two that cannot be made."""

    def inject(self, session: Session, parameters: Parameters) -> None:
        raise LabError("the API server does not answer")

    def heal(self, session: Session, parameters: Parameters, memory: Parameters) -> None:
        pass


@pytest.fixture
def incident(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Incident:
    monkeypatch.setattr(incidents, "is_present", lambda *words: True)
    monkeypatch.setattr(incidents, "SETTLE", 0)
    return Incident(lab)


def test_an_incident_has_two_causes_that_are_not_named_until_they_are_repaired(lab: Any, incident: Incident) -> None:
    with pytest.raises(UsageError, match="not started"):
        incident.page()
    assert "all quiet" in str(incident.start(steady=0))
    active = lab.journal.active()
    assert [row.name for row in active] == list(CAUSES) and {row.label for row in active} == {"a mystery"}
    assert incident.users()["ok"].all()
    scenario.lifecycle.heal_all(lab, "link-latency")
    assert [row.name for row in lab.journal.active()] == ["bad-rollout"]
    with pytest.raises(UsageError, match="has already started"):
        incident.start()
    assert not incident.wait_until_quiet().symptoms
    incident._scenario._steady["now"] = 5.0
    with pytest.raises(TimedOut, match="after 0 s: successes per second: 5 before, 1 now"):
        incident.wait_until_quiet(timeout=0)
    incident.close()
    assert not lab.journal.active() and lab.running.stopped


def test_an_incident_that_does_not_show_is_healed(lab: Any, incident: Incident, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "is_present", lambda *words: False)
    monkeypatch.setattr(incidents.time, "time", iter(range(1, 10**10, 10**8)).__next__)
    with pytest.raises(LabError, match="bad-rollout shows no symptom after 90 s"):
        incident.start(steady=0)
    assert not lab.journal.active() and lab.running.stopped


def test_if_the_second_cause_cannot_be_made_the_first_is_healed(
    lab: Any, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario.lifecycle, "injector", lambda fault: Stubborn() if fault.name == "link-latency" else Nothing())
    with pytest.raises(LabError, match="API server"):
        incident.start(steady=0)
    assert not lab.journal.active() and lab.running.stopped and not Nothing.broken
