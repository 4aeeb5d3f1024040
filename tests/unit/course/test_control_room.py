"""The control room: what it reads, how it draws it, what its controls do, and that it neither grows nor stays."""

from __future__ import annotations

import html
import threading
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pandas as pd
import pytest

from labs.course.control_room import gpu_table, live_chart, topology
from labs.course.control_room.actions import Actions, load_twin
from labs.course.control_room.history import History
from labs.course.control_room.panel import ControlPanel
from labs.course.control_room.readings import EDGES, GPUS, PODS, CallRate, GpuReading, Monitor, Reading, ServerRate
from labs.course.control_room.room import EVERY, ControlRoom, summarize
from labs.course.mime import WIDGET_MIME
from labs.errors import LabError, NotRunning
from labs.faults.catalogue import catalogue
from labs.telemetry.windows import Window
from tests.support.waiting import eventually

Samples = list[tuple[dict[str, str], float]]
FAULTS = [catalogue()["gpu-overheat"], catalogue()["gateway-down"]]


class FakePrometheus:
    """``lines`` are the values by line; ``gpus`` what the exporter reports. ``broken``: it does not answer."""

    def __init__(self, lines: Samples = (), gpus: Samples = ()) -> None:  # type: ignore[assignment]
        self.lines, self.gpus, self.broken = list(lines), list(gpus), False

    def samples(self, promql: str) -> Samples:
        if self.broken:
            raise NotRunning("the Prometheus of cluster gpu does not answer", fix="kubectl get pods")
        return self.gpus if promql == GPUS else self.lines

    def query(self, promql: str, last: float, step: float) -> pd.DataFrame:
        index = pd.date_range("2026-01-01", periods=3, freq="1s", tz="UTC")
        names = [labels["line"] for labels, _ in self.lines]
        frame = pd.DataFrame({name: [1.0, 2.0, float("nan")] for name in names}, index=index)
        frame.attrs["labels"] = {name: {"line": name} for name in names}
        return frame


def lines(**values: float) -> Samples:
    return [({"line": name.replace("_", " ")}, value) for name, value in values.items()]


def sample(field: str, value: float, gpu: str = "0", pod: str = "") -> tuple[dict[str, str], float]:
    return {"__name__": f"DCGM_FI_DEV_{field}", "node": "gpu-worker", "gpu": gpu} | ({"pod": pod} if pod else {}), value


WHOLE = [sample("GPU_UTIL", 88, pod="m-1"), sample("FB_USED", 2048, pod="m-1"), sample("FB_FREE", 2048, pod="m-1")]
WHOLE += [sample("XID_ERRORS", 0, pod="m-1"), sample("GPU_TEMP", 61, pod="m-1"), sample("GPU_UTIL", 0, gpu="1")]


class FakeLab:
    """Remembers what it was asked to do; ``slow`` seconds are what each takes."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.servers = {
            "app": FakePrometheus(lines(answered=5.9, refused=0, failed=0, link_latency=7.2)),
            "gpu": FakePrometheus(lines(running=6, waiting=0, tokens=380), WHOLE),
        }
        self.fails = False
        self.backend = SimpleNamespace()

    def windows(self) -> list[Window]:
        return []

    def load(self, target: str, *, rps: float, seconds: float, wait: bool) -> Any:
        if self.fails:
            raise LabError("the API server did not answer", fix="lab status")
        self.did.append(f"load {target} {rps:g}")
        return SimpleNamespace(stop=lambda: self.did.append(f"stop {rps:g}"))

    def fault(self, name: str) -> Any:
        lab = self

        class Session:
            fault = catalogue()[name]

            def __enter__(self) -> None:
                lab.did.append(f"inject {name}")

            def __exit__(self, *_: object) -> None:
                lab.did.append(f"heal {name}")

        return Session()

    def heal(self) -> list[Any]:
        self.did.append("heal all")
        return [SimpleNamespace(title="A GPU is too hot")]


@pytest.fixture
def lab() -> FakeLab:
    return FakeLab()


@pytest.fixture
def room(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlRoom]:
    monkeypatch.setattr("labs.course.control_room.room.possible", lambda lab: FAULTS)
    clock = SimpleNamespace(now=pd.Timestamp("2026-01-01T00:00:03Z").timestamp())
    room = ControlRoom(lab, lambda: clock.now)
    room.clock = clock  # type: ignore[attr-defined]
    yield room
    room.close()


def svg(text: str) -> ET.Element:
    """The picture, which must be well-formed and say in words what it shows."""
    root = ET.fromstring(text)
    assert root.attrib["role"] == "img" and root.attrib["aria-label"]
    assert " id=" not in text, "two figures on one page must not share an id"
    return root


def words(text: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(text).iter() if element.tag.endswith("text")]


# What it keeps


def test_history_forgets_by_age_and_by_number_and_keeps_gaps() -> None:
    history = History(span=10, most=8)
    for at in range(40):
        history.add(at, {"a": float(at)} if at != 35 else {})
    assert len(history) == 8 and history.latest("a") == 39 and history.latest("b") is None
    assert [[at for at, _ in piece] for piece in history.pieces("a")] == [[32, 33, 34], [36, 37, 38, 39]]
    history.add(100, {})
    assert len(history) == 1 and history.pieces("a") == []


def test_six_minutes_do_not_take_more_memory_than_two(room: Any) -> None:
    def minutes(count: float) -> int:
        for _ in range(round(count * 60 / EVERY)):
            room.clock.now += EVERY
            room.update()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        full = minutes(2.5)  # the window of two minutes is full from here on
        later = minutes(4)
    finally:
        tracemalloc.stop()
    assert later - full < 60_000, f"{later - full} bytes more after four minutes"
    assert len(room._history) <= 2 * 120 + 1


# What it reads


def test_a_reading_has_lines_calls_servers_and_gpus() -> None:
    app = FakePrometheus(
        [
            *lines(answered=5.9),
            ({"line": "first token"}, float("nan")),
            ({"line": EDGES, "k8s_job": "load-1", "dst_service": "chat"}, 6.0),
            ({"line": EDGES, "deployment": "chat", "dst_service": "model-server-gpu"}, 5.9),
        ]
    )
    gpu = FakePrometheus([({"line": PODS, "pod": "m-2", "node": "n"}, 3.0), ({"line": PODS, "pod": "m-1"}, 2.9)], WHOLE)
    servers: Any = {"app": app, "gpu": gpu}
    found = Monitor(servers).read(1.0)
    assert found.values == {"answered": 5.9}, "NaN is no value"
    assert found.calls == (CallRate("load", "chat", 6.0), CallRate("chat", "model-server-gpu", 5.9))
    assert [server.pod for server in found.servers] == ["m-1", "m-2"]
    assert [(c.index, c.pod, c.state) for c in found.gpus] == [("0", "m-1", "in use"), ("1", "", "free")]


def test_a_gpu_that_stops_reporting_stays_on_the_panel() -> None:
    gpu = FakePrometheus([], WHOLE)
    servers: Any = {"app": FakePrometheus(), "gpu": gpu}
    monitor = Monitor(servers)
    monitor.read(1.0)
    gpu.gpus = [sample("XID_ERRORS", 79)]
    assert [c.state for c in monitor.read(2.0).gpus] == ["off the bus", "not reporting"]


@pytest.mark.parametrize(
    ("seen", "pod", "state"),
    [
        ({"busy": 1.0, "xid": 13.0}, "m", "XID 13"),
        ({"busy": 1.0, "events": 32.0}, "m", "slowed down"),
        ({"busy": 0.0, "events": 1.0}, "", "free"),
    ],
)
def test_the_state_of_a_gpu_is_a_word(seen: dict[str, float], pod: str, state: str) -> None:
    found = GpuReading("n", "0", pod, seen)
    assert found.state == state
    drawn = gpu_table.draw([found])
    assert state in drawn and ("double" in drawn) == (state not in gpu_table.NORMAL_STATES), "a second line, not a colour alone"


def test_a_prometheus_that_does_not_answer_is_told_once() -> None:
    gpu = FakePrometheus()
    gpu.broken = True
    servers: Any = {"app": FakePrometheus(lines(answered=0)), "gpu": gpu}
    found = Monitor(servers).read(1.0)
    assert found.errors == ("the Prometheus of cluster gpu does not answer",)
    assert summarize(found) == "The Prometheus of cluster gpu does not answer; 0 answers per second."


# How it draws


def chart(history: History, now: float, windows: list[Window] | None = None) -> str:
    return live_chart.draw(history, now, windows or [], 'A reading with <signs> & "marks".')


def test_lines_differ_by_more_than_colour_and_are_named_at_their_end() -> None:
    history = History()
    for at in range(100):
        history.add(float(at), {"answered": 6.0, "refused": 0.0, "failed": 0.0, "waiting": 3.0})
    text = chart(history, 99.0)
    dashes = {element.attrib.get("stroke-dasharray") for element in svg(text).iter() if element.tag.endswith("polyline")}
    assert dashes == {None, "7 4", "2 3"}
    assert {"answered 6", "refused 0", "failed 0", "waiting 3", "now", "−120 s"} <= set(words(text))
    heights = [float(e.attrib["y"]) for e in svg(text).iter() if (e.text or "") in ("refused 0", "failed 0")]
    assert abs(heights[0] - heights[1]) >= live_chart.GAP, "names of lines that lie on each other do not"


def test_a_gap_stays_a_gap_and_a_series_that_ended_has_no_number() -> None:
    history = History()
    for at in range(30):
        history.add(float(at), {"hottest": 50.0} if at not in (10, 29) else {})
    text = chart(history, 29.0)
    assert sum(element.tag.endswith("polyline") for element in svg(text).iter()) == 2
    assert "hottest –" in words(text) and words(text).count("no data yet") == 3


def test_what_is_broken_is_shaded_and_named() -> None:
    history = History()
    history.add(200.0, {"answered": 1.0})
    spans = [
        Window("long over", datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(10, UTC)),
        Window("gpu-overheat", datetime.fromtimestamp(150, UTC)),
    ]
    text = chart(history, 200.0, spans)
    assert words(text).count("gpu-overheat") == len(live_chart.PANELS) and "long over" not in words(text)


@pytest.mark.parametrize(("value", "end"), [(0.5, 0.5), (0.51, 1), (5, 5), (6.1, 10), (10, 10), (120, 200)])
def test_an_axis_ends_at_a_round_number(value: float, end: float) -> None:
    assert live_chart.nice(value) == pytest.approx(end)


def test_the_topology_says_who_calls_whom_how_often() -> None:
    calls = (CallRate("load", "chat", 6.0), CallRate("chat", "model-server-gpu", 5.9), CallRate("load", "model-server-gpu", 2.0))
    servers = tuple(ServerRate(f"model-server-abc-{n}", "gpu-worker", 3.0) for n in range(6))
    text = topology.draw(
        Reading(0.0, {"link latency": 7.25}, calls, servers, (GpuReading("gpu-worker", "1", "model-server-abc-0"),))
    )
    svg(text)
    assert {"6/s", "5.9/s", "2/s", "link: 7.2 ms", "gpu-worker gpu 1", "and 2 more", "app cluster", "gpu cluster"} <= set(
        words(text)
    )


def test_an_empty_topology_is_drawn_too() -> None:
    text = topology.draw(Reading(0.0))
    assert "not measured" in svg(text).attrib["aria-label"] and "none seen" in words(text) and "–" in words(text)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"answered": 5.9, "tokens": 380.0}, "5.9 answers per second, 380 tokens per second; nothing waits and nothing fails."),
        (
            {"answered": 6.0, "waiting": 12.0},
            "12 requests wait: the load exceeds what the GPUs can answer; 6 answers per second.",
        ),
        ({"answered": 0.0, "failed": 2.0}, "2 calls per second fail; 0 answers per second."),
    ],
)
def test_the_reading_is_one_sentence(values: dict[str, float], says: str) -> None:
    assert summarize(Reading(0.0, values)) == says


# What its controls do


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def actions(lab: Any, told: list[str]) -> Iterator[Actions]:
    actions = Actions(lab, told.append)
    yield actions
    actions.close()


def test_a_new_load_replaces_the_old_and_closing_heals_and_stops(lab: FakeLab, actions: Actions, told: list[str]) -> None:
    actions.start("chat", 6)
    actions.start("model", 9)
    actions.inject("gpu-overheat")
    actions.close()
    assert lab.did == ["load chat 6", "stop 6", "load model 9", "inject gpu-overheat", "stop 9", "heal gpu-overheat"]
    assert load_twin("model", 9) in told[2] and "injected" in told[5]


def test_heal_heals_everything_once(lab: FakeLab, actions: Actions) -> None:
    actions.inject("gateway-down")
    actions.heal()
    actions.stop()
    actions.close()
    assert lab.did == ["inject gateway-down", "heal all"], "what was healed is not healed again on closing"


def test_an_error_is_told_and_the_actions_go_on(lab: FakeLab, actions: Actions, told: list[str]) -> None:
    lab.fails = True
    actions.start("chat", 6)
    actions.inject("gateway-down")
    actions.close()
    assert any("✗ the API server did not answer (try: lab status)" in line for line in told)
    assert "inject gateway-down" in lab.did


class FakeActions:
    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *words: self.did.append((name, *words))


def test_controls_are_native_widgets_with_a_code_twin_that_follows_them() -> None:
    actions: Any = FakeActions()
    panel = ControlPanel(actions, FAULTS)
    # No slider: its handle has no name. These are labelled buttons, fields and lists of the browser.
    native = (ipywidgets.Button, ipywidgets.BoundedIntText, ipywidgets.Dropdown, ipywidgets.HTML, ipywidgets.Box)
    assert all(isinstance(child, native) for child in widgets_of(panel.widget))
    assert all(
        child.description for child in widgets_of(panel.widget) if not isinstance(child, (ipywidgets.HTML, ipywidgets.Box))
    )
    panel.rps.value, panel.target.value = 9, "model"
    assert 'lab.load("model", rps=9' in html.unescape(panel.load_twin.value) and "load.stop()" in panel.load_twin.value
    panel.fault.value = "gateway-down"
    assert 'lab.fault("gateway-down")' in html.unescape(panel.fault_twin.value) and "lab.heal()" in panel.fault_twin.value
    assert actions.did == [], "turning a knob alone starts nothing"
    panel.start.click()
    panel.rps.value = 12
    panel.stop.click()
    panel.rps.value = 3
    panel.inject.click()
    panel.heal.click()
    assert actions.did == [("start", "model", 9), ("start", "model", 12), ("stop",), ("inject", "gateway-down"), ("heal",)]
    panel.close()


def widgets_of(widget: Any) -> list[Any]:
    return [part for child in getattr(widget, "children", ()) for part in widgets_of(child)] + [widget]


# The room as a whole


def test_it_opens_with_the_last_minutes_and_shows_itself_without_widgets_too(room: ControlRoom) -> None:
    assert len(room._history) == 3, "asked of Prometheus, so that the chart does not begin empty"
    room.update()
    bundle = room._repr_mimebundle_()
    assert bundle[WIDGET_MIME]["model_id"] == room.panel.widget.model_id
    assert "<svg" in bundle["text/html"] and "gpu-worker · GPU 0" in bundle["text/html"] and "script" not in bundle["text/html"]
    assert bundle["text/plain"] == "Control room. 5.9 answers per second, 380 tokens per second; nothing waits and nothing fails."
    assert "88 %" in room.panel.gpus.value and "2.0 of 4 GiB" in room.panel.gpus.value


def test_there_is_one_room_and_closing_ends_its_threads_and_widgets(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.course.control_room.room.possible", lambda lab: FAULTS)
    before = set(threading.enumerate())
    first = ControlRoom.open(lab)
    model = first.panel.widget.model_id
    assert model in ipywidgets.widgets.widget._instances
    second = ControlRoom.open(lab)
    assert repr(first) == "<control room: closed>" and model not in ipywidgets.widgets.widget._instances
    shown = second.panel.chart.value
    eventually(lambda: second.panel.chart.value, 10, holds=lambda value: value != shown, every=0.05)
    second.close()
    second.close()
    assert set(threading.enumerate()) <= before


def test_what_breaks_an_update_is_told_on_the_panel(room: ControlRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room._monitor, "read", lambda at: 1 / 0)
    room._run()
    assert "the room stopped: ZeroDivisionError" in room.panel.status.value
