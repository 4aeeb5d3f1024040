"""Links, addresses and routes of the lab's network.

Every pod has a veth pair of its own and a /32 (or /128) address; the lab's network namespace routes between them, so that every
packet passes its rules and no pod needs to share a link with another. There is no bridge.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from labs.embedded.namespaces import syscalls

if TYPE_CHECKING:
    from pyroute2 import IPRoute

T = TypeVar("T")
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
GATEWAYS = {4: "169.254.1.1", 6: "fe80::1"}
"""A pod's way out, by IP version. The lab's end of every pod's link has these, so they mean the same in each pod."""
POD_LINK = "eth0"
NAME_LENGTH = 15
"""Longest allowed name of a link."""
WIDTH = {4: 32, 6: 128}


def loopback_up() -> None:
    """Switch ``lo`` on in this network namespace; new ones begin with it off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh", answer[:18])[1]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


@contextmanager
def netlink() -> Iterator[IPRoute]:
    """A route socket of this thread's network namespace."""
    # Imported late: it takes a third of a second, and most users of this module need only loopback.
    from pyroute2 import IPRoute

    with IPRoute() as route:
        yield route


def inside(namespace: str, call: Callable[[], T]) -> T:
    """The result of ``call()`` run in the network namespace that the file ``namespace`` refers to.

    It runs in its own thread, since a thread can be in another namespace than its process.
    """
    outcome: list[T] = []
    trouble: list[Exception] = []

    def run() -> None:
        try:
            with open(namespace, "rb") as file:
                syscalls.setns(file.fileno(), syscalls.CLONE_NEWNET)
            outcome.append(call())
        except Exception as error:  # raised again in the caller's thread
            trouble.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if trouble:
        raise trouble[0]
    return outcome[0]


def add_host_addresses(addresses: list[str]) -> None:
    """Give this network namespace's ``lo`` the addresses, such as those of nodes; existing ones stay."""
    with netlink() as route:
        (index,) = route.link_lookup(ifname="lo")
        for address in addresses:
            route.addr("replace", index=index, address=address, prefixlen=WIDTH[_version(address)])


def forward(versions: frozenset[int] = frozenset({4, 6})) -> None:
    """Let this network namespace forward packets between pods; IPv6 only if the kernel has it."""
    settings = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
    for version in sorted(versions):
        path = Path("/proc/sys/net") / settings[version]
        if path.exists():
            path.write_text("1")


@dataclass(frozen=True)
class PodLink:
    """A pod's connection to the lab's network."""

    name: str
    """Name of the lab's end."""
    namespace: str
    """File of the pod's network namespace, ``/proc/PID/ns/net``."""
    addresses: tuple[str, ...]
    host: str = ""
    """The lab's own address, from which its programs reach the pod."""

    def connect(self) -> None:
        """Make the link. The lab's end is in the caller's network namespace.

        Raises:
            OSError, pyroute2.NetlinkError: the kernel refuses.
        """
        with netlink() as route, open(self.namespace, "rb") as pod:
            peer = {"ifname": POD_LINK, "net_ns_fd": pod.fileno()}
            route.link("add", ifname=self.name, kind="veth", peer=peer)
            (index,) = route.link_lookup(ifname=self.name)
            route.link("set", index=index, state="up")
            for version in self._versions():
                route.addr("add", index=index, address=GATEWAYS[version], prefixlen=WIDTH[version], **_no_detection(version))
        inside(self.namespace, self._inside)
        with netlink() as route:
            for address in self.addresses:
                version = _version(address)
                source = {"prefsrc": self.host} if self.host and version == _version(self.host) else {}
                route.route("replace", dst=f"{address}/{WIDTH[version]}", oif=index, **source)

    def _versions(self) -> list[int]:
        return sorted({_version(address) for address in self.addresses})

    def _inside(self) -> None:
        loopback_up()
        with netlink() as route:
            (index,) = route.link_lookup(ifname=POD_LINK)
            route.link("set", index=index, state="up")
            for address in self.addresses:
                version = _version(address)
                route.addr("add", index=index, address=address, prefixlen=WIDTH[version], **_no_detection(version))
            for version in self._versions():
                gateway, family = GATEWAYS[version], _family(version)
                route.route("add", dst=f"{gateway}/{WIDTH[version]}", oif=index, scope=253, family=family)
                route.route("add", dst="default", gateway=gateway, oif=index, family=family)


def _version(address: str) -> int:
    return ip_address(address).version


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _no_detection(version: int) -> dict[str, int]:
    """IPv6 would first spend a second looking for another owner of the address; there is none."""
    return {"flags": 0x02} if version == 6 else {}


def link_name(sandbox: str) -> str:
    """The lab's end of the sandbox's link.

    >>> link_name("0123456789abcdef")
    'pod0123456789ab'
    """
    return f"pod{sandbox}"[:NAME_LENGTH]
