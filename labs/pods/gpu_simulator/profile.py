"""A GPU's capabilities and thermal behaviour: one TOML file per GPU under ``profiles/``, each with its sources."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "profiles"


class UnknownProduct(Exception):
    """No profile has this product name; the message lists those that exist."""


@dataclass(frozen=True)
class Profile:
    """One kind of GPU. Units are in the names; ``product`` is the node label ``nvidia.com/gpu.product``.

    ``tensor_flops`` is the dense FP16 tensor-core peak; ``thermal_resistance_k_per_w`` is chip to inlet air, in kelvin per watt.
    """

    product: str
    model_name: str
    memory_bytes: int
    reserved_bytes: int
    bandwidth_bytes_per_second: float
    tensor_flops: float
    power_limit_w: float
    power_min_limit_w: float
    idle_w: float
    sm_clock_max_mhz: int
    sm_clock_idle_mhz: int
    memory_sensor: bool
    memory_clock_mhz: int
    clock_step_mhz: int
    max_operating_c: float
    slowdown_c: float
    shutdown_c: float
    thermal_resistance_k_per_w: float
    thermal_time_constant_s: float
    architecture: str
    compute_capability: str
    sm_count: int
    nvlinks: int
    """Links to the other GPUs, through a switch; 0 for a GPU that has only PCIe."""
    mig: Mapping[str, int] = field(default_factory=dict)
    """Memory slices (of 8) by the name of a MIG profile; empty for a GPU that cannot be divided."""


@cache
def profiles() -> dict[str, Profile]:
    """All profiles by product name."""
    rows = [Profile(**tomllib.loads(path.read_text())) for path in sorted(FOLDER.glob("*.toml"))]
    return {row.product: row for row in rows}


def profile_of(product: str) -> Profile:
    """The profile of a product.

    Raises:
        UnknownProduct: no profile has that name.
    """
    if product not in profiles():
        raise UnknownProduct(f"expected a GPU product with a profile ({', '.join(profiles())}); found {product!r}")
    return profiles()[product]
