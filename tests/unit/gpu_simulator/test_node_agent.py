"""The simulator's plugins against the node agent's own device manager: many GPUs, several resources, a restart of the agent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from labs.embedded.node.devices import Devices, DeviceService
from labs.embedded.node.model import PodRecord
from labs.pods.gpu_simulator.attribution import PodResources
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.offers import offers
from labs.pods.gpu_simulator.plugin import DevicePlugin, Registrar
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.settings import Settings, parse
from tests.support.waiting import until

GPUS = 64
A100 = profile_of("NVIDIA-A100-SXM4-80GB")
MIXED = parse("{flags: {migStrategy: mixed}, mig: [{devices: [0], mig-devices: {1g.10gb: 2}}]}")


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own folders have names too long for a socket.
    with tempfile.TemporaryDirectory(prefix="gs") as name:
        yield Path(name)


@asynccontextmanager
async def simulated(fleet: Fleet, settings: Settings, folder: Path) -> AsyncIterator[None]:
    """The plugins of all resources, kept registered."""
    runs = [asyncio.create_task(Registrar(DevicePlugin(fleet, offer), folder).run()) for offer in offers(fleet, settings)]
    yield
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)


def service(devices: Devices, pods: list[PodRecord], folder: Path) -> DeviceService:
    return DeviceService(devices, lambda: pods, plugins=folder, pod_resources=folder / "pr")


def pod(number: int, folder: Path) -> PodRecord:
    metadata = {"uid": f"uid-{number}", "name": f"pod-{number}", "namespace": "ml"}
    return PodRecord({"metadata": metadata, "spec": {"containers": [{"name": "main"}]}}, folder)


async def test_64_gpus_on_one_node_go_to_64_pods_in_order(folder: Path) -> None:
    fleet = Fleet.of("n", A100, GPUS, lambda: 0.0)
    devices, pods = Devices(folder / "checkpoint.json"), [pod(number, folder) for number in range(GPUS)]
    async with service(devices, pods, folder), simulated(fleet, Settings(), folder):
        await until(lambda: devices.allocatable() == {"nvidia.com/gpu": GPUS})
        for one in pods:
            await devices.allocate(one, "main", "nvidia.com/gpu", 1)
        holders = PodResources(folder / "pr" / "kubelet.sock")
        held = {uuid: [holder.pod for holder in found] for uuid, found in (await holders.current()).items()}
        await holders.close()
        assert held == {gpu.uuid: [f"pod-{gpu.index}"] for gpu in fleet.gpus}
        fleet.inject(fleet.gpus[63], FAULTS["xid79"])
        await until(lambda: devices.allocatable() == {"nvidia.com/gpu": GPUS - 1})
        assert devices.capacity() == {"nvidia.com/gpu": GPUS}


async def test_every_resource_comes_back_after_a_restart_of_the_agent(folder: Path) -> None:
    fleet = Fleet.of("n", A100, 2, lambda: 0.0, MIXED.layout(2))
    expected = {"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": 2}
    async with simulated(fleet, MIXED, folder):
        for _ in range(2):
            devices = Devices(folder / "checkpoint.json")
            async with service(devices, [], folder):
                await until(lambda devices=devices: devices.allocatable() == expected)  # type: ignore[misc]


async def test_a_crashed_plugin_offers_nothing_until_it_is_back(folder: Path) -> None:
    fleet = Fleet.of("n", A100, 2, lambda: 0.0)
    devices = Devices(folder / "checkpoint.json")
    async with service(devices, [], folder), simulated(fleet, Settings(), folder):
        await until(lambda: devices.allocatable() == {"nvidia.com/gpu": 2})
        fleet.inject(fleet.gpus[0], FAULTS["plugin-crash"])
        await until(lambda: devices.allocatable() == {"nvidia.com/gpu": 0})
        assert devices.capacity() == {"nvidia.com/gpu": 2}
        fleet.heal(fleet.gpus[0], FAULTS["plugin-crash"])
        await until(lambda: devices.allocatable() == {"nvidia.com/gpu": 2})
