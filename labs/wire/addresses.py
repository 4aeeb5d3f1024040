"""Address arithmetic of the loopback network: a pod is 10.x.y.z in the API and listens on 127.x.y.z.

Kubernetes rejects loopback addresses in Endpoints, and nothing on the loopback network sends a packet to 10.x. Programs
use ``labs.wire.network`` instead of these functions; only the stand-in mesh calls them directly.
"""

from __future__ import annotations

SHADOW_OFFSET = 100


def to_loopback(address: str) -> str:
    """The loopback address for API address ``10.x.y.z``; a loopback address is returned unchanged.

    Raises:
        ValueError: the address is neither 10.x.y.z nor 127.x.y.z.
    """
    first, _, rest = address.partition(".")
    if first not in ("10", "127") or not rest:
        raise ValueError(f"expected an address of the lab, 10.x.y.z or 127.x.y.z; found {address!r}")
    return f"127.{rest}"


def to_api(address: str) -> str:
    """The API address ``10.x.y.z`` of a loopback address ``127.x.y.z``; an API address is returned unchanged."""
    return "10." + to_loopback(address).partition(".")[2]


def shadow(address: str) -> str:
    """Where a meshed pod's app listens: ``127.(100+x).y.z`` for a pod whose address is ``10.x.y.z``."""
    _, second, rest = to_loopback(address).split(".", 2)
    return f"127.{int(second) + SHADOW_OFFSET}.{rest}"
