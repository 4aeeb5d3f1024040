"""The mesh's certificates: who signs whom, who may read them, and what a second call keeps."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from labs.errors import LabError
from labs.mesh import certificates
from labs.mesh.certificates import MadeCertificate, make_certificates
from labs.mesh.linkerd_cli.commands.install import read_identity


def rewrite(row: MadeCertificate, authority: certificates.Authority) -> None:
    row.certificate.write_text(authority.certificate_pem)
    row.key.write_text(authority.key_pem)


def test_each_cluster_has_an_issuer_signed_by_one_anchor(tmp_path: Path) -> None:
    rows = make_certificates(tmp_path, ["app", "gpu"])
    assert [row.name for row in rows] == ["ca", "issuer-app", "issuer-gpu"]
    assert {row.issuer for row in rows} == {"root.linkerd.cluster.local"}
    assert all(row.made for row in rows)
    read_identity(rows[0].certificate, rows[1].certificate, rows[1].key)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    for row in make_certificates(tmp_path / "certs", ["app"]):
        assert row.certificate.stat().st_mode & 0o777 == 0o600
        assert row.key.stat().st_mode & 0o777 == 0o600


def test_a_second_call_keeps_what_is_good(tmp_path: Path) -> None:
    first = make_certificates(tmp_path, ["app"])
    before = [row.certificate.read_bytes() for row in first]
    second = make_certificates(tmp_path, ["app"])
    assert not any(row.made for row in second)
    assert [row.certificate.read_bytes() for row in second] == before


def test_an_expired_issuer_is_replaced_and_the_anchor_kept(tmp_path: Path) -> None:
    anchor_row, issuer_row = make_certificates(tmp_path, ["app"])
    anchor = certificates.load(anchor_row.certificate, anchor_row.key)
    assert anchor is not None
    rewrite(issuer_row, certificates.make_issuer(anchor, dt.timedelta(seconds=-1)))
    assert [row.made for row in make_certificates(tmp_path, ["app"])] == [False, True]


def test_an_issuer_of_another_anchor_is_replaced(tmp_path: Path) -> None:
    _, issuer_row = make_certificates(tmp_path, ["app"])
    rewrite(issuer_row, certificates.make_issuer(certificates.make_anchor()))
    assert [row.made for row in make_certificates(tmp_path, ["app"])] == [False, True]


def test_install_refuses_an_issuer_that_the_anchor_did_not_sign(tmp_path: Path) -> None:
    ours = make_certificates(tmp_path / "ours", ["app"])
    theirs = make_certificates(tmp_path / "theirs", ["app"])
    with pytest.raises(LabError, match="signed"):
        read_identity(theirs[0].certificate, ours[1].certificate, ours[1].key)


def test_install_refuses_a_key_of_another_certificate(tmp_path: Path) -> None:
    anchor, app, gpu = make_certificates(tmp_path, ["app", "gpu"])
    with pytest.raises(LabError, match="its ECDSA key"):
        read_identity(anchor.certificate, app.certificate, gpu.key)
