"""X.509 for the mesh: what the identity service signs and what a proxy asks it to sign."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from labs.wire import certificates
from labs.wire.certificates import Authority, Validity, has_signed

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
        """Raises ValueError when this issuer's certificates would be useless: it is out of date, or no anchor vouches for it."""
        problem = self._problem(anchors, now)
        if problem:  # in Linkerd's words, which are those of Go's x509
            raise ValueError(f"failed to verify issuer credentials for '{ISSUER_NAME}' with trust anchors: x509: {problem}")

    def _problem(self, anchors: Sequence[x509.Certificate], now: datetime.datetime) -> str:
        begin, end = self.chain[0].not_valid_before_utc, self.chain[0].not_valid_after_utc
        if now < begin - CLOCK_SKEW:
            return f"certificate has expired or is not yet valid: current time {now} is before {begin}"
        if now >= end:
            return f"certificate has expired or is not yet valid: current time {now} is after {end}"
        vouched_for = any(anchor == self.chain[-1] or has_signed(anchor, self.chain[-1]) for anchor in anchors)
        return "" if vouched_for else "certificate signed by unknown authority"

    def sign(self, csr: x509.CertificateSigningRequest, name: str, now: datetime.datetime) -> x509.Certificate:
        """A leaf for ``name`` only, whatever else the request asks for, valid for 24 hours from ``now`` (aware, UTC)."""
        issuer = self.chain[0]
        validity = Validity(now - CLOCK_SKEW, min(now + LIFETIME + CLOCK_SKEW, issuer.not_valid_after_utc))
        key = csr.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError(f"expected a request for an EC key; found {type(key).__name__}")
        return Authority(issuer, self.key).leaf(key, certificates.name(name), validity, hosts=[name])


def names_of(csr: x509.CertificateSigningRequest) -> list[str]:
    """The DNS names a request asks for."""
    try:
        extension = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def new_request(name: str) -> tuple[str, str]:
    """A new P-256 private key (PEM, PKCS 8) and a request (PEM) for a certificate in ``name``."""
    key = certificates.new_key()
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .sign(key, hashes.SHA256())
    )
    return certificates.key_to_pem(key), csr.public_bytes(serialization.Encoding.PEM).decode()
