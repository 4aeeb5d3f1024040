"""From Envoy's access log to records."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.pods.mesh_standin.access_log import parse
from labs.pods.mesh_standin.envoy_http import ACCESS_LOG_FIELDS
from labs.pods.mesh_standin.envoy_inbound import route_name
from labs.pods.mesh_standin.envoy_rbac import ref_key
from labs.pods.mesh_standin.proxy_config import InboundPort, Ref, default_ref, service_key
from labs.pods.mesh_standin.proxy_metrics import classify

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
PORTS = st.integers(1, 65535)
REFS = st.one_of(
    NAMES.map(default_ref),
    st.builds(lambda kind, name: {"group": "policy.linkerd.io", "kind": kind, "name": name}, st.sampled_from(["server"]), NAMES),
)


def line(**fields: object) -> str:
    return json.dumps(dict.fromkeys(ACCESS_LOG_FIELDS, None) | fields)


@given(PORTS, REFS, REFS, NAMES, NAMES)
def test_every_route_name_we_write_is_read_back(port: int, server: Ref, route: Ref, namespace: str, name: str) -> None:
    inbound: InboundPort = {"port": port, "server": server, "opaque": False, "authorizations": [], "routes": []}
    key = service_key(
        {"namespace": namespace, "name": name, "port": port, "cluster_ip": "", "remote_authority": None, "endpoints": []}
    )
    written = f"{route_name(inbound, {'ref': route, 'matches': [], 'authorizations': []})}|{key}"
    record = parse(line(route=written, status=200, policy=f"007 {ref_key(route)}"))
    assert record.inbound is not None and record.outbound is not None
    assert (record.inbound.port, record.inbound.server, record.inbound.route) == (port, server, route)
    assert record.outbound.key == key
    assert record.policy == route


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)))
def test_anything_else_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_latency_runs_to_the_first_byte_and_falls_back_to_the_end() -> None:
    assert parse(line(route="endpoint", total_us=5000, first_us=2000)).latency_ms == 2
    assert parse(line(route="endpoint", total_us=5000)).latency_ms == 5


def test_a_denial_is_told_by_envoys_details() -> None:
    assert parse(line(route="", details="rbac_access_denied_matched_policy[none]")).denied
    assert not parse(line(route="", details="via_upstream", status=403)).denied


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"grpc": "0"}, "success"),
        ({"grpc": "5"}, "success"),
        ({"grpc": "7"}, "failure"),
        ({"grpc_alone": "14"}, "failure"),
        ({"grpc_alone": "12"}, "success"),
        ({"status": 500}, "failure"),
        ({"status": 403}, "success"),
        ({"status": 0}, "failure"),
    ],
)
def test_a_request_is_classified_as_linkerd_does(fields: dict[str, object], expected: str) -> None:
    assert classify(parse(line(**{"route": "endpoint", "status": 200, **fields}))) == expected
