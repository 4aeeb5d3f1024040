"""The checks that ``linkerd check`` runs on the mesh's certificates."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Awaitable, Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from labs.mesh.certificates import common_name
from labs.mesh.linkerd_cli.checking import CheckError, Look
from labs.mesh.linkerd_cli.checks_control_plane import LINKERD, WEBHOOK, WEBHOOKS
from labs.mesh.linkerd_cli.cluster import find
from labs.mesh.linkerd_cli.commands.install import issued_by
from labs.wire.kube_api import KubeApi

SOON = dt.timedelta(days=60)
Certificates = Callable[[KubeApi], Awaitable[list[x509.Certificate]]]


async def anchors(api: KubeApi) -> list[x509.Certificate]:
    config = await find(api, "configmaps", LINKERD, "linkerd-identity-trust-roots")
    try:
        return x509.load_pem_x509_certificates((config or {})["data"]["ca-bundle.crt"].encode())
    except (KeyError, ValueError):
        raise CheckError("linkerd-identity-trust-roots holds no PEM certificate under ca-bundle.crt") from None


async def issuer(api: KubeApi) -> list[x509.Certificate]:
    secret = await find(api, "secrets", LINKERD, "linkerd-identity-issuer")
    data = (secret or {}).get("data", {})
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(data.get("crt.pem") or data["tls.crt"]))
    except (KeyError, ValueError):
        raise CheckError("linkerd-identity-issuer holds no PEM certificate under crt.pem or tls.crt") from None


async def certificate_config_valid(api: KubeApi) -> None:
    await anchors(api)
    await issuer(api)


def supported(certificates: Certificates) -> Look:
    async def look(api: KubeApi) -> None:
        for certificate in await certificates(api):
            key = certificate.public_key()
            p256 = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
            if not p256 and not isinstance(key, rsa.RSAPublicKey):
                raise CheckError(f"{certificate.subject.rfc4514_string()} must use P-256 curve for public key")

    return look


Judgement = Callable[[x509.Certificate], str]
"""What is wrong with a certificate; empty if nothing is."""


def out_of_date(certificate: x509.Certificate) -> str:
    now = dt.datetime.now(dt.UTC)
    if certificate.not_valid_before_utc > now:
        return f"not valid before: {_time(certificate.not_valid_before_utc)}"
    if certificate.not_valid_after_utc < now:
        return f"not valid anymore. Expired on {_time(certificate.not_valid_after_utc)}"
    return ""


def expires_soon(certificate: x509.Certificate) -> str:
    soon = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) < SOON
    return f"will expire on {_time(certificate.not_valid_after_utc)}" if soon else ""


def within_validity(certificates: Certificates, headline: str = "Invalid anchors:") -> Look:
    """Fails if a certificate is not within its validity period: with the headline and a line for each such certificate."""
    return _listing(certificates, out_of_date, headline, warning=False)


def lasting(certificates: Certificates, headline: str = "Anchors expiring soon:") -> Look:
    """Warns if a certificate expires within 60 days: with the headline and a line for each such certificate."""
    return _listing(certificates, expires_soon, headline, warning=True)


def _listing(certificates: Certificates, judge: Judgement, headline: str, *, warning: bool) -> Look:
    async def look(api: KubeApi) -> None:
        judged = [(found, judge(found)) for found in await certificates(api)]
        wrong = [f"\t* {found.serial_number} {common_name(found.subject)} {text}" for found, text in judged if text]
        if wrong:
            raise CheckError("\n".join([headline, *wrong]), warning=warning)

    return look


async def issuer_within_validity(api: KubeApi) -> None:
    if text := out_of_date((await issuer(api))[0]):
        raise CheckError(f"issuer certificate is {text}")


async def issuer_lasting(api: KubeApi) -> None:
    if text := expires_soon((await issuer(api))[0]):
        raise CheckError(f"issuer certificate {text}", warning=True)


def _time(when: dt.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


async def issuer_signed_by_anchor(api: KubeApi) -> None:
    certificate = (await issuer(api))[0]
    if not any(issued_by(certificate, anchor) for anchor in await anchors(api)):
        raise CheckError("x509: certificate signed by unknown authority")


async def webhook_certificates(api: KubeApi) -> list[x509.Certificate]:
    webhook = await find(api, WEBHOOKS, None, WEBHOOK)
    if webhook is None:
        raise CheckError(f"missing MutatingWebhookConfigurations: {WEBHOOK}")
    bundle = webhook["webhooks"][0]["clientConfig"].get("caBundle", "")
    try:
        return x509.load_pem_x509_certificates(base64.b64decode(bundle))
    except ValueError:
        raise CheckError(f"{WEBHOOK} has no certificate authority") from None
