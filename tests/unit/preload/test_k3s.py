"""What k3s pulls by itself is in a k3d bundle: from its release's list, which the bundle carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labs import errors, releases
from labs.clusters import images
from labs.setup.preload import k3s, load
from labs.setup.preload.k3s import K3sImages
from labs.setup.preload.parts import missing
from tests.support.release_site import Site, mirror, path_of
from tests.unit.preload.conftest import Maker, calls

LIST = """\
docker.io/rancher/klipper-helm:v0.9.17-build20260422
docker.io/rancher/klipper-lb:v0.4.15
docker.io/rancher/local-path-provisioner:v0.0.35
docker.io/rancher/mirrored-coredns-coredns:1.14.2
docker.io/rancher/mirrored-library-busybox:1.37.0
docker.io/rancher/mirrored-library-traefik:3.6.13
docker.io/rancher/mirrored-metrics-server:v0.8.1
docker.io/rancher/mirrored-pause:3.6
"""
"""A list as releases of 2026 have it."""
NEEDED = ["rancher/klipper-lb:v0.4.15", "rancher/mirrored-coredns-coredns:1.14.2", "rancher/mirrored-pause:3.6"]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A site that publishes the list of the pinned k3s."""
    with mirror(monkeypatch, tmp_path / "cache") as found:
        found.files[path_of(releases.k3s_images(k3s.release()))] = LIST.encode()
        yield found


def test_the_list_is_that_of_the_release_behind_the_nodes_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "node_images", lambda tool: ["rancher/k3s:v1.40.2-k3s7"])
    assert k3s.release() == "v1.40.2+k3s7"
    assert releases.k3s_images(k3s.release()).endswith("/k3s-io/k3s/releases/download/v1.40.2%2Bk3s7/k3s-images.txt")


def test_carried_is_what_the_labs_clusters_use() -> None:
    assert k3s.needed(LIST, k3s.disabled()) == NEEDED


def test_what_the_clusters_disable_is_known_and_nothing_else_is_left_out() -> None:
    """Whoever changes ``--disable`` in clusters/k3d learns here that the images follow from it."""
    assert k3s.disabled() == set(k3s.COMPONENTS)


def test_a_component_that_one_cluster_uses_is_carried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "k3d").mkdir()
    for name, words in (("app", ["traefik", "local-storage"]), ("gpu", ["traefik"])):
        rows = ", ".join(f"{{arg: --disable={word}}}" for word in words)
        (tmp_path / "k3d" / f"{name}.yaml").write_text(f"options: {{k3s: {{extraArgs: [{rows}]}}}}")
    monkeypatch.setattr("labs.config.CLUSTERS", tmp_path)
    assert k3s.disabled() == {"traefik"}
    left_out = {line.removeprefix("docker.io/") for line in LIST.split()} - set(k3s.needed(LIST, k3s.disabled()))
    assert left_out == {"rancher/mirrored-library-traefik:3.6.13", "rancher/klipper-helm:v0.9.17-build20260422"}


def test_an_image_that_nobody_foresaw_is_carried() -> None:
    assert k3s.needed(LIST + "docker.io/rancher/new-thing:v1\n", k3s.disabled()) == [*NEEDED, "rancher/new-thing:v1"]


def test_list_and_archives_are_gathered_and_the_list_is_asked_for_once(
    site: Site, docker: Path, cache: Path, progress: Any
) -> None:
    part = K3sImages()
    assert missing([part]) == [f"images of k3s: {part.listing} is missing"]
    part.gather(progress)
    part.gather(progress)
    assert len(site.asked) == 1
    assert [call.split()[-1] for call in calls(docker, "pull")] == NEEDED[:1], "this Docker then says that it has every image"
    archives = [f"images/{name.replace('/', '-').replace(':', '-')}.tar" for name in NEEDED]
    assert list(part.files) == [f"lists/k3s-images-{k3s.release()}.txt", *archives]
    assert all(file.exists() for file in part.files.values()) and missing([part]) == []


def test_a_bundle_tells_offline_what_it_has_and_what_it_lacks(
    site: Site, docker: Path, cache: Path, maker: Maker, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = K3sImages()
    part.gather(progress)
    maker.files = part.files
    bundle = maker.make()
    monkeypatch.setenv("XDG_CACHE_HOME", str(maker.folder / "elsewhere"))
    monkeypatch.setenv("LAB_MIRROR", "http://127.0.0.1:9")
    site.asked.clear()
    load.load(bundle, [part], progress)
    assert missing([part]) == [] and len(images.preloaded()) == len(NEEDED)
    images.archive(NEEDED[1]).unlink()
    assert missing([part]) == [f"images of k3s: no archive of {NEEDED[1]}"]
    assert site.asked == []


@pytest.mark.parametrize("page", ["<html>Welcome to the hotel's network</html>", "", "docker.io/rancher/mirrored-pause\n"])
def test_what_is_no_list_is_refused_and_not_kept(site: Site, docker: Path, progress: Any, page: str) -> None:
    site.files[path_of(releases.k3s_images(k3s.release()))] = page.encode()
    with pytest.raises(errors.DownloadError, match="expected the list of k3s's images"):
        K3sImages().gather(progress)
    assert not K3sImages().listing.exists()


def test_without_a_network_nothing_is_made(docker: Path, cache: Path, progress: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(errors.SiteUnreachable):
        K3sImages().gather(progress)
    assert not cache.exists()
