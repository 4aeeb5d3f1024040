"""The access log of a proxy, in both forms, and where it is asked for."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from labs.pods.mesh_standin import request_log
from labs.pods.mesh_standin.injection import Injection
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import MeshedPod, eventually

CLIENT = "chat.shop.serviceaccount.identity.linkerd.cluster.local"
REQUEST = {
    "client": "127.10.0.63:51160",
    "id": CLIENT,
    "at": "2026-11-24T20:28:20.071809491Z",
    "method": "GET",
    "path": "/v1?a=b",
    "host": "model:8000",
    "version": "HTTP/1.1",
    "trace": None,
    "amazon_trace": "1-a",
    "length": None,
    "answer_length": "19",
    "agent": "curl/8",
    "headers_ns": 5000,
    "upstream_ns": 4000,
}


def line(style: str, route: str = "in|8000|policy.linkerd.io/server/http|/default/default", **changed: Any) -> str | None:
    record = {"route": route, "status": 200, "request": REQUEST | changed}
    return request_log.line(json.dumps(record).encode(), style)


def test_the_apache_form() -> None:
    wanted = f'127.10.0.63:51160 {CLIENT} - [2026-11-24T20:28:20.071809491Z] "GET http://model:8000/v1?a=b HTTP/1.1" 200'
    assert line("apache") == wanted
    unmeshed = line("apache", id=None)
    assert unmeshed is not None and " - - [" in unmeshed and '"GET /v1?a=b HTTP/1.1"' in unmeshed


def test_the_json_form() -> None:
    found = line("json")
    assert found is not None and json.loads(found) == {
        "client.addr": "127.10.0.63:51160",
        "client.id": CLIENT,
        "host": "model:8000",
        "method": "GET",
        "processing_ns": "1000",
        "request_bytes": "",
        "response_bytes": "19",
        "status": 200,
        "timestamp": "2026-11-24T20:28:20.071809491Z",
        "total_ns": "5000",
        "trace_id": "1-a",
        "uri": "http://model:8000/v1?a=b",
        "user_agent": "curl/8",
        "version": "HTTP/1.1",
    }
    assert list(json.loads(found)) == sorted(json.loads(found))


def test_calls_of_the_app_itself_are_not_in_it() -> None:
    assert line("json", route="out|demo|server|80") is None


@pytest.mark.parametrize(("value", "style"), [("apache", "apache"), ("JSON", "json"), ("", ""), ("combined", "")])
def test_the_forms_there_are(value: str, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert request_log.style(value) == style
    assert ("expected either 'apache' or 'json'" in capsys.readouterr().err) == (value == "combined")


@pytest.mark.parametrize("owner", ["pod", "namespace"])
def test_the_annotation_reaches_the_proxy(owner: str) -> None:
    annotation = {"config.linkerd.io/access-log": "json"}
    pod = objects.pod(meshed=False, annotations=annotation if owner == "pod" else {})
    namespace = objects.namespace(**(annotation if owner == "namespace" else {}))
    patch = Injection("image", "v", "linkerd", "anchors").patch(pod, namespace, None)
    (spec,) = [item["value"] for item in patch if item["path"] == "/spec"]
    env = {row["name"]: row.get("value") for row in spec["initContainers"][0]["env"]}
    assert env["LINKERD2_PROXY_ACCESS_LOG"] == "json"


@pytest.mark.skipif(shutil.which("envoy") is None, reason="no envoy on the PATH")
@pytest.mark.timeout(120)
def test_a_proxy_writes_a_line_for_each_request(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINKERD2_PROXY_ACCESS_LOG", "apache")
    pod = MeshedPod(ControlPlane("127.91.0.1"), tmp_path / "server", "127.91.1.1", "server")
    try:
        assert eventually(pod.is_ready, 40), pod.log()
        pod.call_app("/status/418")
        wanted = re.compile(r'^127\.\S+:\d+ - - \[\d{4}-\S+Z\] "GET /status/418 HTTP/1\.1" 418$', re.MULTILINE)
        assert eventually(lambda: wanted.search(pod.log()) is not None), pod.log()
    finally:
        pod.close()
