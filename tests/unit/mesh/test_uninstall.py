"""Leaving the mesh: what each command removes, and in which order Linkerd insists on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import yaml

from labs.mesh.linkerd_cli.app import main
from labs.mesh.linkerd_cli.cluster import Target
from labs.wire.kube_api import KubeApi, Object

EXTENSION, CONTROL_PLANE = "linkerd.io/extension", "linkerd.io/control-plane-ns"


def row(name: str, namespace: str = "", spec: Object | None = None, **labels: str) -> Object:
    names = {"extension": EXTENSION, "control_plane": CONTROL_PLANE, "cluster": "mirror.linkerd.io/cluster-name"}
    kept = {names.get(key, key): value for key, value in labels.items()}
    if "cluster" in labels:
        kept["mirror.linkerd.io/mirrored-service"] = "true"
    return {"metadata": {"name": name, "namespace": namespace, "labels": kept}, "spec": spec or {}}


class PlayedApi:
    """Objects by the last word of their resource, chosen by label selectors."""

    def __init__(self, rows: dict[str, list[Object]]) -> None:
        self.rows = rows

    async def list(self, resource: str, namespace: str | None = None, labelSelector: str = "", **_: str) -> Object:
        terms = [term.partition("=") for term in labelSelector.split(",") if term]

        def chosen(item: Object) -> bool:
            labels = item["metadata"]["labels"]
            return all(key in labels and labels[key] in (value or labels[key],) for key, _, value in terms)

        return {"items": [item for item in self.rows.get(resource.rpartition("/")[2], []) if chosen(item)]}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Object]]:
    """A cluster with the mesh, two extensions, a link, its mirror, and one meshed pod."""
    found = {
        "namespaces": [
            row("linkerd", control_plane="linkerd"),
            row("linkerd-viz", extension="viz"),
            row("linkerd-multicluster", extension="multicluster"),
        ],
        "pods": [
            row(name, place, control_plane="linkerd")
            for name, place in {"identity-1": "linkerd", "gateway-1": "linkerd-multicluster", "chat-1": "shop"}.items()
        ],
        "links": [row("gpu", "linkerd-multicluster", {"targetClusterName": "gpu"})],
        "services": [row("model-server-gpu", "ml", cluster="gpu"), row("other-west", "ml", cluster="west"), row("chat", "shop")],
    }
    api = cast(KubeApi, PlayedApi(found))

    def run(target: Target, work: Callable[[KubeApi], Any]) -> Any:
        return asyncio.run(work(api))

    monkeypatch.setattr(Target, "run", run)
    return found


def removed(printed: str) -> list[str]:
    return [f"{item['kind']}/{item['metadata']['name']}" for item in yaml.safe_load_all(printed) if item]


def test_the_control_plane_goes_last(rows: dict[str, list[Object]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uninstall"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "uninstall the following extensions before uninstalling the control-plane:\n\t* multicluster\n\t* viz\n" in told.err
    assert told.err.endswith("uninject the following pods before uninstalling the control-plane:\n\t* chat-1\n")
    assert main(["uninstall", "--force"]) == 0
    assert removed(capsys.readouterr().out) == ["Namespace/linkerd"]
    rows["pods"], rows["namespaces"] = rows["pods"][:1], rows["namespaces"][:1]
    assert main(["uninstall"]) == 0
    assert removed(capsys.readouterr().out) == ["Namespace/linkerd"]


def test_an_extension_goes_once_nothing_is_linked(rows: dict[str, list[Object]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["multicluster", "uninstall"]) == 1
    assert "Please unlink the following clusters before uninstalling multicluster:\n  * gpu" in capsys.readouterr().err
    rows["links"] = []
    assert main(["multicluster", "uninstall"]) == 0
    assert removed(capsys.readouterr().out) == ["Namespace/linkerd-multicluster"]
    assert main(["viz", "uninstall"]) == 0
    assert removed(capsys.readouterr().out) == ["Namespace/linkerd-viz"]
    rows["namespaces"] = []
    assert main(["viz", "uninstall"]) == 1
    assert "No resources found to uninstall" in capsys.readouterr().err


def test_a_link_goes_with_its_credentials_and_its_mirrors(
    rows: dict[str, list[Object]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["multicluster", "unlink", "--cluster-name", "gpu"]) == 0
    told = capsys.readouterr()
    assert 'Command "unlink" is deprecated' in told.err
    credentials = "Secret/cluster-credentials-gpu"
    assert removed(told.out) == ["Link/gpu", credentials, credentials, "Service/model-server-gpu"]
    assert main(["multicluster", "unlink", "--cluster-name", "nowhere"]) == 1
    assert "there are: gpu" in capsys.readouterr().err
