"""The device model: what physics demands of it, whatever work comes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.pods.gpu_simulator import physics
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.part import CONTEXT_BYTES, MAX_BACKLOG, REPORT_TIMEOUT, STEP
from labs.pods.gpu_simulator.physics import ClockEvent
from labs.pods.gpu_simulator.profile import Profile, profiles
from labs.pods.gpu_simulator.work import demand_of
from labs.wire.gpu_work import GpuState, Work

WEIGHTS = 16_000_000_000
DECODING = Work("model", decode_tokens=20, weights_bytes=WEIGHTS, kv_cache_bytes=10**9, running=4, seconds=STEP)

some_profile = st.sampled_from(list(profiles().values()))
some_work = st.builds(
    Work,
    pod=st.sampled_from(["a", "b"]),
    prefill_tokens=st.integers(0, 5000),
    decode_tokens=st.integers(0, 1000),
    weights_bytes=st.integers(0, 200 * 10**9),
    kv_cache_bytes=st.integers(0, 200 * 10**9),
    running=st.integers(0, 256),
    seconds=st.just(STEP),
)
some_works = st.lists(some_work, max_size=40)


def GPU(profile: Profile) -> Gpu:
    return Gpu(profile, 0, "GPU-test")


def run(gpu: Gpu, work: Work, seconds: float) -> None:
    for _ in range(round(seconds / STEP)):
        gpu.report(work)
        gpu.step()


def idle(gpu: Gpu, seconds: float) -> None:
    for _ in range(round(seconds / STEP)):
        gpu.step()


@given(some_profile, some_works)
def test_energy_is_the_integral_of_power(profile: Profile, works: list[Work]) -> None:
    gpu, joules = GPU(profile), 0.0
    for work in works:
        gpu.report(work)
        gpu.step()
        joules += gpu.power_w * STEP
    assert math.isclose(gpu.energy_j, joules, abs_tol=1e-9)


@given(some_profile, some_works)
def test_memory_never_exceeds_the_gpu(profile: Profile, works: list[Work]) -> None:
    gpu = GPU(profile)
    for work in works:
        gpu.report(work)
        gpu.step()
        assert 0 <= gpu.memory_used_bytes <= profile.memory_bytes - profile.reserved_bytes


@given(some_profile, some_works, st.booleans())
def test_readings_stay_in_range(profile: Profile, works: list[Work], hot: bool) -> None:
    gpu = GPU(profile)
    if hot:
        gpu.inject(FAULTS["overheat"])
    for work in works:
        gpu.report(work)
        gpu.step()
        reading = gpu.read()
        assert all(0 <= part <= 1 for part in (reading.activity.busy, reading.activity.dram, reading.activity.tensor))
        assert 0 < gpu.pace <= 1
        assert profile.idle_w <= gpu.power_w <= profile.power_limit_w * 1.0001
        assert 0 < reading.sm_clock_mhz <= profile.sm_clock_max_mhz


@given(some_profile, some_works)
def test_equal_work_gives_equal_gpus(profile: Profile, works: list[Work]) -> None:
    one, other = GPU(profile), GPU(profile)
    for work in works:
        for gpu in (one, other):
            gpu.report(work)
            gpu.step()
    assert one.read() == other.read()


@settings(max_examples=20)
@given(some_profile, st.integers(1, 200), st.integers(0, 20))
def test_temperature_settles_where_power_and_cooling_say(profile: Profile, prefill: int, decode: int) -> None:
    gpu = GPU(profile)
    work = Work("model", prefill, decode, WEIGHTS // 4, 10**8, 4, STEP)
    run(gpu, work, 20 * profile.thermal_time_constant_s / physics.THERMAL_SPEED_UP)
    mean = gpu.read().power_w
    assert gpu.temperature_c == pytest.approx(gpu.equilibrium_c(mean), abs=0.5)


@settings(max_examples=50)
@given(some_profile, st.lists(some_work, max_size=10))
def test_work_is_conserved_up_to_the_backlog(profile: Profile, works: list[Work]) -> None:
    """All time that reports ask for is spent, unless a report claims more than the GPU can do: then no more than fits."""
    gpu, expected, asked, spent = GPU(profile), 0.0, 0.0, 0.0
    for work in works:
        demand = demand_of(profile, work).seconds
        asked += demand
        if gpu.report(work).state is GpuState.OK:
            expected += min(demand, MAX_BACKLOG)
        for _ in range(math.ceil(MAX_BACKLOG / STEP) + 6):  # room for the whole backlog, also at lowered clocks
            gpu.step()
            spent += gpu.parts[0]._samples[-1].busy * STEP * gpu.ratio
    assert spent == pytest.approx(expected, rel=0.02, abs=1e-6)
    assert spent <= asked + 1e-6


def test_work_moves_every_reading() -> None:
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    before = gpu.read()
    run(gpu, DECODING, 30)
    after = gpu.read()
    assert before.activity.busy == 0 and before.sm_clock_mhz == 210 and ClockEvent.GPU_IDLE in before.events
    assert after.activity.busy > 0.5
    assert after.power_w > before.power_w + 50
    assert after.temperature_c > before.temperature_c + 5
    assert after.memory_used_bytes == WEIGHTS + 10**9 + CONTEXT_BYTES
    assert after.sm_clock_mhz == 1410 and after.events == ClockEvent(0)


def test_a_silent_client_is_gone() -> None:
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    run(gpu, DECODING, 1)
    idle(gpu, REPORT_TIMEOUT + 2 * STEP)
    assert gpu.memory_used_bytes == 0
    assert gpu.read().activity.busy == 0


def test_prompts_at_full_speed_meet_the_power_limit() -> None:
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    run(gpu, Work("model", prefill_tokens=2000, weights_bytes=WEIGHTS, running=1, seconds=STEP), 20)
    reading = gpu.read()
    assert ClockEvent.SW_POWER_CAP in reading.events
    assert reading.power_violation_s > 10
    assert 0.9 < gpu.pace < 1


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda profile: profile.product)
def test_overheating_throttles_within_about_ten_seconds_even_when_idle(profile: Profile) -> None:
    gpu = GPU(profile)
    gpu.inject(FAULTS["overheat"])
    idle(gpu, 11)
    assert gpu.temperature_c >= profile.slowdown_c
    assert gpu.events & (ClockEvent.SW_THERMAL | ClockEvent.HW_THERMAL) == ClockEvent.SW_THERMAL | ClockEvent.HW_THERMAL
    assert gpu.pace == pytest.approx(0.4, abs=0.02)


def test_heat_slows_tokens_and_raises_utilisation() -> None:
    """At the same requests per second a slow GPU is busy for longer: utilisation rises while speed falls."""
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    light = Work("model", decode_tokens=2, weights_bytes=WEIGHTS, running=1, seconds=STEP)
    run(gpu, light, 5)
    cool, rate = gpu.read(), gpu.report(light).decode_tokens_per_second
    gpu.inject(FAULTS["overheat"])
    run(gpu, light, 20)
    hot = gpu.read()
    assert gpu.report(light).decode_tokens_per_second < 0.45 * rate
    assert hot.activity.busy > 2 * cool.activity.busy
    assert hot.sm_clock_mhz < 0.45 * cool.sm_clock_mhz
    assert hot.thermal_violation_s > 5


def test_a_gpu_that_is_cooled_again_recovers() -> None:
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    gpu.inject(FAULTS["overheat"])
    run(gpu, DECODING, 20)
    gpu.heal(FAULTS["overheat"])
    run(gpu, DECODING, 20)
    assert gpu.pace == 1
    assert gpu.temperature_c < 50


def test_a_lost_gpu_does_nothing_until_it_is_healed() -> None:
    gpu = GPU(profiles()["NVIDIA-A100-SXM4-80GB"])
    run(gpu, DECODING, 2)
    gpu.inject(FAULTS["xid79"])
    run(gpu, DECODING, 2)
    assert gpu.lost and gpu.pace == 0 and gpu.power_w == 0 and gpu.xid == 79 and gpu.memory_used_bytes == 0
    gpu.heal(FAULTS["xid79"])
    idle(gpu, REPORT_TIMEOUT + STEP)
    run(gpu, DECODING, 2)
    assert not gpu.lost and gpu.pace == 1 and gpu.xid == 0 and gpu.read().activity.busy > 0
