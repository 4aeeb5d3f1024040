"""What a backend's bundle has, how it is had, and what is said to be missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labs import config
from labs.clusters import images
from labs.clusters.docker.backend import DockerBackend
from labs.clusters.docker.tool import K3D, KIND, ClusterTool
from labs.clusters.embedded import Embedded
from labs.embedded import recipes
from labs.errors import CommandFailed
from labs.setup.preload import contents
from labs.setup.preload.k3s import K3sImages
from labs.setup.preload.parts import EngineImage, NodeImage, NodeImages, Programs, Tool, missing
from tests.unit.preload.conftest import calls

BUSYBOX = NodeImage("busybox:1")
NODE = EngineImage("kindest/node:v1.37.0@sha256:a1ed56cf")


def test_an_image_is_pulled_and_exported_for_the_engines_platform(docker: Path, cache: Path, progress: Any) -> None:
    BUSYBOX.gather(progress)
    archive = cache / "images" / "busybox-1.tar"
    assert archive.read_text() == "an archive of busybox:1\n"
    assert calls(docker, "pull") == ["docker image pull --quiet --platform linux/arm64 busybox:1"]
    assert calls(docker, "save")[0].startswith("docker image save --platform linux/arm64 --output")
    assert BUSYBOX.files == {"images/busybox-1.tar": archive}


def test_a_present_image_is_not_pulled_again(docker: Path, progress: Any) -> None:
    (docker / "has").touch()
    BUSYBOX.gather(progress)
    assert calls(docker, "pull") == []


def test_without_a_network_no_archive_is_left(docker: Path, cache: Path, progress: Any) -> None:
    (docker / "offline").touch()
    with pytest.raises(CommandFailed, match="no such host"):
        BUSYBOX.gather(progress)
    assert not (cache / "images").exists()


def test_pods_images_go_into_the_nodes_and_never_into_the_engine(docker: Path, cache: Path, progress: Any) -> None:
    assert missing([BUSYBOX]) == [f"image busybox:1: {BUSYBOX.archive} is not there"]
    BUSYBOX.gather(progress)
    BUSYBOX.unpacked(progress)
    assert missing([BUSYBOX]) == [] and calls(docker, "load") == []
    assert images.preloaded() == [BUSYBOX.archive]


def test_the_nodes_own_image_goes_into_the_engine_under_its_tag(docker: Path, cache: Path, progress: Any) -> None:
    assert missing([NODE]) == [f"image {NODE.name}: Docker has no image {NODE.name}"]
    NODE.gather(progress)
    assert calls(docker, "tag") == ["docker image tag kindest/node:v1.37.0@sha256:a1ed56cf kindest/node:v1.37.0"]
    NODE.unpacked(progress)
    assert calls(docker, "load") == [f"docker image load --quiet --input {NODE.archive}"]
    assert missing([NODE]) == [] and images.preloaded() == []


def test_no_docker_at_all_is_said_of_every_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing([NODE, NODE]) == [f"image {NODE.name}: expected the command docker; it is not installed"] * 2


def test_kind_is_told_the_tag_where_an_archive_lost_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    (pinned,) = images.node_images("kind")
    tag = pinned.partition("@")[0]
    for has, flag in (({tag}, ["--image", tag]), ({tag, pinned}, []), (set(), [])):
        monkeypatch.setattr("labs.clusters.docker.engine.has_image", lambda name, has=has: name in has)
        assert images.preloaded_node_image("kind") == flag


@pytest.fixture
def linkerd(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images of a Linkerd whose command is there."""
    names = ["cr.l5d.io/linkerd/proxy:edge-26.8.3"]
    monkeypatch.setattr("labs.mesh.linkerd.LinkerdMesh.install_cli", lambda mesh, folder: folder)
    monkeypatch.setattr("labs.mesh.linkerd.LinkerdMesh.images", lambda _: names)
    return names


@pytest.mark.parametrize(
    ("tool", "engine"), [(KIND, {"kindest/node"}), (K3D, {"rancher/k3s", "ghcr.io/k3d-io/k3d-tools"})], ids=["kind", "k3d"]
)
def test_a_bundle_has_tools_what_the_engine_needs_and_every_pods_image(
    tool: ClusterTool, engine: set[str], linkerd: list[str]
) -> None:
    found = contents.parts(DockerBackend(tool))
    assert [part.asset.program for part in found if isinstance(part, Tool)] == [tool.name, "kubectl", "linkerd"]
    in_engine = {part.name.partition(":")[0] for part in found if isinstance(part, EngineImage)}
    assert in_engine == {*engine, "boring-ops-lab/lab"}
    (pods,) = (part for part in found if isinstance(part, NodeImages))
    assert {"busybox:1", *linkerd} <= set(pods.names()) and images.LAB_IMAGE not in pods.names()
    assert any(name.startswith("prom/prometheus:") for name in pods.names())
    assert any(isinstance(part, K3sImages) for part in found) == (tool is K3D)


@pytest.mark.parametrize("pulls", [True, False])
def test_the_tool_says_whether_its_nodes_pull_the_images_of_k3s(pulls: bool, linkerd: list[str]) -> None:
    tool = replace(KIND, pulls_k3s_images=pulls)
    assert any(isinstance(part, K3sImages) for part in contents.parts(DockerBackend(tool))) is pulls


def test_k3ds_helper_is_of_the_version_of_the_k3d_in_the_bundle() -> None:
    assert images.engine_images("k3d")[-1] == f"ghcr.io/k3d-io/k3d-tools:{config.versions()['k3d']['version']}"


def test_the_parts_are_known_before_the_command_that_lists_images_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``load`` on a machine with nothing: the bundle itself brings that command."""
    monkeypatch.setattr("labs.mesh.linkerd.candidates", lambda path: iter(()))
    parts = contents.parts(DockerBackend(K3D))
    (pods,) = (part for part in parts if isinstance(part, NodeImages))
    assert missing([pods])[0].startswith("images of the pods: expected the command linkerd")


def test_images_of_a_late_list_are_gathered_carried_and_missed_by_name(docker: Path, progress: Any) -> None:
    part = NodeImages("images", lambda: ["busybox:1", "rancher/mirrored-pause:3.6"])
    assert missing([part]) == ["images: no archive of busybox:1, rancher/mirrored-pause:3.6"]
    part.gather(progress)
    assert list(part.files) == ["images/busybox-1.tar", "images/rancher-mirrored-pause-3.6.tar"]
    assert [path.read_text() for path in part.files.values()] == [f"an archive of {name}\n" for name in part.names()]
    assert missing([part]) == [] and images.preloaded() == sorted(part.files.values())


def test_the_embedded_backend_carries_its_programs_and_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    names = [Path(path).name for part in contents.parts(Embedded()) for path in part.files]
    assert names == ["kube-apiserver", "kube-scheduler", "kube-controller-manager", "etcd", "prometheus"]


def test_programs_count_as_there_once_they_were_unpacked(monkeypatch: pytest.MonkeyPatch, progress: Any) -> None:
    monkeypatch.delenv("LAB_PROGRAMS", raising=False)
    recipe = recipes.prometheus()
    part = Programs(recipe, lambda progress: None)
    assert part.missing()
    recipe.output.mkdir(parents=True)
    (recipe.output / "prometheus").write_text("a program")
    part.unpacked(progress)
    assert part.missing() is None
    (recipe.output / "prometheus").write_text("something else")
    assert "checksum differs" in str(part.missing())
