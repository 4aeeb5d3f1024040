"""``lab build --from``: the release's own binaries where their sites answer, else the compiler; what is refused never runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs import errors, releases
from labs.embedded import build, manifest, release
from labs.embedded.recipes import Recipe
from tests.support.release_site import Site, mirror, path_of
from tests.unit.embedded.conftest import Recorder

PROGRAM = b"\x7fELF the release's own"


def hello(name: str) -> releases.Asset:
    base = f"https://example.test/v1/{name}"
    return releases.Asset(name, "1", releases.Platform("linux", "amd64"), base, f"{base}.sha256")


@pytest.fixture
def site(recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setattr(releases, "asset", hello)
    with mirror(monkeypatch, tmp_path / "cache") as found:
        found.publish(hello("hello"), PROGRAM)
        yield found


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that takes no time."""

    def run(recipe: Recipe, draft: Path, progress: Recorder) -> None:
        (draft / "hello").write_bytes(b"compiled here")

    monkeypatch.setattr(build, "_run_compiler", run)


def test_a_site_that_answers_saves_the_compiler(site: Site, recipe: Recipe, recorder: Recorder) -> None:
    build.build(recipe, recorder, "auto")
    assert (recipe.output / "hello").read_bytes() == PROGRAM
    rows = json.loads((recipe.output / manifest.NAME).read_text())
    assert rows["hello"]["origin"] == "https://example.test/v1/hello"
    assert manifest.damage(recipe.output, recipe.programs) is None
    assert list(recipe.output.parent.iterdir()) == [recipe.output]
    assert not recipe.workspace.exists()
    site.asked.clear()
    build.build(recipe, recorder, "auto")
    assert site.asked == []


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("habit", ["missing", "truncated", "wrong", "portal"])
def test_what_is_refused_is_compiled_instead_and_only_release_fails(
    site: Site, recipe: Recipe, recorder: Recorder, habit: str
) -> None:
    path = path_of(hello("hello").url)
    if habit == "missing":
        del site.files[path]
    elif habit == "truncated":
        site.cuts[path] = [3] * 20
    elif habit == "wrong":
        site.files[path] = PROGRAM[:-1] + b"!"
    else:
        site.files[path_of(hello("hello").checksums)] = b"<html>Welcome to our wifi</html>"
    with pytest.raises(errors.DownloadError):
        build.build(recipe, recorder, "release")
    assert not recipe.output.exists() and list(recipe.output.parent.glob(".*.tmp")) == []
    site.cuts[path] = [1] * 20 if habit == "truncated" else []
    build.build(recipe, recorder, "auto")
    assert (recipe.output / "hello").read_bytes() == b"compiled here"
    assert any(line.startswith("compiling, because ") for line in recorder.lines)
    assert "compiled from" in (recipe.output / manifest.NAME).read_text()


@pytest.mark.usefixtures("compiled")
def test_the_origin_that_was_asked_for_replaces_the_other(site: Site, recipe: Recipe, recorder: Recorder) -> None:
    for source, content in (("source", b"compiled here"), ("release", PROGRAM), ("auto", PROGRAM), ("source", b"compiled here")):
        build.build(recipe, recorder, source)  # type: ignore[arg-type]
        assert (recipe.output / "hello").read_bytes() == content
    assert "getting Hello again: downloaded, not compiled here" in recorder.lines


@pytest.mark.usefixtures("compiled")
def test_a_site_that_says_nothing_costs_seconds(
    site: Site, recipe: Recipe, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "ANSWER_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LAB_MIRROR", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        build.build(recipe, recorder, "auto")
    assert time.monotonic() - started < 3
    assert (recipe.output / "hello").read_bytes() == b"compiled here"


def test_the_lookup_of_a_name_is_limited_too(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "asset", hello)
    monkeypatch.setattr(release, "ANSWER_WITHIN", 0.2)
    monkeypatch.setattr(releases.Asset, "published_sha256", lambda asset, timeout: time.sleep(5))
    with pytest.raises(errors.SiteUnreachable, match=r"no answer about .*/v1/hello\.sha256 within"):
        release.published(recipe)


@pytest.mark.usefixtures("compiled")
def test_an_interrupted_download_is_continued(site: Site, recipe: Recipe, recorder: Recorder) -> None:
    path = path_of(hello("hello").url)
    site.cuts[path] = [5, 0, 0]
    with pytest.raises(errors.SiteUnreachable):
        build.build(recipe, recorder, "release")
    build.build(recipe, recorder, "release")
    assert site.asked[-1] == (path, "bytes=5-")
    assert (recipe.output / "hello").read_bytes() == PROGRAM
