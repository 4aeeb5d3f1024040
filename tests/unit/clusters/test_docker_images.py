"""Images of kind's and k3d's nodes: what is pulled, built, loaded and told when it is not there."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from labs import errors
from labs.clusters import images
from labs.clusters.docker.backend import DockerBackend, k3d, kind
from labs.paths import Paths
from tests.unit.clusters.fake_machine import NODES, Machine, Quiet


def test_the_image_is_built_if_missing_and_all_there_is_goes_into_both_clusters(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    loaded = machine.read()["loaded"]
    assert sorted(name for name, _ in loaded) == NODES[backend.name]
    assert {content for _, content in loaded} == {"boring-ops-lab/lab:dev busybox:1"}
    assert [line for line in machine.lines("docker") if line.startswith("build")]
    builds = len([line for line in machine.lines("docker") if line.startswith("build")])
    backend.up(Quiet())
    assert len([line for line in machine.lines("docker") if line.startswith("build")]) == builds == 1


def test_an_image_that_one_node_refuses_is_an_error(machine: Machine) -> None:
    machine.write(mode={"fail": ["docker exec --interactive k3d-gpu-agent-1"], "says": "ctr: no space left on device"})
    with pytest.raises(errors.CommandFailed, match="no space left on device"):
        k3d().up(Quiet())


def test_what_the_nodes_have_is_not_loaded_again(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    backend.up(Quiet())
    assert len(machine.read()["loaded"]) == 6
    held = machine.read()["held"]
    held.pop(next(name for name in held if "gpu" in name))
    machine.write(held=held)
    backend.up(Quiet())
    assert sorted(name for name, _ in machine.read()["loaded"][6:]) == NODES[backend.name][3:]


def test_an_image_that_was_rebuilt_is_loaded_under_the_same_name(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    machine.write(builds=1)
    backend.loader().load([images.LAB_IMAGE], Quiet())
    assert sorted(machine.read()["loaded"][6:]) == [[node, images.LAB_IMAGE] for node in NODES[backend.name]]


def test_an_archive_of_dockers_older_store_says_the_same(tmp_path: Path) -> None:
    key = "ab" * 32
    content = json.dumps(
        [{"Config": f"{key}.json", "RepoTags": ["busybox:1", "prom/prometheus:v3"]}, {"Config": key, "RepoTags": None}]
    )
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content.encode()))
    assert images.archived(tmp_path / "images.tar") == {
        ("docker.io/library/busybox:1", key),
        ("docker.io/prom/prometheus:v3", key),
    }
    assert [images.full_name(name) for name in ("cr.l5d.io/linkerd/web:1", "localhost/a:1", "host:5000/a:1")] == [
        "cr.l5d.io/linkerd/web:1",
        "localhost/a:1",
        "host:5000/a:1",
    ]


def test_the_nodes_images_are_pulled_beforehand_and_once(machine: Machine, backend: DockerBackend) -> None:
    backend.prepare(Quiet())
    backend.prepare(Quiet())
    pulled = [line.split()[-1] for line in machine.lines("docker") if line.startswith("image pull")]
    assert pulled == images.engine_images(backend.name)


def test_a_bundles_image_is_known_by_its_tag_and_nothing_is_pulled(machine: Machine, backend: DockerBackend) -> None:
    tags = [name.partition("@")[0] for name in images.engine_images(backend.name)]
    machine.write(images=["busybox:1", *tags], mode={"offline": True})
    backend.prepare(Quiet())
    assert not [line for line in machine.lines("docker") if line.startswith("image pull")]


def test_without_a_network_the_missing_image_is_told_and_nothing_changed(machine: Machine, backend: DockerBackend) -> None:
    machine.write(mode={"offline": True})
    with pytest.raises(errors.StepFailed, match="no such host") as caught:
        backend.up(Quiet())
    assert "lab preload load" in caught.value.fix
    assert machine.containers() == [] and not Paths.current().state.exists()


def test_an_older_docker_saves_images_without_platform(machine: Machine) -> None:
    machine.write(api="1.41")
    kind().up(Quiet())
    saves = [line for line in machine.lines("docker") if line.startswith("image save")]
    assert saves and not any("--platform" in line for line in saves)


SAYS = {
    "kind": 'ERROR: failed to create cluster: failed to pull image "kindest/node:v1.37.0": dial tcp: no such host',
    "k3d": "\x1b[31mERRO\x1b[0m[0016] failed Cluster Creation: docker failed to pull image 'k3s:v1': dial tcp: no such host \n"
    "\x1b[31mERRO\x1b[0m[0016] Failed to create cluster >>> Rolling Back    \n" + "INFO[0017] Deleting what was made \n" * 30,
}


def test_an_image_that_cannot_be_had_says_why_and_what_helps(machine: Machine, backend: DockerBackend) -> None:
    machine.write(mode={"fail": [f"{backend.name} c"], "says": SAYS[backend.name]})
    with pytest.raises(errors.StepFailed, match="no such host\n  try:") as caught:
        backend.up(Quiet())
    assert "lab preload load" in caught.value.fix and "Deleting" not in str(caught.value)


def test_the_manifests_name_the_images_there_are() -> None:
    assert {"boring-ops-lab/lab:dev", "busybox:1"} <= set(images.workload_images())
