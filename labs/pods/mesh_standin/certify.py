"""One exchange with ``linkerd-identity``: a new key, a signing request, the certificate, all to standard output.

The key is never on disk. A separate program, run once a day: its library would cost each proxy 10 MB permanently.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any

from labs.pods.mesh_standin.certificates import new_request
from labs.pods.mesh_standin.envoy_types import Message
from labs.pods.mesh_standin.settings import Settings

TIMEOUT = 10.0
"""Seconds to wait for the identity service's answer."""


def main(_: list[str]) -> int:
    """Print ``{"chain": PEM, "key": PEM, "not_after": seconds since 1970}``; 1 when there was no certificate."""
    settings = Settings.from_environment(os.environ)
    key, csr = new_request(settings.identity)
    try:
        answer = exchange(settings, csr)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"no certificate from {settings.identity_address}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"chain": answer["chain"], "key": key, "not_after": answer["not_after"]}))
    return 0


def exchange(settings: Settings, csr: str) -> Message:
    """The identity service's answer, reached through the cluster's own forward proxy.

    Raises:
        ValueError: it refused, or what answered is not JSON.
        OSError, http.client.HTTPException: it could not be reached.
    """
    body = json.dumps({"csr": csr, "token": Path(settings.token_file).read_text().strip()})
    connection = http.client.HTTPConnection(*settings.cluster_proxy, timeout=TIMEOUT)
    try:
        connection.request("POST", f"http://{settings.identity_address}/v1/certify", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{response.status} {text.decode(errors='replace')[:300]}")
    answer: dict[str, Any] = json.loads(text)
    return answer
