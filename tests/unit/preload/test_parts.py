"""What a backend's bundle has, how it is had, and what is said to be missing; Docker's part is played by a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.clusters import images
from labs.clusters.embedded import Embedded
from labs.clusters.kind import Kind, preloaded_node_image
from labs.embedded import recipes
from labs.errors import CommandFailed
from labs.setup.preload import contents
from labs.setup.preload.parts import EngineImage, NodeImage, Programs, Tool, missing

DOCKER = """\
#!/bin/sh
# Answers as Docker 29 does; keeps its images as files beside itself.
here=$(dirname "$0"); echo "docker $*" >> "$here/calls"
for last; do :; done
offline() { [ -f "$here/offline" ] && echo 'Error response from daemon: dial tcp: no such host' >&2; }
case "$*" in
  version*) echo '{"Client": {"ApiVersion": "1.52"}, "Server": {"Version": "29.1.0", "Arch": "arm64"}}';;
  info*) echo '{"NCPU": 8, "MemTotal": 16000000000, "CgroupVersion": "2", "OperatingSystem": "Docker Desktop"}';;
  "image ls"*) [ -f "$here/has" ] && echo 2c1a6b8f; exit 0;;
  "image pull"*) offline && exit 1; touch "$here/has";;
  "image tag"*) ;;
  "image save"*) echo "an archive of $last" > "$6";;
  "image load"*) touch "$here/has";;
  *) echo "unknown command: docker $*" >&2; exit 125;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Docker that plays along."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


BUSYBOX = NodeImage("busybox:1")
NODE = EngineImage("kindest/node:v1.37.0@sha256:a1ed56cf")


def calls(docker: Path, verb: str) -> list[str]:
    return [call for call in (docker / "calls").read_text().splitlines() if call.startswith(f"docker image {verb}")]


def test_an_image_is_pulled_and_exported_for_the_engines_platform(docker: Path, cache: Path, progress: Any) -> None:
    BUSYBOX.gather(progress)
    archive = cache / "images" / "busybox-1.tar"
    assert archive.read_text() == "an archive of busybox:1\n"
    assert calls(docker, "pull") == ["docker image pull --quiet --platform linux/arm64 busybox:1"]
    assert calls(docker, "save")[0].startswith("docker image save --platform linux/arm64 --output")
    assert BUSYBOX.files == {"images/busybox-1.tar": archive}


def test_an_image_that_is_there_is_not_pulled_again(docker: Path, progress: Any) -> None:
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
    assert missing([NODE, NODE]) == [f"image {NODE.name}: expected the command docker; there is none"] * 2


def test_kind_is_told_the_tag_where_an_archive_lost_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    (pinned,) = images.node_images("kind")
    tag = pinned.partition("@")[0]
    for has, flag in (({tag}, ["--image", tag]), ({tag, pinned}, []), (set(), [])):
        monkeypatch.setattr("labs.clusters.docker.has_image", lambda name, has=has: name in has)
        assert preloaded_node_image() == flag


def test_a_kind_bundle_has_tools_the_nodes_image_the_labs_and_every_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = ["cr.l5d.io/linkerd/proxy:edge-26.8.3"]
    monkeypatch.setattr("labs.mesh.linkerd.LinkerdMesh.install_cli", lambda mesh, folder: folder)
    monkeypatch.setattr("labs.mesh.linkerd.LinkerdMesh.images", lambda _: mesh)
    found = contents.parts(Kind())
    assert [part.asset.program for part in found if isinstance(part, Tool)] == ["kind", "kubectl", "linkerd"]
    in_engine = {part.name.partition(":")[0] for part in found if isinstance(part, EngineImage)}
    assert in_engine == {"kindest/node", "boring-ops-lab/lab"}
    in_nodes = {part.name for part in found if type(part) is NodeImage}
    assert {"busybox:1", *mesh} <= in_nodes and any(name.startswith("prom/prometheus:") for name in in_nodes)


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
