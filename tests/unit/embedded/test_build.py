"""Compiling: atomic, verified, resumable, locked, refused when the disk is full."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from labs.embedded import build, go, manifest
from labs.embedded.recipes import Recipe, kubernetes, prometheus
from labs.errors import BuildError, DiskFull
from tests.support.waiting import eventually
from tests.unit.embedded.conftest import Recorder


def test_compiles_reports_leaves_only_programs_and_mends_a_corrupted_one(recipe: Recipe, recorder: Recorder) -> None:
    """One test, since each compilation costs ten seconds of CPU."""
    build.build(recipe, recorder)
    check_first_build(recipe, recorder)
    recorder.lines.clear()
    assert build.build(recipe, recorder) == recipe.output
    assert recorder.lines == [], "the second build finds the first"
    program = recipe.output / "hello"
    whole = program.read_bytes()
    program.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    build.build(recipe, recorder)
    assert "getting Hello again: hello has changed since it was stored (its checksum differs)" in recorder.lines
    assert program.read_bytes() == whole


def check_first_build(built: Recipe, recorder: Recorder) -> None:
    output = subprocess.run([built.output / "hello"], capture_output=True, text=True, check=True).stderr
    assert output == "hello 1.2\n"
    assert sorted(path.name for path in built.output.iterdir()) == ["hello", manifest.NAME]
    assert not built.workspace.exists(), "the compiler's caches must go"
    assert recorder.shares == sorted(recorder.shares)
    assert any("packages, about" in line for line in recorder.lines)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "forget"])
def test_any_damage_is_found(tmp_path: Path, harm: str) -> None:
    program = tmp_path / "hello"
    program.write_bytes(b"a program")
    manifest.write(tmp_path, {"hello": "compiled from example.test/m/hello"})
    assert manifest.damage(tmp_path, ["hello"]) is None
    if harm == "flip":
        program.write_bytes(b"a prograM")
    elif harm == "cut":
        program.write_bytes(b"a pro")
    elif harm == "remove":
        program.unlink()
    else:
        (tmp_path / manifest.NAME).unlink()
    assert manifest.damage(tmp_path, ["hello"])


def test_compiler_error_is_shown_and_nothing_appears(recipe: Recipe, recorder: Recorder) -> None:
    (recipe.module / "hello" / "main.go").write_text("package main\nfunc main( {\n")
    with pytest.raises(BuildError, match="syntax error"):
        build.build(recipe, recorder)
    assert not recipe.output.exists()
    assert list(recipe.output.parent.iterdir()) == []


def test_disk_full_says_how_much_is_needed(recipe: Recipe, recorder: Recorder) -> None:
    greedy = dataclasses.replace(recipe, need_bytes=10**18)
    with pytest.raises(DiskFull, match=r"expected 1000000000 GB of free disk .* found [\d.]+ GB"):
        build.build(greedy, recorder)
    assert not greedy.output.exists()


def test_second_builder_waits_for_the_lock(recipe: Recipe, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go, "BEAT", 0.05)
    recipe.workspace.parent.mkdir(parents=True)
    with recipe.workspace.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        threading.Timer(0.5, lambda: fcntl.flock(handle, fcntl.LOCK_UN)).start()
        with build.locked(recipe, recorder):
            pass
    assert recorder.lines and "waiting for it" in recorder.lines[0]


BUILD_IN_A_PROCESS = """
import sys
from pathlib import Path
from labs.embedded import build
from labs.embedded.background_build import LogProgress
from labs.embedded.recipes import Recipe
try:
    build.build(Recipe("Hello", Path(sys.argv[1]), {"hello": "example.test/m/hello"}), LogProgress())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_process_and_no_half_program_and_can_be_resumed(
    recipe: Recipe, recorder: Recorder, number: signal.Signals
) -> None:
    plain = Recipe("Hello", recipe.module, dict(recipe.programs))
    process = subprocess.Popen([sys.executable, "-c", BUILD_IN_A_PROCESS, str(recipe.module)])
    cache = plain.workspace / "cache"
    eventually(lambda: process.poll() is not None or len(list(cache.rglob("*-d"))) >= 10, every=0.02)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(30) == (130 if number == signal.SIGINT else -signal.SIGKILL)
    if number == signal.SIGINT:
        assert not compilers_below(plain.workspace), "the compiler must end with the build"
    eventually(lambda: not compilers_below(plain.workspace), 10, every=0.05)
    assert not plain.output.exists()
    assert cache.exists(), "what was compiled so far is kept"
    build.build(plain, recorder)
    assert manifest.damage(plain.output, plain.programs) is None
    assert list(plain.output.parent.iterdir()) == [plain.output]


def compilers_below(workspace: Path) -> list[str]:
    """Processes whose environment names the workspace."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(workspace) in environment:
            found.append(process.name)
    return found


def test_key_follows_what_is_built_not_where(recipe: Recipe) -> None:
    assert dataclasses.replace(recipe, title="other").key == recipe.key
    assert dataclasses.replace(recipe, ldflags="-s").key != recipe.key
    assert dataclasses.replace(recipe, tags="x").key != recipe.key
    before = recipe.key
    (recipe.module / "go.sum").write_text("changed\n")
    assert recipe.key != before


def test_recipes_agree_with_the_pinned_versions() -> None:
    from labs import config

    pins = config.versions()
    text = (kubernetes().module / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{pins['kubernetes']['version']}" in text
    assert f"go.etcd.io/etcd/server/v3 v{pins['etcd']['version']}" in text
    text = (prometheus().module / "go.mod").read_text()
    assert f"github.com/prometheus/prometheus v{pins['prometheus']['module']}" in text


def test_no_new_enough_go(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go, "version", lambda _: (1, 20))
    with pytest.raises(BuildError, match="or newer; found"):
        go.find()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("example.org/v2x", "v2x"),
    ],
)
def test_the_name_go_gives_a_program(package: str, name: str) -> None:
    assert go.executable(package) == name
