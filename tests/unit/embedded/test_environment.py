"""The variables of a container: which there are, and which ``$(NAME)`` may refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.embedded.node import environment
from labs.embedded.node.context import path_map
from labs.embedded.node.sources import MissingSource
from tests.unit.embedded.fake_services import FakeSources, context, services

WEB = {"metadata": {"name": "web-app"}, "spec": {"clusterIP": "10.11.0.9", "ports": [{"name": "http", "port": 8080}]}}


async def built(
    folder: Path, *env: dict[str, Any], spec: dict[str, Any] | None = None, **container: Any
) -> environment.Environment:
    sources = FakeSources({("configmaps", "cm"): {"data": {"COLOR": "red"}}}, [WEB])
    main = {"name": "main", "image": "busybox:1", "env": list(env)} | container
    pod = context(folder, services(sources=sources), **({"containers": [main]} | (spec or {})))
    record = pod.record.containers["main"]
    return await environment.build(pod, record, path_map(pod.record, record))


async def test_references_reach_the_spec_and_services_and_nothing_else(tmp_path: Path) -> None:
    names = ("HOSTNAME", "HOME", "PATH", "http_proxy", "CONTAINER_ROOT", "LAB_NETWORK", "NOPE")
    env = [{"name": f"MY_{name}", "value": f"$({name})"} for name in names]
    found = await built(tmp_path, *env)
    assert {name: found.process[f"MY_{name}"] for name in names} == {name: f"$({name})" for name in names}
    assert set(names[:-1]) <= set(found.process)


async def test_the_api_server_is_told_of_as_a_service_even_without_links(tmp_path: Path) -> None:
    env = [
        {"name": "API", "value": "https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT_HTTPS)"},
        {"name": "WEB", "value": "$(WEB_APP_SERVICE_HOST):$(WEB_APP_SERVICE_PORT_HTTP)"},
    ]
    linked = await built(tmp_path, *env)
    assert linked.process["API"] == "https://127.10.0.1:6443"
    assert linked.process["WEB"] == "127.11.0.9:8080"
    assert linked.process["KUBERNETES_PORT_6443_TCP_ADDR"] == "127.10.0.1"
    alone = await built(tmp_path, *env, spec={"enableServiceLinks": False})
    assert alone.process["API"] == "https://127.10.0.1:6443"
    assert alone.process["WEB"] == "$(WEB_APP_SERVICE_HOST):$(WEB_APP_SERVICE_PORT_HTTP)"


async def test_a_variable_is_known_from_its_line_on(tmp_path: Path) -> None:
    env = [{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}, {"name": "C", "value": "$(A)-$(COLOR)"}]
    found = await built(tmp_path, *env, envFrom=[{"configMapRef": {"name": "cm"}}])
    assert (found.process["B"], found.process["C"]) == ("$(A)", "1-red")
    assert found.variables["BIND_ADDRESS"] == "127.10.2.7"


async def test_a_proxy_variable_counts_in_both_spellings(tmp_path: Path) -> None:
    found = await built(tmp_path, {"name": "HTTP_PROXY", "value": "http://p:1"})
    assert (found.process["HTTP_PROXY"], found.process["http_proxy"]) == ("http://p:1", "http://p:1")


def from_file(**changes: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "made/env", "key": "K"} | changes}}


async def from_volume(folder: Path, reference: dict[str, Any]) -> environment.Environment:
    made = folder / "volumes" / "v" / "made"
    made.mkdir(parents=True, exist_ok=True)
    (made / "env").write_text("K='a value'\n")
    return await built(folder, reference, spec={"volumes": [{"name": "v", "emptyDir": {}}]})


async def test_a_key_of_a_file(tmp_path: Path) -> None:
    found = await from_volume(tmp_path, from_file())
    assert found.process["X"] == "a value"
    assert "X" not in (await from_volume(tmp_path, from_file(key="L", optional=True))).process
    assert "X" not in (await from_volume(tmp_path, from_file(path="absent", optional=True))).process


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        (from_file(key="L"), 'environment variable key "L" not found in file "made/env"'),
        (from_file(path="../../../env"), "leads out of the volume"),
        (from_file(volumeName="w"), 'cannot find the volume "w" referenced by FileKeyRef'),
        ({"name": "X", "valueFrom": {"oracleRef": {}}}, "does not know env X with valueFrom oracleRef"),
    ],
)
async def test_what_cannot_be_given_is_named(reference: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match=complaint):
        await from_volume(tmp_path, reference)


async def test_an_unknown_source_of_all_variables_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="does not know envFrom with oracleRef, prefix"):
        await built(tmp_path, envFrom=[{"prefix": "P_", "oracleRef": {}}])
