"""``linkerd diagnostics endpoints``: the endpoints behind one port of a Service."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from labs.errors import LabError
from labs.mesh.linkerd_cli.commands import diagnostics

SERVICE = {
    "spec": {
        "ports": [
            {"name": "http", "port": 80, "targetPort": "web"},
            {"name": "metrics", "port": 9090, "targetPort": 4191},
        ]
    }
}
SLICE = {
    "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 4191}],
    "endpoints": [
        {"addresses": ["10.1.0.2"], "targetRef": {"name": "b"}, "conditions": {"ready": True}},
        {"addresses": ["10.1.0.1"], "targetRef": {"name": "a"}},
        {"addresses": ["10.1.0.3"], "targetRef": {"name": "c"}, "conditions": {"ready": False}},
    ],
}


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    async def items(_api: Any, resource: str, _namespace: str, **_params: str) -> list[dict[str, Any]]:
        return [SERVICE] if resource == "services" else [SLICE]

    monkeypatch.setattr(diagnostics, "items", items)


def endpoints(authority: str) -> list[tuple[str, str]]:
    rows = asyncio.run(diagnostics.ready_endpoints(cast("Any", None), authority))
    assert {row[0] for row in rows} == {"ns"} and {row[4] for row in rows} == {"web.ns"}
    return [(f"{row[1]}:{row[2]}", row[3]) for row in rows]


@pytest.mark.parametrize(
    ("authority", "port"),
    [
        ("web.ns.svc.cluster.local:80", 8080),
        ("web.ns.svc.cluster.local", 8080),
        ("web.ns.svc.cluster.local:9090", 4191),
        ("web.ns.svc.cluster.local:7", 7),
    ],
    ids=["named", "no port is 80", "numbered", "unknown: the pods' own"],
)
def test_one_port_of_the_ready_pods(authority: str, port: int) -> None:
    assert endpoints(authority) == [(f"10.1.0.1:{port}", "a"), (f"10.1.0.2:{port}", "b")]


@pytest.mark.parametrize("authority", ["web", "web:80", "web.ns.svc:http", ""])
def test_what_names_no_port_of_a_service_is_refused(authority: str) -> None:
    with pytest.raises(LabError, match=r"expected SERVICE\.NAMESPACE"):
        endpoints(authority)
