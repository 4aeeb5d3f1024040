"""Deleting a cluster's objects from the etcd that all clusters share, through its JSON gateway (``/v3``)."""

from __future__ import annotations

import base64
import http.client
import json
import ssl

from labs import errors
from labs.embedded import pki, plan

TIMEOUT = 20.0


def prefix(cluster: str) -> str:
    """``--etcd-prefix`` of a cluster's API server. It ends with a slash, so that no cluster's name begins another's."""
    return f"/{cluster}/"


def delete_objects(cluster: str) -> int:
    """Delete everything that a cluster stored, and return the number of keys. Its API server must have stopped.

    Raises:
        LabError: etcd refused, or does not answer.
    """
    first = prefix(cluster).encode()
    # All keys with a prefix lie between it and it with the last byte increased.
    after = first[:-1] + bytes([first[-1] + 1])
    try:
        body = _post("/v3/kv/deleterange", {"key": _text(first), "range_end": _text(after)})
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise errors.LabError(f"etcd does not answer: {error!r}", fix="lab status; lab logs etcd") from error
    return int(body.get("deleted", 0))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _post(path: str, body: dict[str, str]) -> dict[str, str]:
    keys = pki.folder(pki.ETCD)
    context = ssl.create_default_context(cafile=keys / "ca.crt")
    context.load_cert_chain(keys / "client.crt", keys / "client.key")
    connection = http.client.HTTPSConnection(plan.ETCD_HOST, plan.ETCD_CLIENT_PORT, timeout=TIMEOUT, context=context)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise errors.LabError(f"etcd answered {response.status}: {text.strip()}", fix="lab logs etcd")
    found: dict[str, str] = json.loads(text)
    return found
