"""A program that is still compiling stands for an image that is still being pulled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labs.embedded.node import image_puller
from labs.embedded.node.context import PodContext
from labs.embedded.node.images import ImageTable
from labs.embedded.node.model import ContainerRecord

PROMETHEUS = "prom/prometheus:v3"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent looks for Prometheus; nothing is there yet."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin" / "prometheus"


def pull(container: ContainerRecord, program: Path) -> list[tuple[str, str]]:
    """Pull while the program appears a little later: the events (reason, message) meanwhile."""
    events: list[tuple[str, str]] = []

    def event(_container: ContainerRecord, _kind: str, reason: str, message: str) -> None:
        events.append((reason, message))

    context = cast(PodContext, SimpleNamespace(services=SimpleNamespace(images=ImageTable()), event=event, publish=lambda: None))

    async def both() -> Any:
        pulling = asyncio.create_task(image_puller.pull(context, container))
        await asyncio.sleep(0.05)
        assert not pulling.done()
        program.write_bytes(b"x" * 100)
        return await asyncio.wait_for(pulling, 10)

    image = asyncio.run(both())
    assert image.entrypoint == [str(program)]
    return events


def test_a_program_that_still_compiles_is_waited_for(program: Path, tmp_path: Path) -> None:
    container = ContainerRecord("main", "main", {"name": "main", "image": PROMETHEUS}, tmp_path)
    creating = dict(container.state)
    (pulling, pulled) = pull(container, program)
    assert pulling == ("Pulling", f'Pulling image "{PROMETHEUS}"')
    assert pulled[0] == "Pulled"
    assert pulled[1].startswith(f'Successfully pulled image "{PROMETHEUS}" in ')
    assert pulled[1].endswith("Image size: 100 bytes.")
    assert container.state == creating, "no ErrImagePull, no back-off: the pod is ContainerCreating"


def test_an_existing_program_is_used_at_once(program: Path, tmp_path: Path) -> None:
    program.touch()
    image = ImageTable().find(PROMETHEUS)
    assert image is not None
    assert image.is_present
    program.unlink()
    assert not image.is_present
