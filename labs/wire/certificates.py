"""Builds every X.509 certificate of the lab: for the clusters, the mesh's anchors, issuers and leaves, and the webhook.

All keys are ECDSA P-256.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
LONGEST_COMMON_NAME = 64
"""Characters (RFC 5280, ub-common-name)."""


@dataclass(frozen=True)
class Validity:
    """When a certificate is valid; both times are timezone-aware."""

    begin: dt.datetime
    end: dt.datetime

    @classmethod
    def lasting(cls, lifetime: dt.timedelta, skew: dt.timedelta) -> Validity:
        """From ``skew`` ago, so that a clock that is a little behind accepts it, for ``lifetime`` from now."""
        now = dt.datetime.now(dt.UTC)
        return cls(now - skew, now + lifetime)


@dataclass(frozen=True)
class Authority:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> str:
        return to_pem(self.certificate)

    @property
    def key_pem(self) -> str:
        """The key as ``EC PRIVATE KEY``, the form that ``step`` writes and Linkerd's tools read."""
        return key_to_pem(self.key, serialization.PrivateFormat.TraditionalOpenSSL)

    def signed(self, other: x509.Certificate) -> bool:
        """Whether this authority issued ``other``."""
        return has_signed(self.certificate, other)

    def leaf(
        self,
        key: PublicKey,
        subject: x509.Name,
        validity: Validity,
        *,
        hosts: Sequence[str] = (),
        usages: Sequence[x509.ObjectIdentifier] = (CLIENT, SERVER),
    ) -> x509.Certificate:
        """A certificate for ``key`` that may not sign others; ``hosts`` are names or addresses."""
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage(usages), False),
            (_key_usage(signs_certificates=False), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        ]
        if hosts:  # RFC 5280: critical if the subject is empty
            extensions.append((x509.SubjectAlternativeName([_general_name(host) for host in hosts]), not list(subject)))
        return _signed(key, subject, self.certificate.subject, validity, extensions, self.key)


def make_authority(
    common_name: str, validity: Validity, *, path_length: int | None = 0, parent: Authority | None = None
) -> Authority:
    """A new authority, signed by ``parent`` or by itself; ``path_length``: how many levels of authorities may be below it."""
    key = new_key()
    subject = name(common_name)
    signer = parent.key if parent else key
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage(signs_certificates=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ]
    issuer = parent.certificate.subject if parent else subject
    return Authority(_signed(key.public_key(), subject, issuer, validity, extensions, signer), key)


def _signed(
    key: PublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    validity: Validity,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    signer: PrivateKey,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), validity.begin, validity.end)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def has_signed(issuer: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether the key of ``issuer`` signed ``other``, and ``other`` names it as its issuer."""
    try:
        other.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str, organizations: Sequence[str] = ()) -> x509.Name:
    """A subject; it has no common name if ``common_name`` is too long for one."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    if len(common_name) <= LONGEST_COMMON_NAME:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def common_name(found: x509.Name) -> str:
    """The CN of a subject or issuer, or the empty string."""
    return next((str(attribute.value) for attribute in found.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def to_pem(*certificates: x509.Certificate) -> str:
    """Certificates, one after the other."""
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)


def key_to_pem(key: PrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    """A private key, not encrypted."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def authority_from_pem(certificate: bytes, key: bytes) -> Authority:
    """The authority with this certificate and this key.

    Raises:
        ValueError: they are not PEM, or the key is not ECDSA.
    """
    private = serialization.load_pem_private_key(key, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"expected an ECDSA key; found {type(private).__name__}")
    return Authority(x509.load_pem_x509_certificate(certificate), private)


def public_key_to_pem(key: PublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()
