"""X.509 for the mesh: what the identity service signs and what a proxy asks it to sign."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER_NAME = "identity.linkerd.cluster.local"
LIFETIME = datetime.timedelta(hours=24)
CLOCK_SKEW = datetime.timedelta(seconds=20)
"""Linkerd's default skew allowance: certificates start a little in the past."""


@dataclass(frozen=True)
class Issuer:
    """The key that signs leaf certificates, and its certificate chain up to below the trust anchor (PEM)."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Issuer:
        """Raises ValueError when the key is not an EC key or does not belong to the certificate."""
        private = serialization.load_pem_private_key(key, None)
        chain = tuple(x509.load_pem_x509_certificates(certificate))
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError(f"expected an EC private key for the issuer; found {type(private).__name__}")
        if chain[0].public_key() != private.public_key():
            raise ValueError("the issuer's private key does not belong to its certificate")
        return cls(private, chain)

    def check(self, anchors: Sequence[x509.Certificate], now: datetime.datetime) -> None:
        """Raises ValueError when what this issuer signs would be of no use: it is out of date, or no anchor vouches for it."""
        problem = self._problem(anchors, now)
        if problem:  # in Linkerd's words, which are those of Go's x509
            raise ValueError(f"failed to verify issuer credentials for '{ISSUER_NAME}' with trust anchors: x509: {problem}")

    def _problem(self, anchors: Sequence[x509.Certificate], now: datetime.datetime) -> str:
        begin, end = self.chain[0].not_valid_before_utc, self.chain[0].not_valid_after_utc
        if now < begin - CLOCK_SKEW:
            return f"certificate has expired or is not yet valid: current time {now} is before {begin}"
        if now >= end:
            return f"certificate has expired or is not yet valid: current time {now} is after {end}"
        vouched_for = any(_vouches(anchor, self.chain[-1]) for anchor in anchors)
        return "" if vouched_for else "certificate signed by unknown authority"

    def sign(self, csr: x509.CertificateSigningRequest, name: str, now: datetime.datetime) -> x509.Certificate:
        """A leaf for ``name`` only, whatever else the request asks for, valid for 24 hours from ``now`` (aware, UTC)."""
        issuer = self.chain[0]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= 64 else []))
            .issuer_name(issuer.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + LIFETIME + CLOCK_SKEW, issuer.not_valid_after_utc))
        )
        for extension, critical in _leaf_extensions(name, issuer):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


def _vouches(anchor: x509.Certificate, certificate: x509.Certificate) -> bool:
    if anchor == certificate:
        return True
    try:
        certificate.verify_directly_issued_by(anchor)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _leaf_extensions(name: str, issuer: x509.Certificate) -> list[tuple[x509.ExtensionType, bool]]:
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return [
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(_ec_public_key(issuer)), False),
        # RFC 5280: critical where the subject is empty, as it is for names a CN cannot hold.
        (x509.SubjectAlternativeName([x509.DNSName(name)]), len(name) > 64),
    ]


def _ec_public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey), "Issuer.from_pem has checked it"
    return key


def names_of(csr: x509.CertificateSigningRequest) -> list[str]:
    """The DNS names a request asks for."""
    try:
        extension = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def new_request(name: str) -> tuple[str, str]:
    """A new P-256 private key (PEM, PKCS 8) and a request (PEM) for a certificate in ``name``."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), csr.public_bytes(serialization.Encoding.PEM).decode()


def to_pem(*certificates: x509.Certificate) -> str:
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)
