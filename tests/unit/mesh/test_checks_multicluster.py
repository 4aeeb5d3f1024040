"""Which mirrored services ``linkerd multicluster check`` looks at: of three kinds only one must have Endpoints."""

from __future__ import annotations

from typing import Any, cast

import pytest

from labs.mesh.linkerd_cli import checks_multicluster as multicluster
from labs.mesh.linkerd_cli.checking import CheckError, Skip
from labs.wire.kube_api import ApiError, KubeApi, Object


def service(name: str, labels: dict[str, str], annotations: dict[str, str] | None = None) -> Object:
    return {"metadata": {"name": name, "namespace": "ml", "labels": labels, "annotations": annotations or {}}}


GATEWAY = service("a-gpu", {"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": "gpu"})
FLAT = service("b-gpu", GATEWAY["metadata"]["labels"] | {"multicluster.linkerd.io/remote-discovery": "gpu"})
FEDERATED = service(
    "c-federated", {"mirror.linkerd.io/mirrored-service": "true"}, {"multicluster.linkerd.io/remote-discovery": "c@gpu"}
)
LINK = {"metadata": {"name": "gpu"}, "spec": {"targetClusterName": "gpu"}}


class PlayedApi:
    """Services by label selector, Links, and Endpoints for the named services."""

    def __init__(self, services: list[Object], links: list[Object], endpoints: tuple[str, ...]) -> None:
        self.rows = {"services": services, "links": links}
        self.endpoints = endpoints

    async def get(self, resource: str, namespace: str | None, name: str) -> Object:
        if name not in self.endpoints:
            raise ApiError(404, "NotFound", f"{resource} {name!r} not found")
        return {"subsets": [{"addresses": [{"ip": "10.21.0.9"}]}]}

    async def list(self, resource: str, namespace: str | None = None, labelSelector: str = "", **_: str) -> Object:
        rows = self.rows["links" if "links" in resource else "services"]
        terms = [term.partition("=")[0] for term in labelSelector.split(",") if term]
        return {"items": [row for row in rows if all(_has(row, term) for term in terms)]}


def _has(row: Object, term: str) -> bool:
    return (term.lstrip("!") in (row["metadata"].get("labels") or {})) != term.startswith("!")


def api(*services: Object, links: Any = (LINK,), endpoints: tuple[str, ...] = ("a-gpu",)) -> KubeApi:
    return cast(KubeApi, PlayedApi(list(services), list(links), endpoints))


async def test_flat_and_federated_services_need_no_endpoints() -> None:
    await multicluster.mirrors_have_endpoints(api(GATEWAY, FLAT, FEDERATED))


async def test_a_mirror_behind_a_gateway_does() -> None:
    with pytest.raises(CheckError, match=r"a-gpu\.ml mirrored from cluster \[gpu\] has no endpoints"):
        await multicluster.mirrors_have_endpoints(api(GATEWAY, FLAT, FEDERATED, endpoints=()))


async def test_a_federated_service_belongs_to_no_link_and_a_mirror_must() -> None:
    await multicluster.mirrors_have_links(api(GATEWAY, FLAT, FEDERATED))
    with pytest.raises(CheckError, match=r"a-gpu\.ml is not part of any Link"):
        await multicluster.mirrors_have_links(api(GATEWAY, FEDERATED, links=()))


async def test_without_mirrors_there_is_nothing_to_check() -> None:
    for check in (multicluster.mirrors_have_endpoints, multicluster.mirrors_have_links):
        with pytest.raises(Skip):
            await check(api())
