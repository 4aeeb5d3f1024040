"""The HTTP connection manager both directions share, and the access-log record the launcher counts."""

from __future__ import annotations

from collections.abc import Sequence

from labs.pods.mesh_standin import request_log
from labs.pods.mesh_standin.envoy_types import RBAC, Message, discovered, typed

ACCESS_LOG_FIELDS = {
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "upstream": "%UPSTREAM_HOST%",
    "peer": "%DOWNSTREAM_PEER_DNS_SAN%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "policy": f"%DYNAMIC_METADATA({RBAC}:shadow_effective_policy_id)%",
    "protocol": "%PROTOCOL%",
    "path": "%PATH(NQ)%",
    "total_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "first_us": "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%",
    "grpc": "%TRAILER(grpc-status)%",
    "grpc_alone": "%RESP(GRPC-STATUS)%",  # of an answer without a message, which is headers only
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "mesh": "%DYNAMIC_METADATA(l5d)%",
    "error": "%RESP(L5D-PROXY-ERROR)%",
    "timeout": "%METADATA(ROUTE:l5d:timeout_name)%",
}
"""One JSON line per finished request; the launcher reads them from Envoy's standard output."""


def access_log(*, requests: bool = False) -> list[Message]:
    """``requests``: with the fields of a learner's access log."""
    log_format = {"json_format": {**ACCESS_LOG_FIELDS, **({request_log.KEY: request_log.FIELDS} if requests else {})}}
    return [{"name": "stdout", "typed_config": typed("access_loggers.stream.v3.StdoutAccessLog", log_format=log_format)}]


def rbac_filter() -> Message:
    return {"name": RBAC, "typed_config": typed("filters.http.rbac.v3.RBAC")}


def connection_manager(
    name: str, routes: str, local_replies: Sequence[Message], filters: Sequence[Message], *, log_requests: bool = False
) -> Message:
    """A network filter that speaks HTTP/1 and HTTP/2, routes by ``routes``, adds no headers and never times out."""
    router = {"name": "router", "typed_config": typed("filters.http.router.v3.Router", suppress_envoy_headers=True)}
    config = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        rds={"route_config_name": routes, "config_source": discovered()},
        http_filters=[*filters, router],
        access_log=access_log(requests=log_requests),
        http_protocol_options={"accept_http_10": True},
        upgrade_configs=[{"upgrade_type": "websocket"}],
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation="PASS_THROUGH",
        stream_idle_timeout="0s",
        local_reply_config={"mappers": list(local_replies), "body_format": {"text_format_source": {"inline_string": ""}}},
    )
    return {"name": "http", "typed_config": config}


def local_reply(status: int, error: str, *, flags: Sequence[str]) -> Message:
    """Answer ``status`` and ``l5d-proxy-error`` where Envoy itself failed a request with one of ``flags``."""
    return {
        "filter": {"response_flag_filter": {"flags": list(flags)}},
        "status_code": status,
        "headers_to_add": [
            {"header": {"key": "l5d-proxy-error", "value": error}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
    }
