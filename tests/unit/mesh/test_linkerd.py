"""Linkerd's own command: the pinned version or none; what it would pull; a wrong version says what to type."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from labs import config, releases
from labs.clusters.embedded import Embedded
from labs.errors import MachineError
from labs.mesh.choice import mesh_for
from labs.mesh.linkerd import LinkerdMesh
from labs.mesh.standin import StandinMesh

TRANSCRIPTS = Path(__file__).parent / "transcripts"
SCRIPT = """\
#!/bin/sh
case "$*" in
  "version --client --short") echo {version};;
  "install --ignore-cluster") cat "{transcripts}/install.yaml";;
  "viz install --set prometheus.enabled=false --set prometheusUrl="*" --ignore-cluster") cat "{transcripts}/viz-install.yaml";;
  "multicluster install --set controllers[0].link.ref.name=gpu --ignore-cluster") cat "{transcripts}/multicluster-install.yaml";;
  *) echo "unknown command: $*" >&2; exit 1;;
esac
"""
PINNED = config.versions()["linkerd"]["version"]


def program(folder: Path, version: str) -> Path:
    """A ``linkerd`` that answers with what the real one printed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "linkerd"
    path.write_text(SCRIPT.format(version=version, transcripts=TRANSCRIPTS))
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's folder of commands; nothing is in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "lab"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the PATH's first."""
    folder = tmp_path / "elsewhere"
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_the_pinned_one_in_the_labs_folder_is_used_as_it_is(bin_dir: Path, elsewhere: Path) -> None:
    path = program(bin_dir, PINNED)
    assert LinkerdMesh(bin_dir).install_cli(bin_dir) == path
    assert not path.is_symlink()


def test_the_pinned_one_on_the_path_is_linked_to(bin_dir: Path, elsewhere: Path) -> None:
    found = program(elsewhere, PINNED)
    assert LinkerdMesh(bin_dir).install_cli(bin_dir).resolve() == found
    assert LinkerdMesh(bin_dir).install_cli(bin_dir).resolve() == found


def test_what_a_bundle_brought_into_the_cache_is_linked_to(bin_dir: Path, elsewhere: Path) -> None:
    cached = releases.asset("linkerd").cached
    program(cached.parent, PINNED).rename(cached)
    assert LinkerdMesh(bin_dir).install_cli(bin_dir).resolve() == cached


def test_what_another_backend_left_in_the_labs_folder_is_replaced(bin_dir: Path, elsewhere: Path) -> None:
    program(bin_dir, f"stand-in for {PINNED}")
    found = program(elsewhere, PINNED)
    assert LinkerdMesh(bin_dir).install_cli(bin_dir).resolve() == found


@pytest.mark.parametrize("version", ["edge-26.8.2", "stable-2.14.10", f"stand-in for {PINNED}"])
def test_another_version_is_refused_and_left_alone(bin_dir: Path, elsewhere: Path, version: str) -> None:
    path = program(bin_dir, version)
    with pytest.raises(MachineError, match=rf"expected .* {PINNED}; found .*/lab/linkerd is {version}\n  try: lab tools"):
        LinkerdMesh(bin_dir).install_cli(bin_dir)
    assert version in path.read_text()


def test_no_linkerd_at_all_says_so(bin_dir: Path, elsewhere: Path) -> None:
    with pytest.raises(MachineError, match="found none on the PATH"):
        LinkerdMesh(bin_dir).install_cli(bin_dir)


def test_a_program_that_fails_is_not_taken_for_it(bin_dir: Path, elsewhere: Path) -> None:
    program(bin_dir, PINNED).write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(MachineError, match="exited with 3"):
        LinkerdMesh(bin_dir).install_cli(bin_dir)


def test_its_images_are_read_from_what_it_would_install(bin_dir: Path) -> None:
    program(bin_dir, PINNED)
    ours = [f"cr.l5d.io/linkerd/{name}:{PINNED}" for name in ("controller", "metrics-api", "proxy", "tap", "web")]
    assert LinkerdMesh(bin_dir).images() == [*ours, "registry.k8s.io/pause:3.2"]


def test_a_backend_without_containers_has_the_stand_in() -> None:
    assert isinstance(mesh_for(Embedded.can), StandinMesh)
    assert StandinMesh().images() == []


def test_gateway_api_is_the_version_that_is_pinned_and_unchanged() -> None:
    folder = config.CLUSTERS / "gateway-api"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: checksum for checksum, name in (line.split("  ") for line in lines)}
    assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("gateway*.yaml")}
    assert sorted(listed) == sorted(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
    found = [item for name in listed for item in yaml.safe_load_all((folder / name).read_text()) if item]
    crds = [item["metadata"]["annotations"] for item in found if item["kind"] == "CustomResourceDefinition"]
    versions = {annotations["gateway.networking.k8s.io/bundle-version"] for annotations in crds}
    assert versions == {config.versions()["gateway-api"]["version"]}
