"""Every manifest passes a strict server-side dry-run on the real API server, with the Gateway API's own CRDs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from labs import config, topology
from labs.errors import CommandFailed
from tests.support.lab import new_namespace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Kubectl = Callable[..., str]

FOLDER = config.CLUSTERS
CRDS = (["-k", str(FOLDER / "gateway-api")], ["-f", str(FOLDER / "embedded/linkerd-standin/crds.yaml")])
KUSTOMIZATIONS = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
STANDIN = "embedded/linkerd-standin"
NO_MANIFESTS = {
    *(f"{tool}/{cluster.name}.yaml" for tool in ("kind", "k3d") for cluster in topology.declared()),
    f"{STANDIN}/values.yaml",
    f"{STANDIN}/components.yaml",
}
"""The configs of kind and k3d (their own command lines judge them), and what the templates of the stand-in are filled with."""


def plain_files() -> list[Path]:
    """Manifests that no kustomization lists: exercises, routes, policies, what a boot applies."""
    listed = {(folder / name).resolve() for folder in KUSTOMIZATIONS for name in _resources(folder)}
    files = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [path for path in files if path.resolve() not in listed and str(path.relative_to(FOLDER)) not in NO_MANIFESTS]


def _resources(folder: Path) -> list[str]:
    whole = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [*whole.get("resources", []), *(patch["path"] for patch in whole.get("patches", []) if "path" in patch)]


@pytest.fixture(scope="module")
def crds(kubectl: Kubectl) -> Iterator[None]:
    """The CRDs are there; those that were not are taken away again."""
    before = set(kubectl("app", "get", "crd", "-o", "name").split())
    for source in CRDS:
        kubectl("app", "apply", "--server-side", "--force-conflicts", *source)
    kubectl("app", "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    yield
    if added := set(kubectl("app", "get", "crd", "-o", "name").split()) - before:
        kubectl("app", "delete", *sorted(added))


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """One for all of them: a dry-run makes nothing in it."""
    with new_namespace(kubectl) as name:
        yield name


def dry_run(kubectl: Kubectl, namespace: str, manifest: str) -> str:
    """What the API server says of these objects, each put into a namespace that exists (a dry-run makes none)."""
    documents = [found for found in yaml.safe_load_all(manifest) if found]
    objects = [item for found in documents for item in (found["items"] if found["kind"] == "List" else [found])]
    assert objects, "no object in it"
    for found in objects:
        if "namespace" in found["metadata"]:
            found["metadata"]["namespace"] = namespace
    whole = yaml.safe_dump_all(objects)
    return kubectl("app", "apply", "--namespace", namespace, "--dry-run=server", "--validate=strict", "-f", "-", input=whole)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_kustomization_is_accepted(kubectl: Kubectl, namespace: str, crds: None, folder: Path) -> None:
    assert "dry run" in dry_run(kubectl, namespace, kubectl("app", "kustomize", str(folder)))


@pytest.mark.parametrize("path", plain_files(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_is_accepted(kubectl: Kubectl, namespace: str, crds: None, path: Path) -> None:
    assert "dry run" in dry_run(kubectl, namespace, path.read_text())


def test_a_misspelt_field_is_refused(kubectl: Kubectl, namespace: str) -> None:
    text = (config.MANIFESTS / "chat/deployment.yaml").read_text().replace("replicas:", "replica:", 1)
    with pytest.raises(CommandFailed, match="unknown field"):
        dry_run(kubectl, namespace, text)


def test_a_route_with_a_wrong_kind_of_value_is_refused(kubectl: Kubectl, namespace: str, crds: None) -> None:
    text = (config.MANIFESTS / "answers/routes/split.yaml").read_text().replace("weight: ", "weight: very-", 1)
    with pytest.raises(CommandFailed, match="weight"):
        dry_run(kubectl, namespace, text)
