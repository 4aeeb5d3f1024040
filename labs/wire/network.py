"""The network that pods live in: the only module that knows how an API address differs from the address on the wire.

``Loopback`` is the fallback without namespaces: a pod is 10.x.y.z in the API, and its processes listen on 127.x.y.z of this
machine. In ``Sandbox`` (and on any other Kubernetes) the two addresses are the same. Programs in pods call ``here()``; programs
outside pods get the network from their backend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from labs.wire import addresses

VARIABLE = "LAB_NETWORK"
"""Names the network in the environment of every container: ``loopback`` or ``sandbox``. If it is not set, as in a pod of any
other cluster, addresses are real."""


class Network(Protocol):
    """What differs between networks. Addresses are IPv4 in dotted form, without a port, unless a method says otherwise."""

    @property
    def name(self) -> str:
        """The value of ``LAB_NETWORK``."""
        ...

    def dial(self, address: str) -> str:
        """The address to connect to for API address ``address``; other addresses and names are returned unchanged."""
        ...

    def bind(self, address: str, *, behind_proxy: bool = False) -> str:
        """The address on which the owner of ``address`` listens; ``behind_proxy``: for an app whose proxy listens there."""
        ...

    def shown(self, address: str) -> str:
        """The API address for ``address`` on the wire: the inverse of ``dial``."""
        ...

    def published(self, address: str, port: int) -> tuple[str, int]:
        """Host and port at which the learner's browser and tools reach ``port`` of a Service's ``address``.

        Raises:
            LookupError: this port is not published.
        """
        ...


class Loopback:
    """10.x.y.z in the API is 127.x.y.z on this machine."""

    name = "loopback"

    def dial(self, address: str) -> str:
        return addresses.to_loopback(address) if address.startswith("10.") else address

    def bind(self, address: str, *, behind_proxy: bool = False) -> str:
        return addresses.shadow(address) if behind_proxy else addresses.to_loopback(address)

    def shown(self, address: str) -> str:
        return addresses.to_api(address) if address.startswith("127.") else address

    def published(self, address: str, port: int) -> tuple[str, int]:
        return self.dial(address), port


class Sandbox:
    """Separate network namespaces: addresses inside are real, and ``ports`` are those published on this machine's loopback."""

    name = "sandbox"
    LEARNER = "127.0.0.1"

    def __init__(self, ports: Mapping[tuple[str, int], int] | None = None) -> None:
        """``ports``: (address, port) inside → port on 127.0.0.1."""
        self._ports = dict(ports or {})

    def dial(self, address: str) -> str:
        return address

    def bind(self, address: str, *, behind_proxy: bool = False) -> str:
        # A redirect in the pod's network namespace sends its traffic to the proxy, so the app listens where it always does.
        return address

    def shown(self, address: str) -> str:
        return address

    def published(self, address: str, port: int) -> tuple[str, int]:
        if (address, port) not in self._ports:
            known = ", ".join(f"{host}:{number}" for host, number in sorted(self._ports)) or "none"
            raise LookupError(f"expected {address}:{port} among the published ports; found {known}")
        return self.LEARNER, self._ports[address, port]


def named(name: str) -> Network:
    """The network called ``name``.

    Raises:
        ValueError: there is no such network.
    """
    if name == Loopback.name:
        return Loopback()
    if name == Sandbox.name:
        return Sandbox()
    raise ValueError(f"expected {VARIABLE}={Loopback.name} or {Sandbox.name}; found {name!r}")


_named = cache(named)


def here() -> Network:
    """The network this program's pod lives in.

    Raises:
        ValueError: ``LAB_NETWORK`` does not name one.
    """
    return _named(os.environ.get(VARIABLE) or Sandbox.name)
