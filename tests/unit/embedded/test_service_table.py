"""Services and EndpointSlices as the service proxy reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labs.embedded.service_proxy import envoy
from labs.embedded.service_proxy.__main__ import missing_load_balancer_address
from labs.embedded.service_proxy.table import ServiceTable


def service(ip: str = "10.11.3.4", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 8080}, {"name": "metrics", "port": 8001}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {"metadata": {"namespace": "ml", "name": "web"}, "spec": {"clusterIP": ip, "ports": ports} | spec}


def endpoint_slice(name: str = "web-1", address: str = "10.10.2.5", ready: bool | None = True) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ml", "name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 9000}],
        "endpoints": [{"addresses": [address], "conditions": {} if ready is None else {"ready": ready}}],
    }


def table(*slices: dict[str, Any], **spec: Any) -> ServiceTable:
    found = ServiceTable()
    found.note_service("ADDED", service(**spec))
    for item in slices:
        found.note_slice("ADDED", item)
    return found


def test_ports_are_matched_by_name_and_addresses_become_loopback() -> None:
    metrics, http = table(endpoint_slice(), endpoint_slice("web-2", "10.21.7.8")).ports()
    assert (http.id, http.endpoints) == ("ml/web:8080", (("127.10.2.5", 9000), ("127.21.7.8", 9000)))
    assert (metrics.id, metrics.endpoints) == ("ml/web:8001", ())


def test_only_ready_endpoints_and_no_condition_means_ready() -> None:
    rows = table(endpoint_slice(ready=False), endpoint_slice("web-2", "10.10.2.6", ready=None)).ports()
    assert rows[1].endpoints == (("127.10.2.6", 9000),)


def test_deleted_objects_are_forgotten() -> None:
    found = table(endpoint_slice())
    found.note_slice("DELETED", endpoint_slice())
    assert found.ports()[1].endpoints == ()
    found.note_service("DELETED", service())
    assert found.ports() == []


def test_headless_services_have_names_but_no_listener(tmp_path: Path) -> None:
    rows = table(endpoint_slice(), ip="None").ports()
    assert "web.ml.svc.cluster.local" in rows[1].hosts and len(rows[1].hosts) == 3
    envoy.write(tmp_path, "127.10.0.1", 3128, rows)
    assert [row["name"] for row in resources(tmp_path, "lds")] == ["forward-proxy"]


def test_envoy_listens_only_where_there_are_endpoints(tmp_path: Path) -> None:
    envoy.write(tmp_path, "127.10.0.1", 3128, table(endpoint_slice()).ports())
    listeners = {row["name"]: row["address"]["socket_address"] for row in resources(tmp_path, "lds")}
    assert listeners["ml/web:8080"] == {"address": "127.11.3.4", "port_value": 8080}
    assert "ml/web:8001" not in listeners


def test_unchanged_files_are_not_written_again(tmp_path: Path) -> None:
    rows = table(endpoint_slice()).ports()
    envoy.write(tmp_path, "127.10.0.1", 3128, rows)
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    envoy.write(tmp_path, "127.10.0.1", 3128, rows)
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


def resources(folder: Path, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / f"{kind}.json").read_text())["resources"]
    return found


def test_load_balancers_get_their_cluster_ip_once() -> None:
    item = service(type="LoadBalancer")
    assert missing_load_balancer_address(item) == "10.11.3.4"
    item["status"] = {"loadBalancer": {"ingress": [{"ip": "10.11.3.4", "ipMode": "VIP"}]}}
    assert missing_load_balancer_address(item) is None
    assert missing_load_balancer_address(service()) is None
