"""All GPUs of one node under one clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.faults import Fault
from labs.pods.gpu_simulator.mig import Layout, parts_of
from labs.pods.gpu_simulator.part import STEP, Part
from labs.pods.gpu_simulator.profile import Profile

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "gpu-simulator.boring-ops-lab")
Clock = Callable[[], float]
"""Seconds since some point in the past, never going backwards."""
MAX_STEPS = 600
"""Most steps to catch up on after a pause (a suspended laptop): a minute, after which everything has settled."""


class UnknownGpu(LookupError):
    """No GPU of this node has that UUID or index."""

    def __str__(self) -> str:
        return str(self.args[0])


def gpu_uuid(node: str, index: int) -> str:
    """The same UUID whenever GPU ``index`` of ``node`` is simulated."""
    return f"GPU-{uuid.uuid5(NAMESPACE, f'{node}/{index}')}"


class Fleet:
    """The GPUs of ``node``. Call ``advance`` before looking at one: time passes only there, in whole steps (100 ms).
    ``on_change`` is called after each change of a fault."""

    def __init__(self, node: str, gpus: Sequence[Gpu], clock: Clock, step: float = STEP) -> None:
        self.node = node
        self.gpus = gpus
        self.on_change: list[Callable[[], None]] = []
        self._clock = clock
        self._step = step
        self._stepped = clock()

    @classmethod
    def of(cls, node: str, profile: Profile, count: int, clock: Clock, layout: Layout | None = None) -> Fleet:
        """``count`` GPUs of one kind, divided as ``layout`` says."""
        names = [gpu_uuid(node, index) for index in range(count)]
        wanted = layout or {}
        return cls(
            node,
            [Gpu(profile, index, name, parts_of(profile, name, wanted.get(index, ()))) for index, name in enumerate(names)],
            clock,
        )

    def advance(self) -> None:
        """Bring every GPU up to the clock."""
        steps = int((self._clock() - self._stepped) / self._step + 1e-6)
        self._stepped += steps * self._step
        for gpu in self.gpus:
            for _ in range(min(steps, MAX_STEPS)):
                gpu.step(self._step)

    @property
    def parts(self) -> list[tuple[Gpu, Part]]:
        """Every part of every GPU."""
        return [(gpu, part) for gpu in self.gpus for part in gpu.parts]

    def find(self, name: str) -> Gpu:
        """A GPU by UUID or index.

        Raises:
            UnknownGpu: this node has no such GPU.
        """
        for gpu in self.gpus:
            if name in (gpu.uuid, str(gpu.index)):
                return gpu
        raise UnknownGpu(f"no GPU {name!r} on node {self.node}; there are: 0 to {len(self.gpus) - 1}, by index or UUID")

    def part(self, name: str) -> tuple[Gpu, Part]:
        """The part a program was given, by the UUID in its environment (or a GPU's index).

        Raises:
            UnknownGpu: this node has no such part.
        """
        for gpu, part in self.parts:
            if name == part.uuid:
                return gpu, part
        gpu = self.find(name)
        return gpu, gpu.parts[0]

    def inject(self, gpu: Gpu, fault: Fault) -> None:
        """Begin ``fault`` on ``gpu``; one of the node's begins on all GPUs."""
        self._change(lambda one: one.inject(fault), gpu, fault)

    def heal(self, gpu: Gpu, fault: Fault) -> None:
        self._change(lambda one: one.heal(fault), gpu, fault)

    def _change(self, act: Callable[[Gpu], None], gpu: Gpu, fault: Fault) -> None:
        self.advance()
        for one in self.gpus if fault.node else [gpu]:
            act(one)
        for listener in self.on_change:
            listener()

    def has(self, effect: Callable[[Fault], object]) -> bool:
        """Whether a fault in force on any GPU has this effect; for those of the node."""
        return any(gpu.has(effect) for gpu in self.gpus)
