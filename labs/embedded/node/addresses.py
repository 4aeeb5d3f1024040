"""Pod addresses of one node: handed out round-robin, so that an address rests before it is reused."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

FIRST = 2
LAST = 254


class AddressPool:
    """Addresses .2 to .254 of the node's pod range. The current position survives the agent, in ``memory``."""

    def __init__(self, pod_range: IPv4Network, memory: Path) -> None:
        self._base = str(pod_range.network_address).rpartition(".")[0]
        self._memory = memory
        self._used: set[int] = set()
        self._next = int(memory.read_text()) if memory.exists() else FIRST

    def take(self) -> str | None:
        """A free address, or None if all 253 are in use."""
        for step in range(LAST - FIRST + 1):
            candidate = FIRST + (self._next - FIRST + step) % (LAST - FIRST + 1)
            if candidate not in self._used:
                self._used.add(candidate)
                self._next = candidate + 1
                self._memory.write_text(str(self._next))
                return f"{self._base}.{candidate}"
        return None

    def give_back(self, address: str) -> None:
        self._used.discard(int(address.rpartition(".")[2]))
