"""Each fault of a GPU on each layer: Kubernetes (health), DCGM (the page), serving (the answer to a program)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.exporter import health, render
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.offers import offers
from labs.pods.gpu_simulator.part import STEP
from labs.pods.gpu_simulator.plugin import DevicePlugin
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.settings import Settings, ignored_xids
from labs.pods.gpu_simulator.state import StateFile
from labs.wire.deviceplugin import HEALTHY, UNHEALTHY
from labs.wire.gpu_work import Work, WorkAnswer

WEIGHTS = 26_000_000_000
BUSY = Work("model", 100, 20, WEIGHTS, 10**9, 4, STEP, "one")

LAYERS = {
    # fault: health, state for the context that was there, state for a new context, series of the page that change
    "overheat": (HEALTHY, "ok", "ok", {}),
    "power-cap": (HEALTHY, "ok", "ok", {}),
    "power-brake": (HEALTHY, "ok", "ok", {}),
    "xid13": (HEALTHY, "failed", "ok", {"DCGM_FI_DEV_XID_ERRORS": 13}),
    "xid31": (HEALTHY, "failed", "ok", {"DCGM_FI_DEV_XID_ERRORS": 31}),
    "xid43": (HEALTHY, "failed", "ok", {"DCGM_FI_DEV_XID_ERRORS": 43}),
    "xid48": (UNHEALTHY, "failed", "ok", {"DCGM_FI_DEV_XID_ERRORS": 48, "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 1}),
    "xid63": (UNHEALTHY, "ok", "ok", {"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": 1, "DCGM_FI_DEV_ROW_REMAP_PENDING": 1}),
    "xid64": (UNHEALTHY, "ok", "ok", {"DCGM_FI_DEV_ROW_REMAP_FAILURE": 1}),
    "xid74": (UNHEALTHY, "ok", "ok", {"DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL": 1}),
    "xid79": (UNHEALTHY, "lost", "lost", {"DCGM_FI_DEV_XID_ERRORS": 79}),
    "xid94": (UNHEALTHY, "failed", "ok", {"DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": 1}),
    "xid95": (UNHEALTHY, "lost", "lost", {"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 1}),
    "xid119": (UNHEALTHY, "lost", "lost", {"DCGM_FI_DEV_XID_ERRORS": 119}),
    "memory-leak": (HEALTHY, "ok", "failed", {"DCGM_FI_DEV_FB_FREE": 0}),
    "hang": (HEALTHY, "hung", "hung", {"DCGM_FI_DEV_GPU_UTIL": 100, "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0}),
    "driver-mismatch": (HEALTHY, "ok", "failed", {}),
    "plugin-crash": (HEALTHY, "ok", "ok", {}),
    "allocate-error": (HEALTHY, "ok", "ok", {}),
}


def work(fleet: Fleet, clock: SimpleNamespace, seconds: float, context: str = "one") -> WorkAnswer:
    """Let one program keep GPU 0 busy; the last answer."""
    for _ in range(round(seconds / STEP)):
        clock.now += STEP
        fleet.advance()
        answer = fleet.gpus[0].report(Work(**{**vars(BUSY), "context": context}))
    return answer


def page(fleet: Fleet) -> dict[str, float]:
    """The series of GPU 0 by name."""
    found = text_string_to_metric_families(render(fleet, {}))
    return {s.name.removesuffix("_total"): float(s.value) for family in found for s in family.samples if s.labels["gpu"] == "0"}


def health_of(fleet: Fleet, disabled: str = "") -> str:
    plugin = DevicePlugin(fleet, offers(fleet, Settings())[0], ignored_xids(disabled))
    return plugin.devices().devices[0].health


def test_every_fault_is_in_the_table() -> None:
    assert list(LAYERS) == list(FAULTS)


@pytest.mark.parametrize("name", LAYERS)
def test_a_fault_reaches_every_layer_and_heals(name: str, fleet: Fleet, clock: SimpleNamespace) -> None:
    kubernetes, there, new, series = LAYERS[name]
    work(fleet, clock, 2)
    fleet.inject(fleet.gpus[0], FAULTS[name])
    assert work(fleet, clock, 61).state == there
    assert health_of(fleet) == kubernetes
    shown = page(fleet)
    assert {metric: shown[metric] for metric in series} == series
    assert work(fleet, clock, STEP, "two").state == new
    fleet.heal(fleet.gpus[0], FAULTS[name])
    clock.now += 10
    fleet.advance()
    assert work(fleet, clock, 1, "three").state == "ok"
    assert health_of(fleet) == HEALTHY and page(fleet)["DCGM_FI_DEV_XID_ERRORS"] == 0
    assert fleet.gpus[0].faults == {}


@pytest.mark.parametrize("name", ["overheat", "power-cap", "power-brake"])
def test_lower_clocks_slow_the_program_and_say_why(name: str, fleet: Fleet, clock: SimpleNamespace) -> None:
    bit = {"overheat": 0x20, "power-cap": 0x4, "power-brake": 0x80}[name]
    full = work(fleet, clock, 5)
    fleet.inject(fleet.gpus[0], FAULTS[name])
    slow = work(fleet, clock, 15)
    assert slow.pace < 0.8 * full.pace and slow.decode_tokens_per_second < 0.8 * full.decode_tokens_per_second
    assert int(page(fleet)["DCGM_FI_DEV_CLOCKS_EVENT_REASONS"]) & bit
    counter = "DCGM_FI_DEV_THERMAL_VIOLATION" if name == "overheat" else "DCGM_FI_DEV_POWER_VIOLATION"
    assert page(fleet)[counter] > 5e9


def test_a_hung_gpu_draws_little_at_full_utilisation(fleet: Fleet, clock: SimpleNamespace) -> None:
    work(fleet, clock, 5)
    before = page(fleet)
    fleet.inject(fleet.gpus[0], FAULTS["hang"])
    work(fleet, clock, 5)
    after = page(fleet)
    assert after["DCGM_FI_DEV_GPU_UTIL"] == 100 > before["DCGM_FI_DEV_GPU_UTIL"]
    assert after["DCGM_FI_DEV_POWER_USAGE"] < 100 < before["DCGM_FI_DEV_POWER_USAGE"]


def test_a_leak_takes_free_memory_and_then_new_programs_have_none(fleet: Fleet, clock: SimpleNamespace) -> None:
    work(fleet, clock, 1)
    fleet.inject(fleet.gpus[0], FAULTS["memory-leak"])
    half = work(fleet, clock, 15).memory_free_bytes
    assert 0 < half < 50 * 10**9
    assert work(fleet, clock, 46).state == "ok", "who holds its memory already goes on"
    refused = work(fleet, clock, STEP, "restarted")
    assert (refused.state, refused.error) == ("failed", "CUDA error: out of memory")


def test_blind_gpus_show_the_log_and_nothing_else(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["xid119"])
    shown = page(fleet)
    assert shown["DCGM_FI_DEV_XID_ERRORS"] == 119
    assert "DCGM_FI_DEV_GPU_TEMP" not in shown and health(fleet.gpus[0])["DRIVER"] == 20


@pytest.mark.parametrize(("disabled", "expected"), [("", UNHEALTHY), ("79", HEALTHY), ("all", HEALTHY), ("48,63", UNHEALTHY)])
def test_health_checks_can_be_turned_off_as_in_nvidias_plugin(fleet: Fleet, disabled: str, expected: str) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["xid79"])
    assert health_of(fleet, disabled) == expected


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_in_the_gpu_outlives_the_process(name: str, tmp_path: Path, fleet: Fleet) -> None:
    StateFile(fleet, tmp_path / "state.json").restore()
    fleet.inject(fleet.gpus[1], FAULTS[name])
    again = Fleet.of(fleet.node, fleet.gpus[0].profile, 4, lambda: 0.0)
    StateFile(again, tmp_path / "state.json").restore()
    assert list(again.gpus[1].faults) == ([name] if FAULTS[name].lasting else [])
    assert again.gpus[1].errors == fleet.gpus[1].errors
    again.heal(again.gpus[1], FAULTS[name])
    third = Fleet.of(fleet.node, fleet.gpus[0].profile, 4, lambda: 0.0)
    StateFile(third, tmp_path / "state.json").restore()
    assert not any(gpu.faults for gpu in third.gpus)


@pytest.mark.parametrize("text", ["", "[]", '{"GPU', json.dumps({"GPU-other": {"faults": ["xid79"], "errors": {}}})])
def test_a_state_of_nobody_here_leaves_the_gpus_healthy(text: str, tmp_path: Path, fleet: Fleet) -> None:
    (tmp_path / "state.json").write_text(text)
    StateFile(fleet, tmp_path / "state.json").restore()
    assert not any(gpu.faults for gpu in fleet.gpus)


def test_what_is_written_into_the_gpu_stays_after_a_reset_and_goes_with_the_gpu() -> None:
    gpu = Gpu(profile_of("NVIDIA-A100-SXM4-80GB"), 0, "GPU-test")
    for name in ("xid94", "xid63"):
        gpu.inject(FAULTS[name])
        gpu.heal(FAULTS[name])
    assert (gpu.errors.dbe, gpu.errors.dbe_aggregate, gpu.errors.rows_uncorrectable, gpu.errors.remap_pending) == (0, 1, 2, 0)
    gpu.inject(FAULTS["xid64"])
    gpu.heal(FAULTS["xid64"])
    assert gpu.errors.rows_uncorrectable == 0, "a GPU whose row cannot be remapped is replaced"
