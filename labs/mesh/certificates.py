"""The mesh's certificates: one trust anchor, and one issuer per cluster signed by it.

What ``step certificate create`` makes with the profiles ``root-ca`` and ``intermediate-ca``: ECDSA P-256, PEM. Clusters trust
each other's workloads because they share the anchor; each signs its own workloads, so one issuer can be replaced alone.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ANCHOR_NAME = "root.linkerd.cluster.local"
ISSUER_NAME = "identity.linkerd.cluster.local"
ANCHOR_LIFETIME = dt.timedelta(days=3650)
ISSUER_LIFETIME = dt.timedelta(days=365)
CLOCK_SKEW = dt.timedelta(seconds=30)
"""Backdating, so that a certificate is already valid on a machine whose clock is a little behind."""


@dataclass(frozen=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    def signed(self, other: x509.Certificate) -> bool:
        """Whether this authority issued ``other``."""
        try:
            other.verify_directly_issued_by(self.certificate)
        except (ValueError, InvalidSignature):
            return False
        return True


@dataclass(frozen=True)
class MadeCertificate:
    """One authority on disk; ``made`` is False when a good one was there already."""

    name: str
    certificate: Path
    key: Path
    subject: str
    issuer: str
    not_after: dt.datetime
    made: bool


def make_anchor(lifetime: dt.timedelta = ANCHOR_LIFETIME) -> Authority:
    """A new self-signed trust anchor."""
    return _authority(ANCHOR_NAME, lifetime, path_length=1)


def make_issuer(anchor: Authority, lifetime: dt.timedelta = ISSUER_LIFETIME) -> Authority:
    """A new issuer that may sign workloads but no further authority."""
    return _authority(ISSUER_NAME, lifetime, path_length=0, parent=anchor)


def make_certificates(folder: Path, clusters: Sequence[str]) -> list[MadeCertificate]:
    """See that ``folder`` holds ``ca.crt``/``.key`` and ``issuer-CLUSTER.crt``/``.key``, all of mode 0600.

    Good ones are kept: making them twice changes nothing. An issuer that has expired or that another anchor signed is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    anchor, anchor_row = _ensure(folder, "ca", None)
    return [anchor_row, *(_ensure(folder, f"issuer-{cluster}", anchor)[1] for cluster in clusters)]


def _ensure(folder: Path, name: str, anchor: Authority | None) -> tuple[Authority, MadeCertificate]:
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    found = load(*paths)
    keep = found is not None and (anchor or found).signed(found.certificate)
    authority = found if found and keep else make_issuer(anchor) if anchor else make_anchor()
    if not keep:
        _write(paths[0], authority.certificate_pem)
        _write(paths[1], authority.key_pem)
    certificate = authority.certificate
    row = MadeCertificate(
        name=name,
        certificate=paths[0],
        key=paths[1],
        subject=common_name(certificate.subject),
        issuer=common_name(certificate.issuer),
        not_after=certificate.not_valid_after_utc,
        made=not keep,
    )
    return authority, row


def load(certificate: Path, key: Path) -> Authority | None:
    """The authority in these files; None if it is absent, damaged, expired, or the two do not belong together."""
    try:
        cert = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != cert.public_key():
        return None
    return Authority(cert, private) if cert.not_valid_after_utc > dt.datetime.now(dt.UTC) else None


def common_name(name: x509.Name) -> str:
    """The CN of a subject or issuer, or the empty string."""
    return next((str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def _authority(cn: str, lifetime: dt.timedelta, path_length: int, parent: Authority | None = None) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    now = dt.datetime.now(dt.UTC)
    signer = parent.key if parent else key
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.certificate.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Authority(certificate, key)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
