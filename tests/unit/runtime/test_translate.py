"""What a kubelet asks for, as the shim is told; rows of images; limits; configuration of a kubelet."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from labs.embedded import kubelet
from labs.embedded.runtime import limits, spec, translate, usage
from labs.embedded.runtime.images import Image, ImageTable
from labs.embedded.runtime.records import Container
from labs.embedded.runtime.shim import rights
from labs.wire.cri import cri_pb2 as pb

IMAGE = Image("app", ("server",), ("--port", "80"))
POD = pb.PodSandboxConfig(hostname="web-0", log_directory="/logs")


def translated(image: Image = IMAGE, **fields: object) -> translate.Translation:
    config = pb.ContainerConfig(**fields)  # type: ignore[arg-type]
    return translate.Translation("c", config, POD, spec.Sandbox("s", "web-0"), image)


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], [], ["server", "--port", "80"]),
        ([], ["-x"], ["server", "-x"]),
        (["sh"], [], ["sh"]),
        (["sh"], ["-c"], ["sh", "-c"]),
    ],
)
def test_command_and_arguments(command: list[str], args: list[str], expected: list[str]) -> None:
    assert translated(command=command, args=args).argv() == expected


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(translate.Unsupported, match="no command"):
        translated(Image("empty")).argv()


def test_variables_of_the_pod_win_over_the_images() -> None:
    image = dataclasses.replace(IMAGE, env={"A": "image", "B": "image"})
    env = translated(image, envs=[pb.KeyValue(key="A", value=b"pod"), pb.KeyValue(key="PATH", value=b"/x")]).container().env
    assert {name: env[name] for name in ("A", "B", "PATH", "HOSTNAME")} == {
        "A": "pod",
        "B": "image",
        "PATH": "/x",
        "HOSTNAME": "web-0",
    }


def test_an_image_volume_is_refused_by_name() -> None:
    mount = pb.Mount(container_path="/data", image=pb.ImageSpec(image="x"))
    with pytest.raises(translate.Unsupported, match="/data"):
        translated(mounts=[mount]).container()


@pytest.mark.parametrize(
    ("add", "drop", "has", "lacks"),
    [
        ([], [], "CAP_CHOWN", "CAP_SYS_ADMIN"),
        (["SYS_ADMIN"], [], "CAP_SYS_ADMIN", "CAP_BPF"),
        (["cap_net_admin"], ["ALL"], "CAP_NET_ADMIN", "CAP_CHOWN"),
        ([], ["KILL"], "CAP_CHOWN", "CAP_KILL"),
        (["ALL"], [], "CAP_BPF", "CAP_NOBODY"),
    ],
)
def test_capabilities(add: list[str], drop: list[str], has: str, lacks: str) -> None:
    found = translate.capabilities(pb.Capability(add_capabilities=add, drop_capabilities=drop))
    assert has in found
    assert lacks not in found


def test_numbers_of_capabilities_are_the_kernels() -> None:
    # linux/capability.h
    assert [rights.number(name) for name in ("CAP_CHOWN", "NET_ADMIN", "sys_admin", "CAP_CHECKPOINT_RESTORE")] == [0, 12, 21, 40]
    assert rights.number("CAP_NOBODY") is None


def test_a_container_survives_its_file(tmp_path: Path) -> None:
    mount = spec.Mount("/a", "/b", readonly=True, propagation="slave")
    whole = dataclasses.replace(
        translated(command=["sh"]).container(), mounts=(mount,), user=spec.User(1, 2, (3, 4)), devices=(mount,), hidden=("/x",)
    )
    whole.save(tmp_path / "spec.json")
    assert spec.Container.load(tmp_path / "spec.json") == whole


def table(tmp_path: Path, text: str) -> ImageTable:
    (tmp_path / "more.toml").write_text(text)
    return ImageTable([tmp_path / "more.toml"])


def test_rows_are_found_under_every_name(tmp_path: Path) -> None:
    images = table(tmp_path, '["example.com:5000/team/app"]\nentrypoint = ["/app"]\nfiles = { "/app" = "/bin/true" }\nuser = 7\n')
    image = images.find("example.com:5000/team/app:1.2")
    assert image is not None
    assert (image.entrypoint, image.user, image.is_present) == (("/app",), 7, True)
    assert [mount.target for mount in image.mounts()] == ["/app"]
    assert images.find(image.id) == images.find(image.reference) == images.find("example.com:5000/team/app") == image
    assert images.find("docker.io/library/busybox:latest") == images.find("busybox") is not None
    assert images.find("nginx") is None
    assert "example.com:5000/team/app" in images.pull_error("nginx")


def test_a_row_whose_program_is_not_there_yet(tmp_path: Path) -> None:
    image = table(tmp_path, '["app"]\nentrypoint = ["/no/such/program"]\n').find("app")
    assert image is not None
    assert not image.is_present


def test_another_row_is_another_image() -> None:
    assert IMAGE.id != dataclasses.replace(IMAGE, command=()).id


@pytest.mark.parametrize(
    ("limit", "memory", "processes", "expected"),
    [
        (0, 1 << 40, 1, ""),
        (100, 100, 1, ""),
        (100, 101, 1, "OOMKilled"),
        (0, 0, translate.MOST_PROCESSES + 1, "TooManyProcesses"),
    ],
)
def test_verdicts(limit: int, memory: int, processes: int, expected: str) -> None:
    assert limits.verdict(limit, usage.Usage(memory=memory, processes=processes)) == expected


def test_use_of_this_process() -> None:
    mounts = os.readlink("/proc/self/ns/mnt")
    found = usage.by_mounts({mounts, "mnt:[0]"})
    assert found[mounts].processes >= 1
    assert found[mounts].cpu > 0
    assert found[mounts].memory > 1_000_000
    assert found["mnt:[0]"] == usage.Usage()


def test_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    (tmp_path / "b").mkdir()
    found = usage.files(tmp_path)
    assert found.inodes == 3
    assert 10_000 <= found.bytes < 30_000
    assert usage.files(tmp_path / "none") == usage.Files(0, 0)


def test_a_record_says_how_a_container_ended(tmp_path: Path) -> None:
    def record(name: str) -> Container:
        (tmp_path / name).mkdir()
        config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name=name))
        found = Container(name, tmp_path / name, config, "s", "i", "d", created=1, started=2)
        found.save()
        return found

    lost, written, killed = record("lost"), record("written"), record("killed")
    lost.end_as_recorded()
    (tmp_path / "written" / "exit.json").write_text(json.dumps({"exit": 4, "finished": 9}))
    written.end_as_recorded()
    killed.mark_killed("OOMKilled")
    killed.end(137, 9)
    again = [Container.load(tmp_path / name) for name in ("lost", "written", "killed")]
    assert [(item.code, item.reason) for item in again] == [(137, "Error"), (4, "Error"), (137, "OOMKilled")]
    assert again[1].finished == 9
    assert again[0].config.metadata.name == "lost"


def test_a_kubelets_configuration(tmp_path: Path) -> None:
    path = tmp_path / "x"
    node = kubelet.Kubelet(
        "n1", tmp_path, "10.1.0.2", path, path, path, path, "10.96.0.10", {"pool": "gpu"}, ["nvidia.com/gpu=present:NoSchedule"]
    )
    node.write()
    written = json.loads((tmp_path / "kubelet" / kubelet.CONFIG).read_text())
    assert written["address"] == "10.1.0.2"
    assert written["registerWithTaints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert len(written["containerRuntimeEndpoint"]) < 107
    assert "--node-labels=pool=gpu" in node.argv(Path("/kubelet"))
