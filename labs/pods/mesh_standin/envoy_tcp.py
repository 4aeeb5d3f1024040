"""Connections that are passed on as bytes: who may open them, where they go, and what is logged for the launcher."""

from __future__ import annotations

from labs.pods.mesh_standin import envoy_rbac
from labs.pods.mesh_standin.envoy_types import Message, typed
from labs.pods.mesh_standin.proxy_config import InboundPort

NETWORK_RBAC = "envoy.filters.network.rbac"
"""Where Envoy leaves the policy by which a connection was admitted."""
CONNECTION_FIELDS = {
    "id": "%CONNECTION_ID%",
    "type": "%ACCESS_LOG_TYPE%",
    "peer": "%DOWNSTREAM_PEER_DNS_SAN%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "policy": f"%DYNAMIC_METADATA({NETWORK_RBAC}:shadow_effective_policy_id)%",
    "details": "%CONNECTION_TERMINATION_DETAILS%",
}
FIRST_WORD, FIRST_WORD_UNTIL_MS = "1s", 1900
"""A long connection is reported once, at this age; Envoy could only report it repeatedly."""


def filters(port: InboundPort) -> list[Message]:
    """The network filters of an inbound port for anything but HTTP: judged at the first byte, then passed on to the app."""
    authorizations = envoy_rbac.rules(port["authorizations"])
    rbac = typed("filters.network.rbac.v3.RBAC", rules=authorizations, shadow_rules=authorizations, stat_prefix="tcp")
    proxy = typed(
        "filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="tcp",
        cluster=f"app-{port['port']}",
        idle_timeout="0s",
        access_log=[_access_log(port)],
        access_log_options={"access_log_flush_interval": FIRST_WORD},
    )
    return [{"name": "rbac", "typed_config": rbac}, {"name": "tcp", "typed_config": proxy}]


def target_name(port: InboundPort) -> str:
    """What a record says of where its connection arrived: ``PORT|server``."""
    return f"{port['port']}|{envoy_rbac.ref_key(port['server'])}"


def _access_log(port: InboundPort) -> Message:
    log_format = {"json_format": {"tcp": target_name(port), **CONNECTION_FIELDS}}
    young = {"op": "LE", "value": {"default_value": FIRST_WORD_UNTIL_MS, "runtime_key": "none"}}
    once = [{"log_type_filter": {"types": ["TcpPeriodic"]}}, {"duration_filter": {"comparison": young}}]
    told = [{"log_type_filter": {"types": ["TcpConnectionEnd"]}}, {"and_filter": {"filters": once}}]
    return {
        "name": "stdout",
        "filter": {"or_filter": {"filters": told}},
        "typed_config": typed("access_loggers.stream.v3.StdoutAccessLog", log_format=log_format),
    }
