"""The access log of ``config.linkerd.io/access-log``: a line on standard error for each request that comes in.

Fields and forms are those of linkerd2-proxy (``linkerd/http/access-log``, ``linkerd/tracing/src/access_log.rs``).
"""

from __future__ import annotations

import json
from typing import Any

from labs.pods.mesh_standin import launcher_log as log

APACHE, JSON = "apache", "json"
KEY = "request"
"""Where Envoy's record has these fields; only in proxies with an access log."""
FIELDS = {
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "id": "%DOWNSTREAM_PEER_DNS_SAN%",
    "at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%9fZ)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "host": "%REQ(:AUTHORITY)%",
    "version": "%PROTOCOL%",
    "trace": "%REQ(X-B3-TRACEID?X-REQUEST-ID)%",
    "amazon_trace": "%REQ(X-AMZN-TRACE-ID)%",
    "length": "%REQ(CONTENT-LENGTH)%",
    "answer_length": "%RESP(CONTENT-LENGTH)%",
    "agent": "%REQ(USER-AGENT)%",
    "headers_ns": "%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ns)%",
    "upstream_ns": "%COMMON_DURATION(US_TX_END:US_RX_BEG:ns)%",
}


def style(value: str) -> str:
    """``apache``, ``json``, or empty for no log; anything else is reported as an error and means no log."""
    if value.lower() in (APACHE, JSON, ""):
        return value.lower()
    log.warning(f"Invalid LINKERD2_PROXY_ACCESS_LOG={value!r}: expected either 'apache' or 'json'")
    return ""


def line(record: bytes, wanted: str) -> str | None:
    """The line for a record of Envoy's; None if it is not about an inbound request."""
    fields = json.loads(record)
    request = fields.get(KEY)
    if not request or not (fields.get("route") or "").startswith("in|"):
        return None
    request = {name: "" if value is None else value for name, value in request.items()}
    return (_apache if wanted == APACHE else _json)(request, int(fields["status"] or 0))


def _apache(request: dict[str, Any], status: int) -> str:
    asked = f'"{request["method"]} {_uri(request)} {request["version"]}"'
    return f"{request['client']} {request['id'] or '-'} - [{request['at']}] {asked} {status}"


def _json(request: dict[str, Any], status: int) -> str:
    total = int(request["headers_ns"] or 0)
    own = max(0, total - int(request["upstream_ns"] or 0))
    found = {
        "client.addr": request["client"],
        "client.id": request["id"] or "-",
        "host": request["host"],
        "method": request["method"],
        "processing_ns": str(own),
        "request_bytes": str(request["length"]),
        "response_bytes": str(request["answer_length"]),
        "status": status,
        "timestamp": request["at"],
        "total_ns": str(total),
        "trace_id": request["trace"] or request["amazon_trace"],
        "uri": _uri(request),
        "user_agent": request["agent"],
        "version": request["version"],
    }
    return json.dumps(found, separators=(",", ":"))


def _uri(request: dict[str, Any]) -> str:
    """The full URI for a meshed client; as sent for any other."""
    return f"http://{request['host']}{request['path']}" if request["id"] else str(request["path"])
