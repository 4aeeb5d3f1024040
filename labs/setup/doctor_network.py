"""Settings of this machine's network that break clusters in containers: proxies and virtual private networks."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from labs import config
from labs.setup.findings import Finding

ROUTES = Path("/proc/net/route")
DOCKER_NETWORKS = tuple(map(ipaddress.IPv4Network, ("172.16.0.0/12", "192.168.0.0/16")))
"""Where Docker takes the ranges of new networks from, unless it is told otherwise."""
TUNNELS = ("tun", "utun", "wg", "ppp", "tailscale", "ipsec", "gpd", "cscotun")
"""What interfaces of virtual private networks are called."""
LOCAL = ("localhost", "127.0.0.1")


def proxy() -> Finding:
    """Nodes inherit the proxy settings, and so do the lab's own programs."""
    found = {name: value for name in ("HTTP_PROXY", "HTTPS_PROXY") if (value := _variable(name))}
    if not found:
        return Finding("proxy settings", True, "none")
    said = ", ".join(f"{name}={value}" for name, value in found.items())
    exempt = {word.strip().lstrip(".") for word in _variable("NO_PROXY").split(",")}
    ranges = [str(network) for spec in config.topology() for network in (spec.pod_range, spec.service_range)]
    missing = [word for word in (*LOCAL, *ranges, "svc", "cluster.local") if word not in exempt]
    if any(urlsplit(value).hostname in (*LOCAL, "::1") for value in found.values()):
        fix = "name the proxy by an address that containers reach too (Docker Desktop: host.docker.internal), not by localhost"
        return Finding("proxy settings", False, f"{said}: inside a node, localhost is the node", fix)
    fix = f"export NO_PROXY={','.join(filter(None, [_variable('NO_PROXY'), *missing]))}"
    return Finding(
        "proxy settings", not missing, f"{said}; NO_PROXY {'lacks ' + ', '.join(missing) if missing else 'is good'}", fix
    )


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.lower()) or ""


def tunnels() -> Finding:
    """A virtual private network that takes the addresses of Docker or of the lab takes the clusters off this machine."""
    wanted = [*DOCKER_NETWORKS, *(network for spec in config.topology() for network in (spec.pod_range, spec.service_range))]
    for interface, route in tunnel_routes():
        # A route for everything leaves the nearer networks alone.
        taken = [network for network in wanted if route.prefixlen and route.overlaps(network)]
        if taken:
            fix = "switch the VPN off, or have it leave these ranges to this machine (split tunnel)"
            return Finding("VPN", False, f"{interface} takes {route}, which overlaps {taken[0]}", fix)
    names = sorted({interface for interface, _ in tunnel_routes()})
    return Finding("VPN", True, f"{', '.join(names)} takes none of the lab's addresses" if names else "none")


def tunnel_routes() -> Iterable[tuple[str, ipaddress.IPv4Network]]:
    """Interface and network of what goes through a tunnel: the routes on Linux, elsewhere the interfaces' own networks."""
    if ROUTES.exists():
        for line in ROUTES.read_text().splitlines()[1:]:
            words = line.split()
            if words[0].startswith(TUNNELS):
                yield words[0], ipaddress.IPv4Network((_address(words[1]), _address(words[7])))
        return
    for interface, addresses in psutil.net_if_addrs().items():
        for row in addresses:
            if interface.startswith(TUNNELS) and row.family == socket.AF_INET:
                yield interface, ipaddress.IPv4Network(f"{row.address}/{row.netmask or 32}", strict=False)


def _address(word: str) -> str:
    """The kernel prints addresses as hexadecimal numbers in the machine's byte order."""
    return socket.inet_ntoa(struct.pack("=L", int(word, 16)))
