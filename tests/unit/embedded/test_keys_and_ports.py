"""Certificates that a TLS library accepts, files only the owner reads, addresses that are taken."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from labs.embedded import control, pki, ports
from labs.errors import AddressTaken, OtherLabRunning


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pki, "PKI", tmp_path / "pki")
    pki.create()
    return tmp_path / "pki"


def test_every_file_is_for_its_owner_only(keys: Path) -> None:
    files = [path for path in keys.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert pki.exists()


def test_a_node_is_client_and_server_under_its_own_name(keys: Path) -> None:
    certificate = x509.load_pem_x509_certificate((keys / "gpu" / "gpu-worker.crt").read_bytes())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:gpu-worker"
    assert certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.20.0.11"]


@pytest.mark.parametrize(("authority", "accepted"), [("app", True), ("gpu", False)])
def test_one_cluster_does_not_trust_the_other(keys: Path, authority: str, accepted: bool) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(keys / "app" / "apiserver.crt", keys / "app" / "apiserver.key")
    client = ssl.create_default_context(cafile=keys / authority / "ca.crt")
    assert handshake(server, client, "127.10.0.1") is accepted


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    """Whether the client accepts the server, over memory buffers."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (left, right):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return left.version() is not None


def test_taken_address_names_the_process() -> None:
    with socket.create_server(("127.77.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(AddressTaken, match=rf"expected {host}:{port} to be free for a test; found process {os.getpid()} \("):
            ports.require_free([(host, port, "a test")])
    ports.require_free([(host, port, "a test")])


def test_another_checkouts_lab_is_named() -> None:
    with pytest.raises(OtherLabRunning, match="/home/ada/my lab"):
        control.refuse_other(control.Identity(Path("/home/ada/my lab"), Path("/home/ada/my lab/.lab"), 7))
    control.refuse_other(None)
