"""Which backend is taken, what is stored of it, and engines and tools that will not do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from labs import errors, record
from labs.clusters import backends
from labs.clusters.docker.backend import kind
from labs.paths import Paths
from labs.record import Record
from tests.unit.clusters.fake_machine import Machine, Quiet


@pytest.mark.parametrize(
    ("mode", "message", "fix"),
    [
        ({"absent": True}, "no Docker engine answers", "start Docker Desktop"),
        ({"denied": True}, "does not let this user connect", "usermod -aG docker"),
        ({"small": True}, r"expected 3.5 GiB of memory for the Docker engine; found 2.0 GiB", "Settings, Resources"),
    ],
)
def test_an_engine_that_will_not_do(machine: Machine, mode: dict[str, Any], message: str, fix: str) -> None:
    backend = kind()
    machine.write(mode=mode)
    with pytest.raises(errors.EngineUnusable, match=message) as caught:
        backend.up(Quiet())
    assert fix in caught.value.fix and "--backend embedded" in caught.value.fix
    assert machine.lines(backend.name) == []


def test_no_docker_command_at_all(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.EngineUnusable, match="expected the command docker"):
        kind().up(Quiet())


def test_a_kind_older_than_the_pin_is_refused(machine: Machine) -> None:
    machine.write(kind="0.20.0")
    with pytest.raises(errors.WrongVersion, match=r"expected kind 0\.33\.0 or newer; found 0\.20\.0") as caught:
        kind().up(Quiet())
    assert caught.value.fix == "lab tools kind"
    machine.write(kind="0.100.0")
    kind().require_usable()


def test_auto_says_which_and_why(machine: Machine) -> None:
    found, why = backends.choose()
    assert (found.name, why) == ("kind", "Docker is running and kind is installed")
    tools = Path(os.environ["PATH"].split(os.pathsep)[0])
    (tools / "kind").unlink()
    assert backends.choose()[0].name == "k3d"
    (tools / "k3d").unlink()
    assert [backends.choose()[0].name, "lab tools kind" in backends.choose()[1]] == ["embedded", True]
    machine.write(mode={"absent": True})
    assert backends.choose()[1] == "no Docker engine answers"


def test_the_choice_is_stored_and_another_is_refused(machine: Machine) -> None:
    record.write(Record("k3d", ("app", "gpu")))
    assert backends.choose()[0].name == "k3d" == backends.current().name
    with pytest.raises(errors.UsageError, match="uses the backend k3d, not kind"):
        backends.choose("kind")
    record.forget()
    assert not Paths.current().state.exists()
    assert backends.current().name == "embedded"
