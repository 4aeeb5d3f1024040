"""Multi-Instance GPU: a GPU divided into instances, each with its own share of compute and memory.

Sizes and placement follow NVIDIA's "MIG User Guide": a GPU has 7 compute slices and 8 memory slices.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from labs.pods.gpu_simulator.part import Instance, Part
from labs.pods.gpu_simulator.profile import Profile

COMPUTE_SLICES = 7
MEMORY_SLICES = 8
Layout = Mapping[int, Sequence[str]]
"""Names of the instances' profiles by the GPU's index, such as ``{0: ["3g.40gb", "3g.40gb"]}``; other GPUs stay whole."""


class BadLayout(ValueError):
    """The GPU cannot be divided this way; the message says why."""


def parts_of(profile: Profile, gpu_uuid: str, names: Iterable[str]) -> list[Part]:
    """The instances called ``names`` of one GPU; none for an empty list, which leaves the GPU whole.

    Raises:
        BadLayout: the GPU has no such profile, or they do not fit beside each other.
    """
    names = list(names)
    for name in names:
        if name not in profile.mig:
            known = ", ".join(profile.mig) or "none: this GPU has no MIG"
            raise BadLayout(f"expected a MIG profile of {profile.product} ({known}); found {name!r}")
    compute, memory = sum(map(_compute, names)), sum(profile.mig[name] for name in names)
    if compute > COMPUTE_SLICES or memory > MEMORY_SLICES:
        raise BadLayout(
            f"{', '.join(names)} take {compute} compute and {memory} memory slices; a {profile.product} has "
            f"{COMPUTE_SLICES} and {MEMORY_SLICES}"
        )
    return [_instance(profile, gpu_uuid, number, name) for number, name in enumerate(names, 1)]


def _compute(name: str) -> int:
    return int(name.partition("g")[0])


def _instance(profile: Profile, gpu_uuid: str, number: int, name: str) -> Part:
    compute, memory = _compute(name) / COMPUTE_SLICES, profile.mig[name] / MEMORY_SLICES
    slice_ = replace(
        profile,
        memory_bytes=int(profile.memory_bytes * memory),
        reserved_bytes=int(profile.reserved_bytes * memory),
        bandwidth_bytes_per_second=profile.bandwidth_bytes_per_second * memory,
        tensor_flops=profile.tensor_flops * compute,
    )
    return Part(f"MIG-{uuid.uuid5(uuid.NAMESPACE_OID, f'{gpu_uuid}/{number}')}", slice_, Instance(name, number, compute, memory))
