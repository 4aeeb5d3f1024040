"""The clusters' keys and certificates as files: the small part of X.509 a cluster needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.wire import certificates
from labs.wire.certificates import CLIENT, SERVER, Validity
from labs.wire.replace_file import write_private

LIFETIME = dt.timedelta(days=365)
"""A lab lives for hours or weeks; ``lab down`` removes its keys."""
SKEW = dt.timedelta(minutes=5)
"""Certificates start slightly in the past: a time server may set a laptop's clock back."""


def write_key(path: Path) -> certificates.PrivateKey:
    """Make a P-256 key, store it at ``path`` (mode 0600) and return it."""
    key = certificates.new_key()
    write_private(path, certificates.key_to_pem(key))
    return key


def write_public_key(path: Path, key: certificates.PrivateKey) -> None:
    write_private(path, certificates.public_key_to_pem(key.public_key()))


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose key is in memory only while certificates are being issued."""

    folder: Path
    own: certificates.Authority

    @classmethod
    def create(cls, folder: Path, name: str, common_name: str) -> Authority:
        """Make ``folder/name.crt`` and ``folder/name.key``."""
        made = certificates.make_authority(common_name, Validity.lasting(LIFETIME, SKEW))
        write_private(folder / f"{name}.key", certificates.key_to_pem(made.key))
        write_private(folder / f"{name}.crt", certificates.to_pem(made.certificate))
        return cls(folder, made)

    @classmethod
    def load(cls, folder: Path, name: str) -> Authority:
        """The authority that ``create`` made in ``folder``, to issue another certificate."""
        certificate, key = (folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes()
        return cls(folder, certificates.authority_from_pem(certificate, key))

    def issue(self, name: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        """Make ``name.crt`` and ``name.key`` in the authority's folder for Kubernetes user ``user`` in ``groups``.

        Every certificate may act as a client; one with ``hosts`` (names or addresses) as a server too.
        """
        key = write_key(self.folder / f"{name}.key").public_key()
        usages = [CLIENT, *([SERVER] if hosts else [])]
        subject = certificates.name(user, groups)
        certificate = self.own.leaf(key, subject, Validity.lasting(LIFETIME, SKEW), hosts=hosts, usages=usages)
        write_private(self.folder / f"{name}.crt", certificates.to_pem(certificate))
