"""What Envoy says about connections whose content it does not look at (`envoy_tcp`)."""

from __future__ import annotations

import json
from typing import NamedTuple

from labs.pods.mesh_standin.envoy_rbac import parse_ref
from labs.pods.mesh_standin.proxy_config import Ref


class Connection(NamedTuple):
    """One inbound connection, while it is open or, if ``ended``, after it. ``policy`` is None before its first byte."""

    id: str
    port: int
    server: Ref
    peer: str
    client: str
    policy: Ref | None
    denied: bool
    ended: bool


def is_about_one(line: bytes) -> bool:
    """Whether a line of the access log is about a connection, not a request: in a text a quote would be escaped."""
    return b'"tcp":' in line


def parse(line: bytes) -> Connection:
    """A connection from one JSON line of the access log.

    Raises:
        ValueError: the line is not such a record.
    """
    try:
        fields = json.loads(line)
        port, _, server = fields["tcp"].partition("|")
        return Connection(
            id=str(fields["id"]),
            port=int(port),
            server=parse_ref(server),
            peer=fields["peer"] or "",
            client=fields["client"] or "",
            policy=parse_ref(fields["policy"].partition(" ")[2]) if fields["policy"] else None,
            denied=(fields["details"] or "").startswith("rbac_access_denied"),
            ended=fields["type"] == "TcpConnectionEnd",
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"expected a record of a connection; found {line[:200]!r} ({error!r})") from error
