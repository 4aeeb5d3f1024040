"""The protobuf modules in git are what the .proto files say, and they are Kubernetes' interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.wire.deviceplugin import deviceplugin_pb2, podresources_pb2
from labs.wire.stubs import ROOT, generate


@pytest.mark.parametrize("package", ["deviceplugin", "health"])
def test_generated_modules_are_current(tmp_path: Path, package: str) -> None:
    folder = ROOT / "labs" / "wire" / package
    generate(folder, tmp_path)
    fresh = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert len(fresh) == 3 * len(list(folder.glob("*.proto"))) > 0
    for path in fresh:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), f"{path}: run python -m labs.wire.{package}"
    assert sorted(path.relative_to(ROOT) for path in folder.glob("*_pb2*.py*")) == fresh


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        # Field numbers as a Go plugin puts them on the wire, written out by hand.
        (
            deviceplugin_pb2.RegisterRequest(version="v1beta1", endpoint="g", resource_name="r"),
            b"\n\x07v1beta1\x12\x01g\x1a\x01r",
        ),
        (deviceplugin_pb2.Device(ID="a", health="Healthy"), b"\n\x01a\x12\x07Healthy"),
        (deviceplugin_pb2.ContainerAllocateResponse(envs={"A": "b"}), b"\n\x06\n\x01A\x12\x01b"),
        (deviceplugin_pb2.Mount(container_path="/c", host_path="/h", read_only=True), b"\n\x02/c\x12\x02/h\x18\x01"),
        (podresources_pb2.ContainerDevices(resource_name="r", device_ids=["a"]), b"\n\x01r\x12\x01a"),
        (podresources_pb2.PodResources(name="p", namespace="n"), b"\n\x01p\x12\x01n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_wire_format(message: object, encoded: bytes) -> None:
    assert message.SerializeToString() == encoded  # type: ignore[attr-defined]


def test_services_have_the_names_kubernetes_calls() -> None:
    names = {s.full_name for f in (deviceplugin_pb2, podresources_pb2) for s in f.DESCRIPTOR.services_by_name.values()}
    assert names == {"v1beta1.Registration", "v1beta1.DevicePlugin", "v1.PodResourcesLister"}
