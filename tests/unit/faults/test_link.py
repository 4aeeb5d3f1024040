"""The network between the clusters: its words, the weather file, and tc's command lines where nodes are containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.clusters.base import Capabilities
from labs.embedded import weather
from labs.embedded.weather import CLEAR, Weather
from labs.errors import CommandFailed, LabError, MachineError, UsageError
from labs.faults.catalogue import find
from labs.faults.injectors import injector, link
from labs.faults.injectors.base import Scene


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weather, "path", lambda: tmp_path / "weather.json")
    return tmp_path / "weather.json"


def test_weather_comes_and_goes_with_the_fault(scene: Scene, file: Path) -> None:
    maker = injector(find("link-latency"))
    where = maker.resolve(scene, {"latency": "250"})
    maker.inject(scene, where)
    assert weather.read("gpu") == Weather(latency_ms=250) and weather.read("app") == CLEAR
    maker.heal(scene, where, {})
    assert weather.read("gpu") == CLEAR and not file.exists()
    maker.heal(scene, where, {})


@pytest.mark.parametrize(
    ("name", "where"), [("link-latency", {"latency": "far"}), ("link-latency", {"latency": -1}), ("link-loss", {"loss": 100})]
)
def test_what_no_network_does_is_refused(scene: Scene, file: Path, name: str, where: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        injector(find(name)).resolve(scene, where)
    assert not file.exists()


def test_all_four_are_one_thing_and_cannot_be_combined() -> None:
    names = ("link-latency", "link-loss", "link-partition", "link-asymmetric")
    assert len({injector(find(name)).touches({}) for name in names}) == 1


def test_netem_touches_only_packets_to_the_other_cluster() -> None:
    queue, netem, *filters = link.traffic_control(
        Weather(latency_ms=400, loss_percent=5), "requests", ["172.18.0.5", "172.18.0.6"]
    )
    assert queue == ["tc", "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "prio"]
    assert netem[-5:] == ["netem", "delay", "200ms", "loss", "5%"]
    assert [words[words.index("dst") + 1] for words in filters] == ["172.18.0.5/32", "172.18.0.6/32"]


def test_an_asymmetric_fault_is_on_one_side_only() -> None:
    lost = Weather(lost=("answers",))
    assert link.traffic_control(lost, "requests", ["172.18.0.5"]) == []
    assert link.traffic_control(lost, "answers", ["172.18.0.5"])[1][-2:] == ["loss", "100%"]


def test_on_containers_every_node_of_both_sides_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = scene.backend
    backend.can = Capabilities(True, True, True, True, False)
    nodes = {"app": {"app-worker": "172.18.0.2"}, "gpu": {"gpu-worker": "172.18.0.3"}}
    ran: list[list[str]] = []
    monkeypatch.setattr(link.Link, "_nodes", lambda self, scene, cluster: nodes[cluster])
    monkeypatch.setattr(link.shell, "run", lambda command: ran.append(list(command)))
    maker = injector(find("link-partition"))
    maker.inject(scene, {})
    assert {command[2] for command in ran} == {"app-worker", "gpu-worker"}
    ran.clear()
    maker.heal(scene, {}, {})
    assert [command[2] for command in ran] == ["app-worker", "gpu-worker"] and "tc qdisc del" in ran[0][-1]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("Error: Specified qdisc kind is unknown.", MachineError, "sudo modprobe -a sch_prio sch_netem cls_u32"),
        ("Error response from daemon: container app-worker is not running", CommandFailed, ""),
    ],
)
def test_a_kernel_that_cannot_delay_packets_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[LabError], words: str
) -> None:
    backend: Any = scene.backend
    backend.can = Capabilities(True, True, True, True, False)

    def run(command: list[str]) -> None:
        if "netem" in command:
            raise CommandFailed(command, 2, said)

    monkeypatch.setattr(link.Link, "_nodes", lambda self, scene, cluster: {f"{cluster}-worker": "172.18.0.2"})
    monkeypatch.setattr(link.shell, "run", run)
    with pytest.raises(kind) as caught:
        injector(find("link-latency")).inject(scene, {})
    assert words in caught.value.fix
