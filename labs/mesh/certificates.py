"""The mesh's certificates: one trust anchor, and one issuer per cluster signed by it.

They are like those of ``step certificate create`` with the profiles ``root-ca`` and ``intermediate-ca``: ECDSA P-256, PEM.
Clusters trust each other's workloads because they share the anchor. Each issuer signs only its own cluster's workloads, so it
can be replaced alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labs.wire.certificates import Authority, Validity, common_name, make_authority
from labs.wire.replace_file import write_private

ANCHOR_NAME = "root.linkerd.cluster.local"
ISSUER_NAME = "identity.linkerd.cluster.local"
ANCHOR_LIFETIME = dt.timedelta(days=3650)
ISSUER_LIFETIME = dt.timedelta(days=365)
CLOCK_SKEW = dt.timedelta(seconds=30)
"""Certificates are backdated by this much, so that they are already valid on a machine whose clock is a little behind."""


@dataclass(frozen=True)
class MadeCertificate:
    """One authority on disk; ``made`` is False if a valid one already existed."""

    name: str
    certificate: Path
    key: Path
    subject: str
    issuer: str
    not_after: dt.datetime
    made: bool


def make_anchor(lifetime: dt.timedelta = ANCHOR_LIFETIME) -> Authority:
    """A new self-signed trust anchor."""
    return make_authority(ANCHOR_NAME, Validity.lasting(lifetime, CLOCK_SKEW), path_length=1)


def make_issuer(anchor: Authority, lifetime: dt.timedelta = ISSUER_LIFETIME) -> Authority:
    """A new issuer that may sign workloads but no other authorities."""
    return make_authority(ISSUER_NAME, Validity.lasting(lifetime, CLOCK_SKEW), parent=anchor)


def make_certificates(folder: Path, clusters: Sequence[str]) -> list[MadeCertificate]:
    """Ensure that ``folder`` contains ``ca.crt``/``.key`` and ``issuer-CLUSTER.crt``/``.key``, all of mode 0600.

    Valid ones are kept, so a second call changes nothing. An issuer that has expired or that another anchor signed is replaced.
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
        write_private(paths[0], authority.certificate_pem)
        write_private(paths[1], authority.key_pem)
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
    """The authority in these files; None if they are absent or damaged, do not belong together, or have expired."""
    try:
        cert = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != cert.public_key():
        return None
    return Authority(cert, private) if cert.not_valid_after_utc > dt.datetime.now(dt.UTC) else None
