"""The network that pods live in: the one place that knows how an address of the API differs from the one on the wire.

``Loopback`` is the fallback without namespaces: a pod is 10.x.y.z in the API, and its processes listen on 127.x.y.z of this
machine. In ``Sandbox`` (and on every other Kubernetes) an address is what the API says it is. Programs in pods call ``here()``;
what runs outside of pods is told by its backend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from labs.wire import addresses

VARIABLE = "LAB_NETWORK"
"""Names the network in the environment of every container: ``loopback`` or ``sandbox``. Where it is not set, as in a pod of any
other cluster, addresses are real ones."""


class Network(Protocol):
    """What differs between networks. Addresses are IPv4 in dotted form, without a port, unless a method says otherwise."""

    @property
    def name(self) -> str:
        """The value of ``LAB_NETWORK``."""
        ...

    def dial(self, address: str) -> str:
        """The address to connect to in order to reach ``address`` of the API; other addresses and names stay unchanged."""
        ...

    def bind(self, address: str, *, behind_proxy: bool = False) -> str:
        """The address on which the owner of ``address`` listens; ``behind_proxy`` for an app whose proxy listens there itself."""
        ...

    def shown(self, address: str) -> str:
        """The address of the API that belongs to ``address``, one on the wire: the inverse of ``dial``."""
        ...

    def published(self, address: str, port: int) -> tuple[str, int]:
        """Host and port at which the learner's browser and tools reach port ``port`` of ``address`` (a Service's).

        Raises:
            LookupError: this port is not published.
        """
        ...


class Loopback:
    """10.x.y.z of the API is 127.x.y.z of this machine."""

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
    """Namespaces of their own: addresses are real inside, and ``ports`` says which are published on this machine's loopback."""

    name = "sandbox"
    LEARNER = "127.0.0.1"

    def __init__(self, ports: Mapping[tuple[str, int], int] | None = None) -> None:
        """``ports``: (address, port) inside → port on 127.0.0.1."""
        self._ports = dict(ports or {})

    def dial(self, address: str) -> str:
        return address

    def bind(self, address: str, *, behind_proxy: bool = False) -> str:
        # The redirect in the pod's own network namespace brings the proxy its traffic: the app listens as it always does.
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
        ValueError: ``LAB_NETWORK`` names none.
    """
    return _named(os.environ.get(VARIABLE) or Sandbox.name)
