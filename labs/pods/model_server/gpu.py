"""The GPU under the model: the simulator behind a Unix socket, or none (a constant pace)."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import aiohttp

from labs.wire.gpu_work import GpuState, Work, WorkAnswer
from labs.wire.sockets import short

log = logging.getLogger(__name__)

REPORT_TIMEOUT = 1.0
"""Seconds to wait for the simulator. After that the last known speed applies: its pod may be restarting, but the GPU is not."""


class CudaError(Exception):
    """The GPU refuses to work."""


class GpuLost(CudaError):
    """The GPU no longer answers, as after XID 79, or was never there."""


class ContextLost(CudaError):
    """The GPU works, but no longer for this process: its CUDA context is dead."""


class OutOfMemory(CudaError):
    """The model does not fit into the GPU's memory."""


@dataclass(frozen=True)
class Speed:
    """What the GPU can do at its current clocks, for all sequences together.

    ``pace`` is 1 at full clocks, less when the GPU throttles, 0 (as both rates) while it hangs.
    """

    prefill_tokens_per_second: float = math.inf
    decode_tokens_per_second: float = math.inf
    pace: float = 1.0


class Accelerator(Protocol):
    """A GPU a model can run on."""

    uuid: str
    memory_total: int | None
    """Bytes; None if unknown."""

    async def report(self, work: Work) -> Speed:
        """Report work to the GPU and get its speed.

        Raises:
            GpuLost: the GPU is gone.
            ContextLost: the GPU refuses this process; a new one can work.
        """
        ...

    async def close(self) -> None: ...


class ConstantGpu:
    """No GPU: the speed never changes. For a plain run outside a cluster."""

    uuid = "none"
    memory_total: int | None = None

    def __init__(self, prefill_tokens_per_second: float) -> None:
        self._speed = Speed(prefill_tokens_per_second)

    async def report(self, work: Work) -> Speed:
        return self._speed

    async def close(self) -> None:
        pass


class SimulatedGpu:
    """One GPU of the GPU simulator, reached at ``socket`` (the device plugin's Allocate mounts it into the pod)."""

    def __init__(self, socket: str, uuid: str) -> None:
        self.uuid = uuid
        self.memory_total: int | None = None
        self._speed: Speed | None = None
        self._context = uuid4().hex
        timeout = aiohttp.ClientTimeout(total=REPORT_TIMEOUT)
        self._http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(short(Path(socket)))), timeout=timeout)

    async def report(self, work: Work) -> Speed:
        try:
            answer = await self._post(asdict(replace(work, context=self._context, pid=os.getpid())))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self._speed is None:
                raise GpuLost(f"the GPU simulator does not answer: {error}") from error
            log.warning("the GPU simulator does not answer (%s); keeping the last known speed", error)
            return self._speed
        self.memory_total = answer.memory_total_bytes
        self._speed = Speed(answer.prefill_tokens_per_second, answer.decode_tokens_per_second, answer.pace)
        return self._speed

    async def _post(self, work: dict[str, object]) -> WorkAnswer:
        async with self._http.post(f"http://gpu/v1/gpus/{self.uuid}/work", json=work) as response:
            if response.status == 404:
                raise GpuLost(f"no CUDA-capable device is detected: {self.uuid} is not on this node")
            response.raise_for_status()
            answer = WorkAnswer(**await response.json())
        if answer.state == GpuState.LOST:
            raise GpuLost(answer.error)
        if answer.state == GpuState.FAILED:
            raise ContextLost(answer.error)
        return answer

    async def close(self) -> None:
        await self._http.close()


def of_environment(prefill_tokens_per_second: float) -> Accelerator:
    """The GPU that Allocate gave this container, or a constant pace if it gave none.

    A container with several GPUs reports to the first.
    """
    socket = os.environ.get("GPU_SIMULATOR_SOCKET")
    uuids = os.environ.get("NVIDIA_VISIBLE_DEVICES", "").split(",")
    if not socket:
        return ConstantGpu(prefill_tokens_per_second)
    # A socket's path may have 107 bytes (unix(7)); where the mount is a symlink, the real one is the short one.
    return SimulatedGpu(os.path.realpath(socket), uuids[0])
