"""The protobuf modules in git are what the .proto file says, and they are Kubernetes' interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.wire.cri import cri_pb2 as pb
from labs.wire.stubs import ROOT, generate

FOLDER = ROOT / "labs" / "wire" / "cri"


def test_generated_modules_are_current(tmp_path: Path) -> None:
    generate(FOLDER, tmp_path)
    fresh = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert len(fresh) == 3
    for path in fresh:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), f"{path}: run python -m labs.wire.cri"
    assert sorted(path.relative_to(ROOT) for path in FOLDER.glob("*_pb2*.py*")) == fresh


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        # Field numbers as a kubelet puts them on the wire, written out by hand.
        (pb.PodSandboxMetadata(name="n", uid="u", namespace="s", attempt=3), b"\n\x01n\x12\x01u\x1a\x01s \x03"),
        (pb.Mount(container_path="/c", host_path="/h", readonly=True), b"\n\x02/c\x12\x02/h\x18\x01"),
        (pb.ExecSyncRequest(container_id="c", cmd=["a"], timeout=2), b"\n\x01c\x12\x01a\x18\x02"),
        (pb.ExecSyncResponse(stdout=b"o", stderr=b"e", exit_code=1), b"\n\x01o\x12\x01e\x18\x01"),
        (pb.LinuxContainerResources(memory_limit_in_bytes=5), b" \x05"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wire_format(message: object, encoded: bytes) -> None:
    assert message.SerializeToString() == encoded  # type: ignore[attr-defined]


def test_services_have_the_names_kubelets_call() -> None:
    assert {service.full_name for service in pb.DESCRIPTOR.services_by_name.values()} == {
        "runtime.v1.RuntimeService",
        "runtime.v1.ImageService",
    }
