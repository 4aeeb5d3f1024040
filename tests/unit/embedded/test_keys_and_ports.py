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

from labs import record
from labs.embedded import pki, ports
from labs.errors import AddressTaken
from labs.record import Record
from labs.topology import NodeSpec


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    pki.ensure()
    return tmp_path / "pki"


def test_every_file_is_for_its_owner_only(keys: Path) -> None:
    files = [path for path in keys.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


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


def test_what_exists_is_kept_and_only_what_is_missing_is_made(keys: Path) -> None:
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    record.write(Record("embedded", ("app", "gpu", "gpu-eu"), {"gpu": (NodeSpec("gpu-worker3", 3),)}))
    pki.ensure()
    after = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    assert before.items() <= after.items()
    added = {str(path.relative_to(keys)) for path in after.keys() - before.keys()}
    assert {"gpu/gpu-worker3.crt", "gpu/gpu-worker3.key", "gpu-eu/ca.crt", "gpu-eu/gpu-eu-worker.crt"} <= added
    assert all(name.startswith(("gpu-eu/", "gpu/gpu-worker3.")) for name in added)
    issued = x509.load_pem_x509_certificate((keys / "gpu" / "gpu-worker3.crt").read_bytes())
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate((keys / "gpu" / "ca.crt").read_bytes()))


def test_an_interrupted_folder_is_recreated(keys: Path) -> None:
    (keys / "app").rename(keys / "app.tmp")
    pki.ensure()
    assert (keys / "app" / "admin.crt").exists() and not (keys / "app.tmp").exists()


def test_what_is_removed_takes_nothing_else_along(keys: Path) -> None:
    pki.remove_node("gpu", "gpu-worker2")
    pki.remove("app")
    pki.remove("app")
    assert not (keys / "app").exists() and not (keys / "gpu" / "gpu-worker2.key").exists()
    assert (keys / "gpu" / "gpu-worker.key").exists() and (keys / "etcd" / "ca.key").exists()
