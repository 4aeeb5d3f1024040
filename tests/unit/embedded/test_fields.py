"""Every field of a pod's spec is honoured, left to others, documented as not enforced, or named by an event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs import config
from labs.embedded.node import fields
from tests.unit.embedded.fake_services import pod

KNOWN = json.loads((Path(__file__).parent / "pod_fields.json").read_text())
"""The fields that the API has, by type, taken from ``api/openapi-spec/swagger.json`` of the pinned Kubernetes."""


def test_the_list_is_that_of_the_pinned_kubernetes() -> None:
    assert KNOWN["kubernetes"] == config.versions()["kubernetes"]["version"], "take pod_fields.json from the new swagger.json"


@pytest.mark.parametrize("kind", sorted(KNOWN["types"]))
def test_every_field_has_an_answer(kind: str) -> None:
    assert fields.TYPES[kind].names == set(KNOWN["types"][kind])


def test_every_type_that_is_walked_is_known() -> None:
    assert set(fields.TYPES) == set(KNOWN["types"])
    assert {name for schema in fields.TYPES.values() for name in schema.nested.values()} <= set(fields.TYPES)


@pytest.mark.parametrize("kind", sorted(KNOWN["types"]))
def test_a_field_has_one_answer(kind: str) -> None:
    schema = fields.TYPES[kind]
    lists = [
        schema.honoured.split(),
        schema.elsewhere.split(),
        schema.unenforced.split(),
        list(schema.refused),
        list(schema.nested),
    ]
    assert len([name for names in lists for name in names]) == len(schema.names)


def container(**changes: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "busybox:1"} | changes]}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"hostAliases": [{"ip": "1.2.3.4"}]}, ["spec.hostAliases"]),
        ({"hostAliases": []}, []),
        ({"futureField": "x"}, ["spec.futureField"]),
        (container(tty=True, stdin=False), ["spec.containers[main].tty"]),
        (container(volumeMounts=[{"name": "v", "mountPropagation": "None"}]), []),
        (
            container(volumeMounts=[{"name": "v", "mountPropagation": "Bidirectional"}]),
            ["spec.containers[main].volumeMounts[v].mountPropagation"],
        ),
        (container(livenessProbe={"httpGet": {"protocol": "HTTP2"}}), ["spec.containers[main].livenessProbe.httpGet.protocol"]),
        (container(ports=[{"containerPort": 80, "hostPort": 80}]), ["spec.containers[main].ports[0].hostPort"]),
        (container(ports=[{"containerPort": 80, "hostPort": 80}]) | {"hostNetwork": True}, []),
        (container(securityContext={"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True, "runAsUser": 2102}), []),
        (
            container(securityContext={"capabilities": {"add": ["NET_ADMIN"]}}),
            ["spec.containers[main].securityContext.capabilities.add"],
        ),
        ({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi", "shape": "round"}}]}, ["spec.volumes[v].emptyDir.shape"]),
        ({"ephemeralContainers": [{"name": "debug"}]}, ["spec.ephemeralContainers"]),
    ],
)
def test_what_is_named(spec: dict[str, Any], named: list[str]) -> None:
    found = fields.not_honoured(pod(**spec))
    assert [row.partition(" (")[0] for row in found] == named
    assert all(row.endswith(")") for row in found), "each with its reason"


def test_the_labs_own_manifests_ask_for_nothing_that_is_refused() -> None:

    named = []
    for path in sorted(config.MANIFESTS.rglob("*.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            template = ((item or {}).get("spec") or {}).get("template") if isinstance(item, dict) else None
            if template and "containers" in template.get("spec", {}):
                named += [f"{path.name}: {row}" for row in fields.not_honoured(template)]
    assert named == []
