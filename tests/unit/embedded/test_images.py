"""Image names: what they refer to, and what is said of those this backend has nothing for."""

from __future__ import annotations

import pytest

from labs.embedded.node.images import ImageTable, InvalidImageName, normalize


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("prom/prometheus:v3.16.0", "docker.io/prom/prometheus:v3.16.0"),
        ("registry.example/a/b:x", "registry.example/a/b:x"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:" + "0" * 64),
    ],
)
def test_full_references(name: str, full: str) -> None:
    assert normalize(name) == full


@pytest.mark.parametrize("name", ["", "Team/App:1:2", "a b", "BusyBox", "a:", "a/", "/a", "a@sha256:0"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(InvalidImageName, match=r"couldn't parse image name .*: invalid reference format"):
        normalize(name)


def test_the_part_in_upper_case_is_named() -> None:
    with pytest.raises(InvalidImageName, match=r"repository name \(App\) must be lowercase$"):
        normalize("Team/App:1:2")
    with pytest.raises(InvalidImageName, match=r"repository name \(BusyBox\) must be lowercase$"):
        normalize("BusyBox:1")


@pytest.mark.parametrize("name", ["busybox", "busybox:any", "docker.io/library/busybox:1", "boring-ops-lab/lab:dev"])
def test_images_with_a_program(name: str) -> None:
    assert ImageTable().find(name) is not None


def test_an_unknown_image_names_those_that_can_be_run() -> None:
    table = ImageTable()
    assert table.find("nginx:1.27") is None
    assert table.find("registry.example/busybox:1") is None
    message = table.pull_error("nginx:1.27")
    assert message.startswith('failed to pull and unpack image "docker.io/library/nginx:1.27": ')
    assert "it can run: boring-ops-lab/lab, boring-ops-lab/mesh-standin, busybox, prom/prometheus" in message
    assert "clusters/embedded/images.toml" in message
