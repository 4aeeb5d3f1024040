"""Network settings of this machine that break the lab: proxies and virtual private networks."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ipaddress
import os
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from labs import errors, shell, topology
from labs.kubectl import program as kubectl_program
from labs.setup.findings import Finding
from labs.wire import no_proxy

ROUTES = Path("/proc/net/route")
DOCKER_NETWORKS = tuple(map(ipaddress.IPv4Network, ("172.16.0.0/12", "192.168.0.0/16")))
"""The ranges from which Docker allocates new networks by default."""
TUNNELS = ("tun", "utun", "wg", "ppp", "tailscale", "ipsec", "gpd", "cscotun")
"""How the names of VPN interfaces begin."""
TIMEOUT = 10.0
"""Seconds that a request to this machine itself may take."""
GREETING = "boring-ops-lab"


def loopback_is_direct() -> Finding:
    """Whether the lab's programs reach 127.0.0.1. It tries, because each program reads the proxy settings differently."""
    name = "requests to this machine"
    with _listener() as url:
        strays = [program for program, ask in CLIENTS.items() if ask(url) != GREETING]
    proxies = ", ".join(f"{variable}={value}" for variable, value in named_proxies().items())
    if not strays:
        return Finding(name, True, f"arrive ({proxies} is only for other machines)" if proxies else "arrive, and no proxy is set")
    found = f"requests from {' and '.join(strays)} do not arrive at {url}; " + (proxies or "no proxy is set in the environment")
    fix = f"export NO_PROXY={no_proxy.exempt(_variable('NO_PROXY'))}; or let your firewall or VPN leave 127.0.0.0/8 alone"
    return Finding(name, False, found, fix)


@contextlib.contextmanager
def _listener() -> Iterator[str]:
    """A server on a free loopback port that answers every request with ``GREETING``; yields its URL."""

    class Greeter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(GREETING.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: only the doctor's lines should appear."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _python(url: str) -> str:
    try:
        # A new opener: the module's default one keeps the settings it was first used with.
        with urllib.request.build_opener().open(url, timeout=TIMEOUT) as response:
            return str(response.read(100).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def _kubectl(url: str) -> str:
    try:
        return shell.run(
            [kubectl_program(), f"--server={url}", "get", "--raw=/"], timeout=TIMEOUT, env={"KUBECONFIG": os.devnull}
        )
    except errors.LabError as error:
        return error.message


CLIENTS: dict[str, Callable[[str], str]] = {"Python": _python, "kubectl": _kubectl}


def nodes_proxy() -> Finding:
    """Nodes in containers inherit the proxy settings: a proxy on localhost does not exist inside a node."""
    name = "proxy of the nodes"
    proxies = named_proxies()
    said = ", ".join(f"{variable}={value}" for variable, value in proxies.items()) or "none"
    if not any(no_proxy.is_loopback(value) for value in proxies.values()):
        return Finding(name, True, said)
    fix = "name the proxy by an address that containers reach too (Docker Desktop: host.docker.internal), not by localhost"
    return Finding(name, False, f"{said}: inside a node, localhost is the node", fix)


def named_proxies() -> dict[str, str]:
    """The proxies that the environment names."""
    return {name: value for name in ("HTTP_PROXY", "HTTPS_PROXY") if (value := _variable(name))}


def _variable(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.lower()) or ""


def tunnels() -> Finding:
    """A VPN that routes the addresses of Docker or of the lab makes the clusters unreachable from this machine."""
    wanted = [*DOCKER_NETWORKS, *(network for spec in topology.defaults() for network in (spec.pod_range, spec.service_range))]
    for interface, route in tunnel_routes():
        # A default route does not affect more specific networks.
        taken = [network for network in wanted if route.prefixlen and route.overlaps(network)]
        if taken:
            fix = "switch the VPN off, or have it leave these ranges to this machine (split tunnel)"
            return Finding("VPN", False, f"{interface} routes {route}, which overlaps {taken[0]}", fix)
    names = sorted({interface for interface, _ in tunnel_routes()})
    return Finding("VPN", True, f"{', '.join(names)} routes none of the lab's addresses" if names else "none")


def tunnel_routes() -> Iterable[tuple[str, ipaddress.IPv4Network]]:
    """Interface and network of each route through a tunnel; on systems without /proc, the interfaces' own networks."""
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
    """An address from the kernel, which prints it as a hexadecimal number in the machine's byte order."""
    return socket.inet_ntoa(struct.pack("=L", int(word, 16)))
