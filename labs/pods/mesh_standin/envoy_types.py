"""The few Envoy message types the proxy's configuration is made of, as JSON (proto3 JSON mapping, Envoy API v3)."""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]

EXTENSIONS = "type.googleapis.com/envoy.extensions"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SECRET = f"{EXTENSIONS}.transport_sockets.tls.v3.Secret"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
RBAC = "envoy.filters.http.rbac"
DISCOVERY_CLUSTER = "discovery"
IDENTITY_SECRET = "identity"
ANCHORS_SECRET = "trust-anchors"
UNLIMITED = 1 << 20


def typed(message: str, **fields: Any) -> Message:
    """A ``google.protobuf.Any`` of an extension's message, e.g. ``filters.http.router.v3.Router``."""
    return {"@type": f"{EXTENSIONS}.{message}", **fields}


def address(host: str, port: int) -> Message:
    return {"socket_address": {"address": host, "port_value": port}}


def discovered() -> Message:
    """A ConfigSource: Envoy asks the launcher, which answers when something changes."""
    source = {
        "api_type": "REST",
        "transport_api_version": "V3",
        "cluster_names": [DISCOVERY_CLUSTER],
        "refresh_delay": "0.02s",
        "request_timeout": "60s",
    }
    return {"api_config_source": source, "resource_api_version": "V3"}


def secret_ref(name: str) -> Message:
    return {"name": name, "sds_config": discovered()}


def common_tls(validation: Message) -> Message:
    """This pod's certificate for the peer, and the trust anchors plus ``validation`` for the peer's."""
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [secret_ref(IDENTITY_SECRET)],
        "combined_validation_context": {
            "default_validation_context": validation,
            "validation_context_sds_secret_config": {"name": ANCHORS_SECRET},  # of the bootstrap
        },
    }


def server_tls() -> Message:
    """mTLS as a server: any certificate the trust anchors vouch for; the routes decide who may do what."""
    context = typed(
        "transport_sockets.tls.v3.DownstreamTlsContext", require_client_certificate=True, common_tls_context=common_tls({})
    )
    return {"name": "tls", "typed_config": context}


def client_tls(identity: str) -> Message:
    """mTLS as a client that insists on the peer's ``identity`` (SNI and DNS SAN)."""
    wanted = {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": identity}}]}
    context = typed("transport_sockets.tls.v3.UpstreamTlsContext", sni=identity, common_tls_context=common_tls(wanted))
    return {"name": "tls", "typed_config": context}


def plaintext() -> Message:
    return {"name": "raw", "typed_config": typed("transport_sockets.raw_buffer.v3.RawBuffer")}


def http_options(**explicit: Any) -> Message:
    """Upstream HTTP options: the caller's protocol is kept (HTTP/1 stays HTTP/1) unless ``explicit`` says otherwise."""
    protocols = explicit or {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
    # Idle upstream connections close before the app's own keep-alive limit (75 s in most Python servers) can race a request.
    common = {"idle_timeout": "30s"}
    return {HTTP_OPTIONS: typed("upstreams.http.v3.HttpProtocolOptions", common_http_protocol_options=common, **protocols)}


def no_limits() -> Message:
    thresholds = {
        "max_connections": UNLIMITED,
        "max_pending_requests": UNLIMITED,
        "max_requests": UNLIMITED,
        "max_retries": UNLIMITED,
    }
    return {"thresholds": [thresholds]}
