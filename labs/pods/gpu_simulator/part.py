"""What programs get of a GPU: all of it, or one MIG instance. It tracks their memory and their pending work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from labs.pods.gpu_simulator.physics import Activity
from labs.pods.gpu_simulator.profile import Profile
from labs.pods.gpu_simulator.work import Demand, demand_of, token_rate
from labs.wire.gpu_work import GpuState, Work, WorkAnswer

STEP = 0.1
"""Seconds of one time step."""
SAMPLE_PERIOD = 1.0
"""Seconds that utilisation is averaged over, the longest sample period NVML names."""
REPORT_TIMEOUT = 2.0
"""Seconds after which a client that stops reporting counts as gone."""
MAX_BACKLOG = 0.5
"""Seconds of work that may wait for the GPU. A report that claims more than the GPU can do is truncated to it."""
CONTEXT_BYTES = 500_000_000
"""Memory a CUDA context takes in each process that uses the GPU."""
SMOOTHING = 0.3
"""Weight of the newest report in a client's share of the time."""

Key = tuple[str, str]
"""Pod and context of a client."""


@dataclass
class GpuProcess:
    """A process on the GPU: what it holds, when it reported last, its share of the time, and the error that killed it, if any."""

    pod: str
    pid: int = 0
    memory_bytes: int = 0
    seen: float = 0.0
    busy: float = 0.0
    tokens_per_second: float = 0.0
    loading_bytes_per_second: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Instance:
    """A MIG instance: its profile's name, its id on the GPU, and its shares of the GPU's compute and memory, 0 to 1."""

    profile: str
    id: int
    compute: float
    memory: float


def samples(step: float) -> int:
    """Steps of ``step`` seconds in a sample period."""
    return max(1, round(SAMPLE_PERIOD / step))


class Part:
    """``profile`` has the memory, bandwidth and arithmetic of this part alone; ``instance`` is None for a whole GPU. ``step`` is
    the length of a time step in seconds."""

    def __init__(self, uuid: str, profile: Profile, instance: Instance | None = None, step: float = STEP) -> None:
        self.uuid = uuid
        self.profile = profile
        self.instance = instance
        self.clients: dict[Key, GpuProcess] = {}
        self.leaked_bytes = 0
        self._pending = Demand()
        self._backlog = max(MAX_BACKLOG, step)
        self._silence = max(REPORT_TIMEOUT, 2 * step)
        self._samples: deque[Activity] = deque([Activity()], maxlen=samples(step))

    @property
    def usable_bytes(self) -> int:
        return self.profile.memory_bytes - self.profile.reserved_bytes

    @property
    def memory_used_bytes(self) -> int:
        """Memory of all processes and their contexts; never more than ``usable_bytes``, since more is refused."""
        return sum(client.memory_bytes for client in self.clients.values()) + self.leaked_bytes

    @property
    def memory_free_bytes(self) -> int:
        return self.usable_bytes - self.memory_used_bytes

    @property
    def tokens_per_second(self) -> float:
        """Tokens read and written, of all processes."""
        return sum(client.tokens_per_second for client in self.clients.values())

    @property
    def loading_bytes_per_second(self) -> float:
        """Traffic over the bus into the GPU's memory while programs load their weights."""
        return sum(client.loading_bytes_per_second for client in self.clients.values())

    @property
    def pods(self) -> list[str]:
        return sorted({client.pod for client in self.clients.values() if not client.error})

    @property
    def processes(self) -> list[GpuProcess]:
        """Those that hold memory."""
        return [client for client in self.clients.values() if client.memory_bytes]

    def report(self, work: Work, now: float, ratio: float) -> WorkAnswer:
        """Take the work of one process while the GPU runs at ``ratio`` of its clocks; 0 is a GPU that hangs."""
        client = self.clients.setdefault((work.pod, work.context), GpuProcess(work.pod))
        client.seen, client.pid = now, work.pid
        if client.error:
            return self.refuse(GpuState.FAILED, client.error)
        wanted = work.resident_bytes + CONTEXT_BYTES
        if wanted - client.memory_bytes > self.memory_free_bytes:
            return self.refuse(GpuState.FAILED, "CUDA error: out of memory")
        seconds = work.seconds or STEP
        client.loading_bytes_per_second = max(0, wanted - client.memory_bytes) / seconds if not work.decode_tokens else 0.0
        client.tokens_per_second = (work.prefill_tokens + work.decode_tokens) / seconds
        client.memory_bytes = wanted
        if not ratio:
            return self.refuse(GpuState.HUNG, "")
        self._add(client, work, ratio)
        pace = ratio * self._share(client)
        rate = token_rate(self.profile, work.weights_bytes) * pace
        return WorkAnswer(GpuState.OK, pace, rate, rate, self.profile.memory_bytes, self.memory_free_bytes)

    def refuse(self, state: GpuState, error: str) -> WorkAnswer:
        """The answer of a GPU that does no work for this client."""
        return WorkAnswer(state, 0.0, 0.0, 0.0, self.profile.memory_bytes, self.memory_free_bytes, error)

    def _add(self, client: GpuProcess, work: Work, ratio: float) -> None:
        demand = demand_of(self.profile, work)
        busy = min(1.0, demand.seconds / ratio / (work.seconds or STEP))
        client.busy += (busy - client.busy) * SMOOTHING
        self._pending.add(demand)
        if self._pending.seconds > self._backlog:
            self._pending.take(1 - self._backlog / self._pending.seconds)

    def _share(self, client: GpuProcess) -> float:
        """The share of the time this client can get: what the others leave; at least an equal slice, as time-slicing gives."""
        others = [other.busy for other in self.clients.values() if other is not client and other.busy > 0.01 and not other.error]
        return max(1 / (1 + len(others)), 1 - sum(others))

    def kill(self, error: str) -> None:
        """End every open context."""
        for client in self.clients.values():
            client.memory_bytes, client.busy, client.tokens_per_second, client.error = 0, 0.0, 0.0, error
        self._pending = Demand()

    def forget(self, now: float) -> None:
        """Free what silent clients held."""
        gone = [key for key, client in self.clients.items() if now - client.seen > self._silence]
        for key in gone:
            del self.clients[key]

    def leak(self, size: int) -> None:
        """A process outside the simulation takes up to ``size`` more bytes; a negative ``size`` frees all it has."""
        self.leaked_bytes = 0 if size < 0 else self.leaked_bytes + min(size, self.memory_free_bytes)

    def activity(self, ratio: float, seconds: float, part: Demand | None = None) -> Activity:
        """How busy this part is while it does ``part`` (else as much of the pending work as fits)."""
        if part is None:
            share = self._fits(ratio, seconds)
            part = Demand(self._pending.seconds * share, self._pending.flops * share, self._pending.bytes * share)
        return Activity(
            busy=min(1.0, part.seconds / (seconds * ratio)),
            dram=min(1.0, part.bytes / (self.profile.bandwidth_bytes_per_second * seconds)),
            tensor=min(1.0, part.flops / (self.profile.tensor_flops * seconds * ratio)),
        )

    def _fits(self, ratio: float, seconds: float) -> float:
        """The share of the pending work that fits into ``seconds`` at ``ratio`` of the clocks."""
        return min(1.0, seconds * ratio / self._pending.seconds) if self._pending.seconds > 0 else 0.0

    def execute(self, ratio: float, seconds: float) -> Activity:
        """Do as much of the pending work as fits."""
        return self.show(self.activity(ratio, seconds, self._pending.take(self._fits(ratio, seconds))))

    def show(self, activity: Activity) -> Activity:
        """Let the sensors see ``activity`` for this step."""
        self._samples.append(activity)
        return activity

    @property
    def worked(self) -> bool:
        """Whether there was work in the last sample period."""
        return any(sample.busy for sample in self._samples)

    @property
    def mean(self) -> Activity:
        """The activity of the last second."""
        count = len(self._samples)
        busy = dram = tensor = 0.0
        for sample in self._samples:
            busy += sample.busy
            dram += sample.dram
            tensor += sample.tensor
        return Activity(busy / count, dram / count, tensor / count)


def whole(parts: Iterable[Part], activities: Iterable[Activity]) -> Activity:
    """The GPU's activity from that of its parts, each weighted by its share of the GPU."""
    busy = dram = tensor = 0.0
    for part, activity in zip(parts, activities, strict=True):
        compute, memory = (part.instance.compute, part.instance.memory) if part.instance else (1.0, 1.0)
        busy += compute * activity.busy
        dram += memory * activity.dram
        tensor += compute * activity.tensor
    return Activity(min(1.0, busy), min(1.0, dram), min(1.0, tensor))
