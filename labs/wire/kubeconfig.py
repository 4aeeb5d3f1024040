"""Turns a kubeconfig into credentials: for a command with ``--context``, and for a pod with a kubeconfig in a Secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from labs.wire.kube_api import Credentials
from labs.wire.replace_file import write_private

FILES = {"certificate-authority": "ca.crt", "client-certificate": "client.crt", "client-key": "client.key"}
"""The kubeconfig key for each file, and the file name for its inline form (``…-data``)."""


def credentials(kubeconfig: dict[str, Any], folder: Path, context: str | None = None) -> Credentials:
    """The credentials of ``context`` (the current one if None). Inline data is written to files in ``folder``, mode 0600.

    Raises:
        KeyError: the context, or the cluster or user it names, does not exist; the message lists those that do.
    """
    name = context or kubeconfig.get("current-context") or ""
    chosen = _named(kubeconfig, "contexts", name)["context"]
    cluster = _named(kubeconfig, "clusters", chosen["cluster"])["cluster"]
    user = _named(kubeconfig, "users", chosen["user"])["user"]
    return Credentials(
        server=cluster["server"],
        ca_file=_file(cluster, "certificate-authority", folder) or "",
        token_file=_token_file(user, folder),
        cert_file=_file(user, "client-certificate", folder),
        key_file=_file(user, "client-key", folder),
    )


def _named(kubeconfig: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = kubeconfig.get(kind) or []
    for row in rows:
        if row["name"] == name:
            return row
    raise KeyError(f"no entry {name!r} under {kind}; there are: {', '.join(sorted(row['name'] for row in rows)) or 'none'}")


def _file(row: dict[str, Any], key: str, folder: Path) -> str | None:
    if inline := row.get(f"{key}-data"):
        return _write(folder / FILES[key], base64.b64decode(inline))
    return row.get(key)


def _token_file(user: dict[str, Any], folder: Path) -> str | None:
    if token := user.get("token"):
        return _write(folder / "token", token.encode())
    return user.get("tokenFile")


def _write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, content)
    return str(path)
