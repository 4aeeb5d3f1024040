"""The image: its lock is a part of the checkout's, and has all that its programs import."""

from __future__ import annotations

import ast
import fnmatch
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from labs import config, errors
from labs.clusters import images
from labs.setup import image, image_lock

NOT_IN_THE_IMAGE = ("labs/pods/mesh_standin/*", "labs/wire/stubs.py", "labs/wire/*/__main__.py")
"""What .dockerignore leaves out, and generators that a developer runs."""


def programs() -> list[Path]:
    found = [path for room in ("pods", "wire") for path in (config.ROOT / "labs" / room).rglob("*.py")]
    return [path for path in found if not any(fnmatch.fnmatch(str(path.relative_to(config.ROOT)), x) for x in NOT_IN_THE_IMAGE)]


def imported(paths: list[Path]) -> set[str]:
    """Top-level modules that are neither ours nor Python's own."""
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"labs"}


def test_the_lock_is_up_to_date() -> None:
    assert image_lock.LOCK.read_text() == image_lock.subset(), "lab image lock"


def test_every_pin_and_hash_is_one_of_the_checkouts_lock() -> None:
    whole, own = image_lock.entries(image_lock.WHOLE.read_text()), image_lock.entries(image_lock.LOCK.read_text())
    assert 10 < len(own) < 30 < len(whole)
    assert own == {name: whole[name] for name in own}
    assert all("--hash=sha256:" in block for block in own.values())


def test_the_lock_has_all_that_the_programs_import() -> None:
    packages = metadata.packages_distributions()
    known = set(locked())
    missing = {module for module in imported(programs()) if not known & {canonicalize_name(name) for name in packages[module]}}
    assert missing == set()


def locked() -> dict[str, str]:
    return image_lock.entries(image_lock.LOCK.read_text())


def test_the_check_notices_a_package_that_is_missing(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import pandas\nfrom aiohttp import web\nfrom . import sibling\nimport json\n")
    assert imported([program]) == {"pandas", "aiohttp"}


def test_a_build_for_this_engine_and_one_for_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    tail = ["--file", str(config.CLUSTERS / "image" / "Dockerfile"), str(config.ROOT)]
    assert images.build_command() == ["build", "--tag", "boring-ops-lab/lab:dev", *tail]
    assert images.build_command("mirror.example/python", "registry.example/") == [
        "buildx",
        "build",
        "--platform",
        "linux/amd64,linux/arm64",
        "--push",
        "--tag",
        "registry.example/boring-ops-lab/lab:dev",
        "--build-arg",
        "BASE=mirror.example/python",
        *tail,
    ]
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    assert images.build_command()[3:5] == ["--build-arg", "PIP_INDEX_URL"]


def test_a_failed_build_shows_what_docker_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: str, timeout: float) -> str:
        raise errors.CommandFailed(["docker", *words], 1, "python:3.13-slim: no such host")

    monkeypatch.setattr(images, "docker", refuse)
    with pytest.raises(errors.BuildError, match="no such host") as caught:
        images.build()
    assert "--base-image" in caught.value.fix


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("docker: unknown command: docker buildx", "install Docker's buildx"),
        ("ERROR: Multi-platform build is not supported for the docker driver.", "docker buildx create --use"),
        ("push access denied, repository does not exist or may require authorization", "docker login registry.example,"),
    ],
)
def test_a_failed_push_says_what_it_takes(monkeypatch: pytest.MonkeyPatch, said: str, fix: str) -> None:
    def refuse(*words: str, timeout: float) -> str:
        raise errors.CommandFailed(["docker", *words], 1, said)

    monkeypatch.setattr(images, "docker", refuse)
    with pytest.raises(errors.BuildError, match=said[:20]) as caught:
        images.build(push="registry.example/team")
    assert fix in caught.value.fix


def test_pushed_or_loaded_but_not_both_and_only_where_nodes_take_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", "/nowhere")
    with pytest.raises(errors.UsageError, match="not both"):
        image.build(None, "registry.example", load=True)
    with pytest.raises(errors.UsageError, match="embedded takes no images"):
        image.build(None, None, load=True)


def test_the_dockerfile_runs_as_nobody_with_hashes_and_a_base_of_ones_own() -> None:
    text = images.DOCKERFILE.read_text()
    assert "ARG BASE=" in text and text.count("FROM ${BASE}") == 2
    assert "USER 65532:65532" in text and "--require-hashes" in text
    copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    allowed = [line[1:] for line in (config.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied == ["clusters/image/requirements.lock", "labs"]
    assert all((config.ROOT / path).exists() and path.startswith(tuple(copied)) for path in allowed)
