"""Who gets which certificate."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from labs.pods.mesh_standin import service
from labs.pods.mesh_standin.certificates import Issuer, names_of, new_request
from labs.pods.mesh_standin.identity import Identity, read_issuer
from labs.wire.certificates import to_pem
from tests.unit.mesh_standin.control_plane import new_issuer

NAME = "server.demo.serviceaccount.identity.linkerd.cluster.local"
LONG = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


class ReviewingApi:
    """Knows one token."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    async def create(self, resource: str, _: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if resource == "events":
            self.events.append(body)
            return body
        assert body["spec"]["audiences"] == ["identity.l5d.io"]
        if body["spec"]["token"] != "good":
            return {"status": {"authenticated": False, "error": "token is bad"}}
        return {"status": {"authenticated": True, "user": {"username": "system:serviceaccount:demo:server"}}}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    issuer = new_issuer()
    key = issuer.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "crt.pem").write_text(to_pem(*issuer.chain))
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "anchors.pem").write_text(to_pem(*issuer.chain))
    return issuer


async def certify(folder: Path, token: str, name: str, api: ReviewingApi | None = None) -> tuple[int, dict[str, Any]]:
    application = service.application()
    identity = Identity(api or ReviewingApi(), folder, folder / "anchors.pem")  # type: ignore[arg-type]
    application.router.add_post("/v1/certify", identity.certify)
    async with TestClient(TestServer(application)) as client:
        answer = await client.post("/v1/certify", json={"csr": new_request(name)[1], "token": token})
        return answer.status, await answer.json()


async def test_a_valid_token_gets_a_certificate_in_its_own_name(issuer: Issuer, tmp_path: Path) -> None:
    api = ReviewingApi()
    status, answer = await certify(tmp_path, "good", NAME, api)
    leaf, *rest = x509.load_pem_x509_certificates(answer["chain"].encode())
    assert status == 200
    leaf.verify_directly_issued_by(issuer.chain[0])
    assert rest == list(issuer.chain)
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == [NAME]
    assert api.events[0]["reason"] == "IssuedLeafCertificate"
    assert api.events[0]["message"].startswith(f"issued certificate for {NAME} until 20")


@pytest.mark.parametrize(("token", "name", "status"), [("bad", NAME, 401), ("good", LONG, 403)])
async def test_others_get_none(issuer: Issuer, tmp_path: Path, token: str, name: str, status: int) -> None:
    assert (await certify(tmp_path, token, name))[0] == status


@pytest.mark.parametrize("name", [NAME, LONG])
def test_a_leaf_lives_24_hours_but_not_longer_than_its_issuer(name: str) -> None:
    issuer = new_issuer()
    leaf = issuer.sign(x509.load_pem_x509_csr(new_request(name)[1].encode()), name, datetime.datetime.now(datetime.UTC))
    assert leaf.not_valid_after_utc <= issuer.chain[0].not_valid_after_utc
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= datetime.timedelta(hours=24, seconds=40)
    assert names_of(x509.load_pem_x509_csr(new_request(name)[1].encode())) == [name]


def test_a_key_that_is_not_the_issuers_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    other = new_issuer().key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(other)
    with pytest.raises(ValueError, match="does not belong"):
        read_issuer(tmp_path)


async def test_anchors_that_do_not_vouch_for_the_issuer(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "anchors.pem").write_text(to_pem(*new_issuer().chain))
    status, answer = await certify(tmp_path, "good", NAME)
    assert status == 503
    assert answer["error"].endswith("with trust anchors: x509: certificate signed by unknown authority")


@pytest.mark.parametrize("days", [-2, 2])
def test_an_issuer_out_of_date_signs_nothing(issuer: Issuer, days: int) -> None:
    now = datetime.datetime.now(datetime.UTC)
    issuer.check(issuer.chain, now)
    with pytest.raises(ValueError, match="x509: certificate has expired or is not yet valid"):
        issuer.check(issuer.chain, now + datetime.timedelta(days=days))


def test_a_clock_that_is_a_little_behind_is_no_reason(issuer: Issuer) -> None:
    issuer.check(issuer.chain, issuer.chain[0].not_valid_before_utc - datetime.timedelta(seconds=10))
