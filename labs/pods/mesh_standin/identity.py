"""``linkerd-identity``: a ServiceAccount token and a signing request become a 24-hour certificate in the account's name."""

from __future__ import annotations

import datetime
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from labs.pods.mesh_standin import events, service
from labs.pods.mesh_standin.certificates import Issuer, names_of
from labs.wire.certificates import to_pem
from labs.wire.kube_api import ApiError, KubeApi, in_cluster
from labs.wire.linkerd import identity_of

log = logging.getLogger(__name__)

AUDIENCE = "identity.l5d.io"
PORT = 8080
COMPONENT = "linkerd-identity"
TOKEN_REVIEWS = "authentication.k8s.io/v1/tokenreviews"


class Refused(Exception):
    """The caller may not have this certificate; ``status`` is the HTTP status to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Identity:
    """The service. ``issuer_dir``: Secret ``linkerd-identity-issuer`` mounted, ``anchors``: the trust anchors; read each time."""

    api: KubeApi
    issuer_dir: Path
    anchors: Path

    async def certify(self, request: web.Request) -> web.Response:
        """POST ``{"csr": PEM, "token": JWT}`` → ``{"chain": PEM, "not_after": seconds since 1970}``."""
        body = await request.json()
        try:
            namespace, account = await self._account(body["token"])
            certificate, chain = self._sign(body["csr"], identity_of(account, namespace))
        except Refused as refused:
            log.warning("refused a certificate: %s", refused)
            return web.json_response({"error": str(refused)}, status=refused.status)
        await self._announce(certificate, namespace, account)
        return web.json_response({"chain": chain, "not_after": certificate.not_valid_after_utc.timestamp()})

    async def _account(self, token: str) -> tuple[str, str]:
        """Namespace and name of the ServiceAccount whose token this is, as the API server says."""
        spec = {"token": token, "audiences": [AUDIENCE]}
        review = await self.api.create(
            TOKEN_REVIEWS, None, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        )
        status = review.get("status", {})
        parts = status.get("user", {}).get("username", "").split(":")
        if not status.get("authenticated") or parts[:2] != ["system", "serviceaccount"]:
            raise Refused(
                401, f"expected a ServiceAccount token for audience {AUDIENCE}; {status.get('error', 'it is not valid')}"
            )
        return parts[2], parts[3]

    def _sign(self, csr_pem: str, name: str) -> tuple[x509.Certificate, str]:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        if names_of(csr) != [name] or not csr.is_signature_valid:
            raise Refused(403, f"expected a valid request for {name}; found one for {', '.join(names_of(csr)) or 'no name'}")
        now = datetime.datetime.now(datetime.UTC)
        try:
            issuer = self.issuer(now)
        except ValueError as error:
            raise Refused(503, str(error)) from error
        try:
            certificate = issuer.sign(csr, name, now)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return certificate, to_pem(certificate, *issuer.chain)

    def issuer(self, now: datetime.datetime) -> Issuer:
        """The issuer as currently mounted. Raises ValueError when no proxy would accept what it signs."""
        issuer = read_issuer(self.issuer_dir)
        issuer.check(x509.load_pem_x509_certificates(self.anchors.read_bytes()), now)
        return issuer

    async def _announce(self, certificate: x509.Certificate, namespace: str, account: str) -> None:
        until = certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
        digest = certificate.fingerprint(hashes.SHA256()).hex()
        message = f"issued certificate for {identity_of(account, namespace)} until {until}: {digest}"
        log.info(message)
        involved = {"apiVersion": "v1", "kind": "ServiceAccount", "namespace": namespace, "name": account}
        try:
            await events.emit(self.api, involved, "IssuedLeafCertificate", message, component=COMPONENT)
        except ApiError as error:  # the certificate matters more than the event
            log.warning("could not record the event: %s", error)


def read_issuer(folder: Path) -> Issuer:
    """The issuer in either form of the Secret: ``tls.crt``/``tls.key`` or Linkerd's own ``crt.pem``/``key.pem``."""
    certificate, key = ("tls.crt", "tls.key") if (folder / "tls.crt").exists() else ("crt.pem", "key.pem")
    return Issuer.from_pem((folder / certificate).read_bytes(), (folder / key).read_bytes())


async def serve(settings: Any = os.environ) -> None:
    """Run until SIGTERM. Raises OSError or ValueError at once when the issuer cannot be read or would be useless."""
    folder = Path(settings.get("ISSUER_DIR") or service.rooted("/var/run/linkerd/identity/issuer"))
    anchors = Path(service.anchors_path())
    async with KubeApi(in_cluster(), user_agent=COMPONENT) as api:
        identity = Identity(api, folder, anchors)
        identity.issuer(datetime.datetime.now(datetime.UTC))
        application = service.application()
        application.router.add_post("/v1/certify", identity.certify)
        await service.run(application, PORT)
