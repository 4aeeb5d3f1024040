"""A small bundle to break in every way, a cache folder of the test's own, and a script that plays Docker's part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labs.setup.preload import front, save
from labs.setup.preload.manifest import Manifest, version
from labs.steps import Progress

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


class Quiet:
    """Progress that nobody looks at."""

    def begin(self, title: str) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, share: float, text: str) -> None:
        assert 0 <= share <= 1

    def end(self, seconds: float, failure: str | None = None) -> None: ...


@pytest.fixture
def progress() -> Progress:
    return Quiet()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder: empty, and nobody else's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "boring-ops-lab"


class Maker:
    """Writes bundles of two members and two wheels; the keywords of ``make`` make them wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {"programs/kubernetes-1/etcd": folder / "etcd", "tools/kind-1": folder / "kind"}
        for number, file in enumerate(self.files.values()):
            file.write_bytes(bytes(range(256)) * 40 * (number + 1))
        (folder / "etcd").chmod(0o755)
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for name in ("a-1-py3-none-any.whl", "b-2-py3-none-any.whl"):
            (self.wheels / name).write_text(f"wheel {name}")

    def manifest(self, **changes: str) -> Manifest:
        members = tuple(save.describe(path, file) for path, file in self.files.items())
        facts: dict[str, Any] = {
            "platform": front.platform_name(),
            "version": version(),
            "wheels": front.wheel_key(),
            "backend": "embedded",
        }
        return Manifest(**{**facts, **changes}, members=members)

    def make(self, manifest: Manifest | None = None) -> Path:
        target = self.folder / "lab.tar.zst"
        save.write(target, manifest or self.manifest(), self.files, self.wheels, Quiet())
        return target


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    folder = tmp_path / "made"
    folder.mkdir()
    return Maker(folder)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Docker that plays along."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls(docker: Path, verb: str) -> list[str]:
    """The command lines of one kind that it was given."""
    return [call for call in (docker / "calls").read_text().splitlines() if call.startswith(f"docker image {verb}")]
