"""One simulated GPU: work in, utilisation, memory, power, temperature and clocks out, and the pace that heat allows."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs.pods.gpu_simulator import physics
from labs.pods.gpu_simulator.errors import ErrorCounts
from labs.pods.gpu_simulator.faults import Fault, Programs
from labs.pods.gpu_simulator.part import STEP, Part, samples, whole
from labs.pods.gpu_simulator.physics import Activity, ClockEvent
from labs.pods.gpu_simulator.profile import Profile
from labs.wire.gpu_work import GpuState, Work, WorkAnswer

SPREAD = 0.03
"""Relative spread of the thermal resistance between GPUs of one kind, from the seed."""
HUNG = Activity(busy=1.0)
"""What the sensors see while a kernel spins and never ends: always busy, no memory traffic, no arithmetic."""
LEAK_SECONDS = 60.0
"""How long a leak takes to fill an empty GPU."""

XID_WINDOW = 300.0
"""Seconds; dcgm-exporter's default."""


@dataclass(frozen=True)
class Reading:
    """What a GPU shows: averages over the last second for activity and power, current values for everything else."""

    activity: Activity
    memory_used_bytes: int
    power_w: float
    power_limit_w: float
    energy_j: float
    temperature_c: float
    memory_temperature_c: float | None
    sm_clock_mhz: int
    events: ClockEvent
    thermal_violation_s: float
    power_violation_s: float


class Gpu:
    """GPU ``index`` of a node. Time passes only through ``step``: equal calls give equal states.

    ``parts`` are its MIG instances; without any the GPU is one part. ``step`` is the length of a time step in seconds.
    """

    def __init__(self, profile: Profile, index: int, uuid: str, parts: Sequence[Part] = (), step: float = STEP) -> None:
        self.profile = profile
        self.index = index
        self.uuid = uuid
        self.parts = list(parts) or [Part(uuid, profile, step=step)]
        self.faults: dict[str, Fault] = {}
        self.xid = 0
        self._xid_log: list[tuple[float, int]] = []
        self.errors = ErrorCounts()
        self.time = 0.0
        self.power_w = profile.idle_w
        self.energy_j = 0.0
        self.ratio = 1.0
        self.events = ClockEvent.GPU_IDLE
        self._resistance = profile.thermal_resistance_k_per_w * (1 + random.Random(uuid).uniform(-SPREAD, SPREAD))
        self.temperature_c = self.equilibrium_c(profile.idle_w)
        self._powers: deque[float] = deque([profile.idle_w], maxlen=samples(step))
        self._violation = {ClockEvent.SW_THERMAL: 0.0, ClockEvent.SW_POWER_CAP: 0.0, ClockEvent.HW_POWER_BRAKE: 0.0}

    def has(self, effect: Callable[[Fault], object]) -> bool:
        """Whether a fault in force has this effect."""
        # Nearly always no fault is in force, and a scrape asks for each of thousands of GPUs.
        return bool(self.faults) and any(effect(fault) for fault in self.faults.values())

    @property
    def lost(self) -> bool:
        """Whether the GPU has fallen off the bus."""
        return self.has(lambda fault: fault.off_the_bus)

    @property
    def blind(self) -> bool:
        """Whether its sensors cannot be read."""
        return self.has(lambda fault: fault.blind)

    @property
    def state(self) -> GpuState:
        """The GPU's state as a new program finds it."""
        for programs, state in (
            (Programs.REFUSED, GpuState.LOST),
            (Programs.NEW_REFUSED, GpuState.FAILED),
            (Programs.HUNG, GpuState.HUNG),
        ):
            if self._error(programs) is not None:
                return state
        return GpuState.OK

    def _error(self, programs: Programs) -> str | None:
        return next((fault.error for fault in self.faults.values() if fault.programs is programs), None)

    @property
    def pods(self) -> list[str]:
        """Pods that use the GPU now."""
        return sorted({pod for part in self.parts for pod in part.pods})

    @property
    def inlet_c(self) -> float:
        return physics.exhaust_inlet_c(self.profile) if self.has(lambda fault: fault.cooling_lost) else physics.INLET_C

    @property
    def power_limit_w(self) -> float:
        """The limit in force."""
        return self.profile.power_min_limit_w if self.has(lambda fault: fault.power_capped) else self.profile.power_limit_w

    def equilibrium_c(self, watts: float) -> float:
        """Where this GPU's temperature settles at constant power under its present cooling."""
        return physics.equilibrium_c(self.inlet_c, self._resistance, watts)

    def inject(self, fault: Fault) -> None:
        """Begin ``fault``; no effect while it is already in force."""
        if fault.name in self.faults:
            return
        self.faults[fault.name] = fault
        self.errors = self.errors.plus(fault.errors)
        if fault.xid:
            self.xid = fault.xid
            self._xid_log.append((self.time, fault.xid))
        if fault.programs in (Programs.KILLED, Programs.REFUSED):
            for part in self.parts:
                part.kill(fault.error)

    def heal(self, fault: Fault) -> None:
        """End ``fault``: the cause was removed, the GPU reset or, where that cannot help, replaced."""
        if not self.faults.pop(fault.name, None):
            return
        if fault.xid == self.xid:
            self.xid = 0
        if fault.errors:
            self.errors = self.errors.after_reset()
        if fault.leaks:
            for part in self.parts:
                part.leak(-1)

    def recent_xids(self) -> Counter[int]:
        """How often each XID came in the last ``XID_WINDOW`` seconds."""
        self._xid_log = [(time, xid) for time, xid in self._xid_log if self.time - time <= XID_WINDOW]
        return Counter(xid for _, xid in self._xid_log)

    def report(self, work: Work, part: Part | None = None) -> WorkAnswer:
        """Take what a program did on ``part`` (else on the whole GPU) and return how it may continue."""
        part = part or self.parts[0]
        if (error := self._error(Programs.REFUSED)) is not None:
            return part.refuse(GpuState.LOST, error)
        error = self._error(Programs.NEW_REFUSED)
        if error is not None and (work.pod, work.context) not in part.clients:
            return part.refuse(GpuState.FAILED, error)
        return part.report(work, self.time, self.pace)

    @property
    def pace(self) -> float:
        """The share of full speed the clocks allow now, 0 to 1. Work may run at this pace even when the GPU idles."""
        return self.ratio if self._error(Programs.REFUSED) is None and self._error(Programs.HUNG) is None else 0.0

    @property
    def memory_used_bytes(self) -> int:
        return sum(part.memory_used_bytes for part in self.parts)

    def step(self, seconds: float = STEP) -> None:
        """Let time pass: do pending work, draw power, warm up or cool down."""
        self.time += seconds
        for part in self.parts:
            part.forget(self.time)
            if self.has(lambda fault: fault.leaks):
                part.leak(int(part.usable_bytes * seconds / LEAK_SECONDS))
        limit, events = self._hardware_limit()
        self.ratio = self._capped(self._at_step(limit), seconds)
        if self.ratio < self._at_step(limit):
            events |= ClockEvent.SW_POWER_CAP
        self.power_w = self._work(seconds)
        self.temperature_c = physics.warm(self.temperature_c, self.equilibrium_c(self.power_w), self.profile, seconds)
        self._powers.append(self.power_w)
        # A GPU keeps its clocks between two requests: it idles only when a whole sample period had no work.
        worked = any(part.worked for part in self.parts)
        self.events = events if worked else events | ClockEvent.GPU_IDLE
        self._count(seconds)

    def _hardware_limit(self) -> tuple[float, ClockEvent]:
        """The clock ratio that heat and the power brake allow, and why."""
        limit, events = physics.thermal_limit(self.profile, self.temperature_c)
        if self.has(lambda fault: fault.power_brake):
            brake = ClockEvent.HW_SLOWDOWN | ClockEvent.HW_POWER_BRAKE
            limit, events = min(limit, physics.THROTTLED_RATIO), events | brake
        return limit, events

    def _capped(self, ratio: float, seconds: float) -> float:
        """The highest clock ratio, at most ``ratio``, at which the pending work stays inside the power limit."""
        while True:
            wanted = whole(self.parts, [part.activity(ratio, seconds) for part in self.parts])
            cap = self._at_step(physics.power_cap_ratio(self.profile, wanted, self.power_limit_w))
            if cap >= ratio:
                return ratio
            ratio = cap  # at lower clocks the same work keeps the GPU busy for longer: check again

    def _work(self, seconds: float) -> float:
        """Do what fits into ``seconds``; returns the watts drawn."""
        if self.lost:
            whole(self.parts, [part.show(Activity()) for part in self.parts])
            return 0.0
        if self._error(Programs.HUNG) is not None:
            activity = whole(self.parts, [part.show(HUNG) for part in self.parts])
            return physics.spinning_w(self.profile, activity.busy)
        activity = whole(self.parts, [part.execute(self.ratio, seconds) for part in self.parts])
        return physics.power_w(self.profile, activity, self.ratio)

    def _count(self, seconds: float) -> None:
        self.energy_j += self.power_w * seconds
        for event in self._violation:
            if event in self.events:
                self._violation[event] += seconds

    def _at_step(self, ratio: float) -> float:
        return physics.clock_mhz(self.profile, ratio) / self.profile.sm_clock_max_mhz

    def read(self) -> Reading:
        """The GPU's current reading."""
        mean = whole(self.parts, [part.mean for part in self.parts])
        idle = ClockEvent.GPU_IDLE in self.events
        top = physics.clock_mhz(self.profile, self.ratio)
        return Reading(
            activity=mean,
            memory_used_bytes=self.memory_used_bytes,
            power_w=sum(self._powers) / len(self._powers),
            power_limit_w=self.power_limit_w,
            energy_j=self.energy_j,
            temperature_c=self.temperature_c,
            memory_temperature_c=self.temperature_c + 3 + 10 * mean.dram if self.profile.memory_sensor else None,
            sm_clock_mhz=min(self.profile.sm_clock_idle_mhz, top) if idle else top,
            events=self.events,
            thermal_violation_s=self._violation[ClockEvent.SW_THERMAL],
            power_violation_s=self._violation[ClockEvent.SW_POWER_CAP] + self._violation[ClockEvent.HW_POWER_BRAKE],
        )
