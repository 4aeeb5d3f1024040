"""Notebook 99: nothing is left. (The lab is gone, so this looks at the machine.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from labs import topology
from labs.course.checks import Finding, check
from labs.paths import Paths

if TYPE_CHECKING:
    from labs.lab import Lab


def _ranges() -> tuple[str, ...]:
    """Beginnings of the loopback addresses of the lab: ``127.10.``, ``127.11.``, …"""
    networks = [network for spec in topology.declared() for network in (spec.pod_range, spec.service_range)]
    return tuple(f"127.{str(network).split('.')[1]}." for network in networks)


@check("99.1", "nothing listens on the lab's addresses", hint="lab down", within=10)
def no_listener_is_left(lab: Lab | None) -> Finding:
    rows = [row.laddr for row in psutil.net_connections("tcp") if row.status == psutil.CONN_LISTEN]
    left = sorted({f"{address.ip}:{address.port}" for address in rows if address and address.ip.startswith(_ranges())})
    return Finding(not left, f"{len(left)} listeners" + (f", such as {left[0]}" if left else ""))


@check("99.2", "the lab's folder is gone", hint="lab down", within=10)
def no_file_is_left(lab: Lab | None) -> Finding:
    return Finding(
        not Paths.current().state.exists(), ".lab is still there" if Paths.current().state.exists() else ".lab is gone"
    )
