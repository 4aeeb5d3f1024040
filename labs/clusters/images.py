"""The images that the lab's pods use: building the lab's own, and getting images from the Docker engine into nodes."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from labs import config, errors
from labs.clusters.docker import engine
from labs.clusters.docker.engine import Engine, docker
from labs.paths import cache_dir
from labs.steps import Progress

LAB_IMAGE = config.LAB_IMAGE
DOCKERFILE = config.CLUSTERS / "image" / "Dockerfile"
PLATFORMS = ("linux/amd64", "linux/arm64")
"""What a pushed image is built for."""
BUILD_TIMEOUT = 1800.0
PULL_TIMEOUT = 1800.0
"""Seconds for one image: a node image is 1 GB, and a conference's network is what it is."""
HELPERS = {"k3d": "ghcr.io/k3d-io/k3d-tools:{version}"}
"""What a tool runs beside the nodes. k3d has a container of this image whenever it creates or starts a cluster, and pulls it
unless the engine has it (``EnsureToolsNode`` in pkg/client/tools.go, ``createContainer`` in pkg/runtimes/docker/container.go)."""


def workload_images() -> list[str]:
    """Every image that the manifests name."""
    found: set[str] = set()
    for path in config.MANIFESTS.rglob("*.yaml"):
        found |= set(re.findall(r"^\s*(?:- )?image: (\S+)$", path.read_text(), re.MULTILINE))
    return sorted(found)


def archive(name: str) -> Path:
    """Where an offline bundle puts an image that only the nodes need: straight into them, never into the engine."""
    return cache_dir() / "images" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.tar"


def preloaded() -> list[Path]:
    """The archives that ``lab preload load`` left for the nodes."""
    return sorted((cache_dir() / "images").glob("*.tar"))


def node_images(tool: str) -> list[str]:
    """What the nodes of a tool's clusters are made of."""
    found = [re.findall(r"image: (?:&\S+ )?([^*\s]+)", path.read_text()) for path in (config.CLUSTERS / tool).glob("*.yaml")]
    return sorted({name for names in found for name in names})


def engine_images(tool: str) -> list[str]:
    """What the engine must have for a tool's clusters: the nodes' image and the tool's own, of the version that is pinned."""
    helpers = [HELPERS[tool].format(**config.versions()[tool])] if tool in HELPERS else []
    return [*node_images(tool), *helpers]


def build_command(base: str | None = None, push: str | None = None) -> list[str]:
    """The words after ``docker`` that build the lab's image for this engine, or for all platforms and into a registry."""
    arguments = ["--build-arg", f"BASE={base}"] if base else []
    if "PIP_INDEX_URL" in os.environ:
        arguments += ["--build-arg", "PIP_INDEX_URL"]
    if push:
        target = ["--platform", ",".join(PLATFORMS), "--push", "--tag", f"{push.rstrip('/')}/{LAB_IMAGE}"]
        command = ["buildx", "build", *target]
    else:
        command = ["build", "--tag", LAB_IMAGE]
    return [*command, *arguments, "--file", str(DOCKERFILE), str(config.ROOT)]


def build(base: str | None = None, push: str | None = None) -> str:
    """Build the lab's image and return its name. ``base`` replaces the Dockerfile's base image; ``push`` is a registry.

    Raises:
        BuildError: with the end of what docker said.
    """
    try:
        docker(*build_command(base, push), timeout=BUILD_TIMEOUT)
    except errors.CommandFailed as error:
        raise errors.BuildError(
            f"the image {LAB_IMAGE} could not be built: {error.output.strip()[-1500:]}", fix=_build_fix(error.output, push)
        ) from error
    return f"{push.rstrip('/')}/{LAB_IMAGE}" if push else LAB_IMAGE


def _build_fix(said: str, push: str | None) -> str:
    if push and ("buildx" in said or "docker driver" in said):
        # Debian's docker.io has no buildx at all; Docker's own has it, but the builder it begins with makes one platform only.
        return "install Docker's buildx; if it is installed: docker buildx create --use, then the same command again"
    if push:
        return f"docker login {push.partition('/')[0]}, or a base image that you can reach (--base-image), then the same command"
    return "lab image build --base-image REGISTRY/python:3.13-slim, or on a good network: lab preload save lab.tar.zst"


def ensure_lab_image() -> None:
    """Build the lab's image if the engine does not have it."""
    if not engine.has_image(LAB_IMAGE):
        build()


def ensure_engine_images(tool: str, progress: Progress) -> None:
    """Pull what ``engine_images`` names and the engine lacks, both as pinned and (from a bundle) by its tag alone.

    The tool would pull it as well, but without a word on how long that takes, and inside the time that creating a cluster has.

    Raises:
        StepFailed: it is not available.
    """
    for name in engine_images(tool):
        if not present([name, name.partition("@")[0]]):
            progress.note(f"pulling {name.partition('@')[0]}")
            try:
                pull(name, engine.engine())
            except errors.CommandFailed as error:
                raise image_pull_error(error.output) from error


def preloaded_node_image(tool: str) -> list[str]:
    """The flag for a node image that came in an archive: Docker keeps its tag, not the digest by which a tool looks for it."""
    for pinned in node_images(tool):
        tag = pinned.partition("@")[0]
        if not engine.has_image(pinned) and engine.has_image(tag):
            return ["--image", tag]
    return []


def pull(name: str, found: Engine) -> None:
    """Have the engine pull an image for its own platform."""
    docker("image", "pull", "--quiet", "--platform", found.platform, name, timeout=PULL_TIMEOUT)


def image_pull_error(said: str) -> errors.StepFailed:
    """The error for an image that a registry did not give; ``said`` by the tool that asked for it."""
    fix = "a network that reaches the registry (behind a proxy: set HTTPS_PROXY for Docker), or lab preload load lab.tar.zst"
    return errors.StepFailed("Clusters", f"an image is not available: {said.strip()[-600:]}", fix=fix)


def present(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that the engine has."""
    return [name for name in names if engine.has_image(name)]


def save(names: Sequence[str], archive: Path, found: Engine) -> None:
    """Write images of the engine into a tar archive that containerd can import.

    With Docker's containerd store an image may be known for several platforms but have the content of one: an archive that says
    otherwise is refused on import ("content digest not found"), hence ``--platform`` where docker knows it.
    """
    platform = ["--platform", found.platform] if found.api >= engine.SAVE_PLATFORM_API else []
    docker("image", "save", *platform, "--output", str(archive), *names, timeout=600)


def archived(archive: Path) -> set[tuple[str, str]]:
    """(name, id) of each image in an archive; names and ids as containerd has them, see ``held``.

    Both of Docker's image stores write ``manifest.json``; its ``Config`` is the id with other words around it.
    """
    with tarfile.open(archive) as tar:
        content = tar.extractfile("manifest.json")
        rows = json.load(content) if content else []
    return {(full_name(tag), _id(row["Config"])) for row in rows for tag in row["RepoTags"] or []}


def held(node: str) -> set[tuple[str, str]]:
    """(name, id) of each image that the node container ``node`` has."""
    rows = json.loads(docker("exec", node, "crictl", "images", "--output=json"))["images"]
    return {(tag, _id(row["id"])) for row in rows for tag in row["repoTags"]}


def _id(text: str) -> str:
    # sha256:HEX, HEX.json or blobs/sha256/HEX: the digest of the image's configuration.
    digests: list[str] = re.findall(r"[0-9a-f]{64}", text)
    return digests[-1]


def full_name(name: str) -> str:
    """As containerd writes it: ``busybox:1`` → ``docker.io/library/busybox:1``."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
