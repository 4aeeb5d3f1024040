"""The code that injects and heals failures: one small class per kind. The catalogue's rows choose one and configure it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labs.faults.catalogue import Fault
from labs.faults.injectors.base import Injector
from labs.faults.injectors.edits import Edit
from labs.faults.injectors.extras import Extras
from labs.faults.injectors.frozen import Frozen
from labs.faults.injectors.gone import PodsGone
from labs.faults.injectors.identity import ForeignAnchor
from labs.faults.injectors.link import Link
from labs.faults.injectors.overload import Overload
from labs.faults.injectors.proxies import ProxyKilled
from labs.faults.injectors.simulated_gpu import SimulatedGpu

INJECTORS: dict[str, Callable[..., Injector]] = {
    "simulated-gpu": SimulatedGpu,
    "edit": Edit.from_row,
    "extras": Extras,
    "frozen": Frozen,
    "pods-gone": PodsGone,
    "foreign-anchor": ForeignAnchor,
    "link": Link,
    "overload": Overload,
    "proxy-killed": ProxyKilled,
}


def injector(fault: Fault) -> Injector:
    """The injector of ``fault``.

    Raises:
        TypeError: the ``options`` of its row do not fit the injector.
    """
    options: dict[str, Any] = {key.replace("-", "_"): value for key, value in fault.options.items()}
    return INJECTORS[fault.injector](**options)
