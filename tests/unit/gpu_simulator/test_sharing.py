"""One GPU for several: time-slicing, MIG, and the settings that ask for them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labs import config
from labs.pods.gpu_simulator.attribution import Holder
from labs.pods.gpu_simulator.exporter import render
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.inventory import features
from labs.pods.gpu_simulator.mig import BadLayout, parts_of
from labs.pods.gpu_simulator.offers import Offer, offers, uuid_of
from labs.pods.gpu_simulator.part import STEP
from labs.pods.gpu_simulator.profile import profile_of, profiles
from labs.pods.gpu_simulator.settings import BadSettings, Settings, Slices, parse
from labs.wire.gpu_work import Work

A100 = profile_of("NVIDIA-A100-SXM4-80GB")
MIG = parse("{version: v1, flags: {migStrategy: mixed}, mig: [{devices: [0], mig-devices: {1g.10gb: 4, 3g.40gb: 1}}]}")
SHARED = parse(
    "{sharing: {timeSlicing: {renameByDefault: true, failRequestsGreaterThanOne: true,"
    " resources: [{name: nvidia.com/gpu, replicas: 4}]}}}"
)


def fleet_of(settings: Settings) -> Fleet:
    return Fleet.of("n", A100, 2, lambda: 0.0, settings.layout(2))


def devices(settings: Settings) -> dict[str, int]:
    return {offer.resource: len(offer.devices) for offer in offers(fleet_of(settings), settings)}


def test_the_settings_that_ship_can_be_read() -> None:
    document = yaml.safe_load((config.MANIFESTS / "gpu-simulator" / "settings.yaml").read_text())
    offered = {name: devices(parse(text)) for name, text in document["data"].items()}
    assert offered == {
        "default": {"nvidia.com/gpu": 2},
        "time-slicing": {"nvidia.com/gpu.shared": 8},
        "mig": {"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": 4, "nvidia.com/mig-3g.40gb": 1},
    }


def test_replicas_without_a_new_name_keep_the_old_one() -> None:
    assert devices(Settings(shared={"nvidia.com/gpu": Slices(3)})) == {"nvidia.com/gpu": 6}
    single = parse("{flags: {migStrategy: single}, mig: [{devices: all, mig-devices: {1g.10gb: 7}}]}")
    assert devices(single) == {"nvidia.com/gpu": 14}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "expected a mapping"),
        ("{version: v1", "expected YAML"),
        ("{flags: {migStrategy: some}}", "expected one of none, single, mixed; found 'some'"),
        ("{sharing: {mps: {}}}", "found mps"),
        ("{sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 1}]}}}", "expected a whole number from 2"),
        ("{sharing: {timeSlicing: {resources: [{name: amd.com/gpu, replicas: 2}]}}}", "expected nvidia.com/"),
        ("{mig: [{devices: some}]}", "expected all or a list"),
        ("{mig: [{mig-devices: {1g.10gb: many}}]}", "expected PROFILE: COUNT"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_the_field(text: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        parse(text)


@settings(max_examples=40)
@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_other_yaml_is_settings_or_refused_with_words(content: object) -> None:
    try:
        found = parse(yaml.safe_dump(content))
    except BadSettings as refused:
        assert "expected" in str(refused)
    else:
        assert isinstance(found, Settings)


@pytest.mark.parametrize(
    ("product", "names", "words"),
    [
        ("Tesla-T4", ["1g.10gb"], "no MIG"),
        ("NVIDIA-A100-SXM4-80GB", ["1g.18gb"], "found '1g.18gb'"),
        ("NVIDIA-A100-SXM4-80GB", ["4g.40gb", "4g.40gb"], "8 compute"),
        ("NVIDIA-A100-SXM4-80GB", ["3g.40gb", "3g.40gb", "1g.10gb"], "9 memory slices"),
    ],
)
def test_a_gpu_cannot_be_divided_into_more_than_it_is(product: str, names: list[str], words: str) -> None:
    with pytest.raises(BadLayout, match=words):
        parts_of(profile_of(product), "GPU-test", names)


@pytest.mark.parametrize("profile", [p for p in profiles().values() if p.mig], ids=lambda p: p.product)
def test_instances_have_their_share(profile: object) -> None:
    for name in profile.mig:  # type: ignore[attr-defined]
        (part,) = parts_of(profile, "GPU-test", [name])  # type: ignore[arg-type]
        assert part.profile.memory_bytes == pytest.approx(int(name.split(".")[1][:-2]) * 1e9, rel=0.12)


def test_an_instance_is_slower_and_does_not_disturb_its_neighbour() -> None:
    clock = SimpleNamespace(now=0.0)
    fleet = Fleet.of("n", A100, 1, lambda: clock.now, {0: ["3g.40gb", "1g.10gb"]})
    large, small = fleet.gpus[0].parts
    work = Work("a", 100, 10, 2 * 10**9, 10**8, 4, STEP)
    alone = fleet.gpus[0].report(work, large)
    for _ in range(20):
        clock.now += STEP
        fleet.advance()
        there, here = fleet.gpus[0].report(work, large), fleet.gpus[0].report(work, small)
    assert there.decode_tokens_per_second == alone.decode_tokens_per_second
    assert here.decode_tokens_per_second == pytest.approx(there.decode_tokens_per_second / 3)
    assert small.mean.busy > 2 * large.mean.busy
    assert fleet.gpus[0].report(Work("b", weights_bytes=20 * 10**9), small).error == "CUDA error: out of memory"
    page = render(fleet, {small.uuid: [Holder("a", "ml", "c")]})
    line = next(line for line in page.splitlines() if line.startswith("DCGM_FI_PROF_GR_ENGINE_ACTIVE") and 'pod="a"' in line)
    assert 'GPU_I_PROFILE="1g.10gb",GPU_I_ID="2"' in line and f'UUID="{fleet.gpus[0].uuid}"' in line
    assert "DCGM_FI_DEV_GPU_UTIL" not in page, "a MIG GPU has no utilisation of its own"
    assert fleet.part(small.uuid) == (fleet.gpus[0], small)


def test_a_noisy_neighbour_halves_the_pace() -> None:
    clock = SimpleNamespace(now=0.0)
    fleet = Fleet.of("n", A100, 1, lambda: clock.now)
    gpu = fleet.gpus[0]

    def run(*pods: str) -> float:
        for _ in range(40):
            clock.now += STEP
            fleet.advance()
            for pod in pods:
                answer = gpu.report(Work(pod, 400, 40, 8 * 10**9, 10**8, 4, STEP))
        return answer.pace

    assert run("a") > 0.9
    assert run("a", "b") == pytest.approx(0.5, abs=0.05)
    assert run("a") > 0.9, "once the neighbour is gone the GPU is whole again"


def test_replicas_are_spread_and_whole_gpus_are_packed() -> None:
    shared = offers(fleet_of(SHARED), SHARED)[0]
    ids = list(shared.devices)
    first = shared.prefer(ids, [], 1)
    second = shared.prefer([device for device in ids if device not in first], [], 1)
    assert uuid_of(first[0]) != uuid_of(second[0])
    whole = Offer("nvidia.com/gpu", {gpu.uuid: gpu for gpu in fleet_of(Settings()).gpus})
    assert whole.prefer(reversed(list(whole.devices)), [], 1) == [next(iter(whole.devices))]


def test_a_shared_gpu_has_a_series_for_each_pod_that_shares_it() -> None:
    fleet = fleet_of(SHARED)
    holders = {fleet.gpus[0].uuid: [Holder("a", "ml", "c", "0"), Holder("b", "ml", "c", "3")]}
    page = render(fleet, holders, shared=True)
    lines = [line for line in page.splitlines() if line.startswith("DCGM_FI_DEV_GPU_TEMP") and 'gpu="0"' in line]
    assert len(lines) == 2 and 'pod="a",vgpu="0"' in lines[0] and 'pod="b",vgpu="3"' in lines[1]
    one = [line for line in render(fleet, holders).splitlines() if line.startswith("DCGM_FI_DEV_GPU_TEMP") and 'gpu="0"' in line]
    assert len(one) == 1 and "vgpu" not in one[0]


def test_labels_say_what_was_found() -> None:
    labels = features(A100, 2, SHARED, offers(fleet_of(SHARED), SHARED))
    assert labels["nvidia.com/gpu.replicas"] == "4" and labels["nvidia.com/gpu.sharing-strategy"] == "time-slicing"
    assert (labels["nvidia.com/gpu.memory"], labels["nvidia.com/gpu.family"]) == ("81920", "ampere")
    assert features(A100, 2, MIG, offers(fleet_of(MIG), MIG))["nvidia.com/mig-1g.10gb.count"] == "4"
