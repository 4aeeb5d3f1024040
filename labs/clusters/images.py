"""The images that the lab's pods use: building the lab's own, and getting images from the Docker engine into nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from labs import config, errors
from labs.clusters import docker
from labs.clusters.docker import Engine

LAB_IMAGE = config.LAB_IMAGE
DOCKERFILE = config.CLUSTERS / "image" / "Dockerfile"
PLATFORMS = ("linux/amd64", "linux/arm64")
"""What a pushed image is built for."""
BUILD_TIMEOUT = 1800.0
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
    return config.cache_dir() / "images" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)}.tar"


def preloaded() -> list[Path]:
    """The archives that ``lab preload load`` left for the nodes."""
    return sorted((config.cache_dir() / "images").glob("*.tar"))


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
        docker.docker(*build_command(base, push), timeout=BUILD_TIMEOUT)
    except errors.CommandFailed as error:
        raise errors.BuildError(
            f"the image {LAB_IMAGE} could not be built: {error.output.strip()[-1500:]}", fix=_build_fix(error.output, push)
        ) from error
    return f"{push.rstrip('/')}/{LAB_IMAGE}" if push else LAB_IMAGE


def _build_fix(said: str, push: str | None) -> str:
    if push and ("buildx" in said or "docker driver" in said):
        # Debian's docker.io has no buildx at all; Docker's own has it, but the builder it begins with makes one platform only.
        return "install Docker's buildx; if it is there: docker buildx create --use, then the same command again"
    if push:
        return f"docker login {push.partition('/')[0]}, or a base image that is reachable (--base-image), then the same command"
    return "lab image build --base-image REGISTRY/python:3.13-slim, or on a good network: lab preload save lab.tar.zst"


def ensure_lab_image() -> None:
    """Build the lab's image if the engine does not have it."""
    if not docker.has_image(LAB_IMAGE):
        build()


def present(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that the engine has."""
    return [name for name in names if docker.has_image(name)]


def save(names: Sequence[str], archive: Path, engine: Engine) -> None:
    """Write images of the engine into a tar archive that containerd can import.

    With Docker's containerd store an image may be known for several platforms but have the content of one: an archive that says
    otherwise is refused on import ("content digest not found"), hence ``--platform`` where docker knows it.
    """
    platform = ["--platform", engine.platform] if engine.api >= docker.SAVE_PLATFORM_API else []
    docker.docker("image", "save", *platform, "--output", str(archive), *names, timeout=600)
