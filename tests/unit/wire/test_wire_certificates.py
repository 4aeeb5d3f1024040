"""What the one builder of certificates makes is what Go, OpenSSL and Envoy accept: here OpenSSL is asked, through ``ssl``."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from labs.wire import certificates
from labs.wire.certificates import CLIENT, SERVER, Authority, Validity, make_authority

YEAR = Validity.lasting(dt.timedelta(days=365), dt.timedelta(minutes=5))


def context(side: ssl.Purpose, authority: Authority, leaf: x509.Certificate, key: str, folder: Path) -> ssl.SSLContext:
    folder.mkdir()
    (folder / "pair.pem").write_text(certificates.to_pem(leaf) + key)
    found = ssl.create_default_context(side, cadata=authority.certificate_pem)
    found.load_cert_chain(folder / "pair.pem")
    found.verify_mode = ssl.CERT_REQUIRED
    return found


def handshake(authority: Authority, client_trusts: Authority, hosts: list[str], asked: str, folder: Path) -> None:
    """A TLS handshake between two leaves of ``authority``. Raises ssl.SSLError where one of them refuses the other."""
    contexts: list[ssl.SSLContext] = []
    for side, usage in ((ssl.Purpose.CLIENT_AUTH, SERVER), (ssl.Purpose.SERVER_AUTH, CLIENT)):
        key = certificates.new_key()
        leaf = authority.leaf(key.public_key(), certificates.name("leaf"), YEAR, hosts=hosts, usages=[usage])
        trusted = authority if usage == SERVER else client_trusts
        contexts.append(context(side, trusted, leaf, certificates.key_to_pem(key), folder / str(len(contexts))))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            contexts[0].wrap_socket(ours, server_side=True).unwrap()
        except OSError:
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        contexts[1].wrap_socket(theirs, server_hostname=asked).unwrap()
    finally:
        theirs.close()
        thread.join(10)


@pytest.mark.parametrize("host", ["server.demo", "127.0.0.1", "::1"])
def test_leaves_of_one_authority_believe_each_other(host: str, tmp_path: Path) -> None:
    authority = make_authority("root", YEAR)
    handshake(authority, authority, [host], host, tmp_path)


def test_another_name_and_another_authority_are_refused(tmp_path: Path) -> None:
    authority, other = make_authority("root", YEAR), make_authority("root", YEAR)
    (tmp_path / "a").mkdir()
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority, authority, ["server.demo"], "other.demo", tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, other, ["server.demo"], "server.demo", tmp_path / "b")


def test_an_authority_below_another() -> None:
    root = make_authority("root", YEAR, path_length=1)
    issuer = make_authority("issuer", YEAR, parent=root)
    assert root.signed(issuer.certificate) and not issuer.signed(root.certificate)
    assert certificates.common_name(issuer.certificate.issuer) == "root"
    lengths = [
        item.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for item in (root, issuer)
    ]
    assert lengths == [1, 0]


def test_a_name_too_long_for_a_subject_is_in_the_critical_extension_alone() -> None:
    long = "a" * 60 + ".demo.serviceaccount"
    leaf = make_authority("root", YEAR).leaf(certificates.new_key().public_key(), certificates.name(long), YEAR, hosts=[long])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert (list(leaf.subject), names.critical, names.value.get_values_for_type(x509.DNSName)) == ([], True, [long])


def test_a_validity_begins_a_little_before_now() -> None:
    now = dt.datetime.now(dt.UTC)
    assert YEAR.begin < now < YEAR.end
    assert YEAR.end - YEAR.begin == pytest.approx(dt.timedelta(days=365, minutes=5), abs=dt.timedelta(seconds=1))
