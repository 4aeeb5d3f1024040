"""What other users of the machine can reach is what docs/architecture.md says, and asks for what it says."""

from __future__ import annotations

import re
import socket
import ssl
import urllib.error
import urllib.request

import psutil
import pytest

from labs import config
from labs.embedded import plan

pytestmark = pytest.mark.integration

ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
DOCUMENT = config.ROOT / "docs" / "architecture.md"


def documented() -> set[int]:
    section = DOCUMENT.read_text().partition("## What other users of the machine can reach")[2]
    return {int(port) for port in ROW.findall(section)}


def listening() -> set[tuple[str, int]]:
    """(address, port) of every TCP listener on the addresses of the plan's nodes and control planes."""
    found = [row.laddr for row in psutil.net_connections("tcp") if row.status == psutil.CONN_LISTEN and row.laddr]
    ours = tuple(f"127.{cluster.number}." for cluster in plan.clusters())
    return {(address.ip, address.port) for address in found if address.ip.startswith(ours)}


def test_every_port_of_the_lab_is_in_the_table(lab_up: None) -> None:
    found = listening()
    assert {port for _, port in found} <= documented() | {port for _, port, _ in plan.listeners()}
    assert {port for _, port, _ in plan.listeners()} <= documented()
    assert (plan.ETCD_HOST, plan.ETCD_PEER_PORT) in found


@pytest.mark.parametrize("port", [plan.ETCD_CLIENT_PORT, plan.ETCD_PEER_PORT])
def test_etcd_asks_for_a_certificate(lab_up: None, port: int) -> None:
    """On the clients' and on the peers' port: neither plain HTTP nor TLS without a certificate gets an answer."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        answer(port, secure=True)
    with pytest.raises((ConnectionError, ValueError)):
        answer(port, secure=False)


def answer(port: int, *, secure: bool) -> bytes:
    """etcd's answer to a request for its members.

    Raises:
        ValueError: it says that it speaks TLS only.
    """
    plain = socket.create_connection((plan.ETCD_HOST, port), timeout=10)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(plain) if secure else plain as connection:
        connection.sendall(b"GET /members HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n")
        found = connection.recv(4096)
    if not found:
        raise ConnectionError("closed without an answer")
    if b" 400 " in found.splitlines()[0]:
        raise ValueError(found.decode())
    return found


@pytest.mark.parametrize("cluster", [cluster.name for cluster in plan.clusters()])
def test_the_api_server_tells_nothing_to_strangers(lab_up: None, cluster: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)).open(
            f"{plan.cluster(cluster).server}/api/v1/secrets", timeout=10
        )
    assert refused.value.code in (401, 403)
