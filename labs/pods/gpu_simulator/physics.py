"""Power, heat and clocks of a GPU: pure functions over a profile. Equations and sources: docs/gpu-model.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag

from labs.pods.gpu_simulator.profile import Profile

INLET_C = 25.0
"""Temperature of the air that cools the GPU."""
THERMAL_SPEED_UP = 10
"""Time constants are this many times faster than a real GPU's: a workshop cannot wait minutes for a GPU to warm up."""
THROTTLED_RATIO = 0.4
"""Share of the top clock that is left under hardware slowdown, which cuts clocks "by a factor of 2 or more" (NVML)."""
LOST_COOLING_MARGIN_C = 6.0
"""How far above its slowdown temperature an idle GPU settles when it breathes its own exhaust."""
BUSY_WEIGHT, DRAM_WEIGHT, TENSOR_WEIGHT = 0.3, 0.5, 1.3
"""Shares of the power above idle at full clocks: a busy GPU, full memory traffic, full tensor cores. Their sum may pass 1: then
the power limit binds."""

SPINNING_LOAD = 0.1
"""Share of the room between idle and the limit that a kernel which only waits draws: 135 W on an H100 (vLLM issue 40926)."""


class ClockEvent(IntFlag):
    """Why clocks are below the top, as DCGM and NVML number it."""

    GPU_IDLE = 0x1
    SW_POWER_CAP = 0x4
    HW_SLOWDOWN = 0x8
    SW_THERMAL = 0x20
    HW_THERMAL = 0x40
    HW_POWER_BRAKE = 0x80


@dataclass(frozen=True)
class Activity:
    """How busy the parts of a GPU are, each 0 to 1: share of time a kernel ran, of memory bandwidth, of tensor-core cycles."""

    busy: float = 0.0
    dram: float = 0.0
    tensor: float = 0.0

    @property
    def load(self) -> float:
        """Power above idle at full clocks, as a share of the room between idle and the limit."""
        return BUSY_WEIGHT * self.busy + DRAM_WEIGHT * self.dram + TENSOR_WEIGHT * self.tensor


def power_w(profile: Profile, activity: Activity, ratio: float) -> float:
    """Watts drawn at ``ratio`` of the top clock. Dynamic power goes with frequency times voltage squared; in the range that GPUs
    use voltage changes half as much as frequency does, so the square of the ratio fits."""
    return profile.idle_w + (profile.power_limit_w - profile.idle_w) * activity.load * ratio**2


def spinning_w(profile: Profile, busy: float) -> float:
    """Watts of a kernel that spins without memory traffic or arithmetic, on ``busy`` of the GPU."""
    return profile.idle_w + (profile.power_limit_w - profile.idle_w) * SPINNING_LOAD * busy


def power_cap_ratio(profile: Profile, activity: Activity, limit_w: float) -> float:
    """The highest clock ratio (at most 1) at which ``activity`` stays inside ``limit_w``."""
    room = (limit_w - profile.idle_w) / (profile.power_limit_w - profile.idle_w)
    return 1.0 if activity.load <= room else math.sqrt(room / activity.load)


def thermal_limit(profile: Profile, temperature_c: float) -> tuple[float, ClockEvent]:
    """The clock ratio heat allows, and why: full up to the highest operating temperature, then falling in a line to the floor at
    the slowdown temperature, where the hardware takes over from the driver."""
    if temperature_c < profile.max_operating_c:
        return 1.0, ClockEvent(0)
    if temperature_c >= profile.slowdown_c:
        return THROTTLED_RATIO, ClockEvent.SW_THERMAL | ClockEvent.HW_SLOWDOWN | ClockEvent.HW_THERMAL
    way = (temperature_c - profile.max_operating_c) / (profile.slowdown_c - profile.max_operating_c)
    return 1 - way * (1 - THROTTLED_RATIO), ClockEvent.SW_THERMAL


def clock_mhz(profile: Profile, ratio: float) -> int:
    """The clock step at or below ``ratio`` of the top clock."""
    steps = math.floor(profile.sm_clock_max_mhz * ratio / profile.clock_step_mhz + 1e-9)
    return steps * profile.clock_step_mhz


def equilibrium_c(inlet_c: float, resistance_k_per_w: float, watts: float) -> float:
    """Where the temperature settles at a constant ``watts``."""
    return inlet_c + watts * resistance_k_per_w


def warm(temperature_c: float, target_c: float, profile: Profile, seconds: float) -> float:
    """The temperature ``seconds`` later on its way to ``target_c``: the exact solution of Newton's law for constant power."""
    tau = profile.thermal_time_constant_s / THERMAL_SPEED_UP
    return target_c + (temperature_c - target_c) * math.exp(-seconds / tau)


def exhaust_inlet_c(profile: Profile) -> float:
    """The inlet temperature of a GPU whose cooling is lost: hot enough that even idling leads past the slowdown temperature."""
    return profile.slowdown_c + LOST_COOLING_MARGIN_C - profile.idle_w * profile.thermal_resistance_k_per_w
