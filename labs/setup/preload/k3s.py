"""The images that k3s itself pulls into its nodes: those that its release lists, minus the components that the lab disables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from labs import config, download, errors, releases
from labs.clusters import images
from labs.paths import cache_dir
from labs.setup.preload.parts import NodeImages
from labs.steps import Progress

COMPONENTS = {
    "traefik": {"mirrored-library-traefik", "klipper-helm"},
    "metrics-server": {"mirrored-metrics-server"},
    "local-storage": {"local-path-provisioner", "mirrored-library-busybox"},
}
"""Components that k3s can disable (``--disable=NAME``) → the images that only they use. klipper-helm runs the jobs that install
Helm charts, and Traefik's is the only chart that k3s brings. Images not named here are always in the bundle."""
IMAGE = re.compile(r"docker\.io/(?P<path>[a-z0-9._/-]+):(?P<tag>[\w.-]+)", re.ASCII)


@dataclass(frozen=True)
class K3sImages:
    """Pause, CoreDNS and the load balancer for Services, in the versions that the pinned k3s needs.

    ``lab preload save`` downloads the release's list and puts it into the bundle, so that later, without a network, the list says
    which archives must exist. ``lab up`` can load them after the nodes are Ready: nodes do not need them, because the pod network
    is part of the k3s program, and pods wait for them, because the kubelet tries again.
    """

    title: ClassVar[str] = "images of k3s"

    @property
    def listing(self) -> Path:
        return cache_dir() / "lists" / f"k3s-images-{release()}.txt"

    @property
    def archives(self) -> NodeImages:
        return NodeImages(self.title, lambda: needed(self.listing.read_text(), disabled()))

    @property
    def files(self) -> dict[str, Path]:
        return {str(self.listing.relative_to(cache_dir())): self.listing, **self.archives.files}

    def gather(self, progress: Progress) -> None:
        """Download the list, and make the engine pull the images that it names.

        Raises:
            SiteUnreachable, DownloadError: the list is not available, or is not a list.
        """
        if not self.listing.exists():
            text = download.text(releases.k3s_images(release()))
            needed(text, disabled())
            self.listing.parent.mkdir(parents=True, exist_ok=True)
            draft = self.listing.with_suffix(".tmp")
            draft.write_text(text)
            draft.replace(self.listing)
        self.archives.gather(progress)

    def missing(self) -> str | None:
        return self.archives.missing() if self.listing.exists() else f"{self.listing} is missing"

    def unpacked(self, progress: Progress) -> None:
        """``lab up`` loads them into the nodes."""


def release() -> str:
    """The release of k3s in the node image, whose tag has a hyphen instead of the release's plus: v1.36.1-k3s1."""
    (image,) = images.node_images("k3d")
    return image.rpartition(":")[2].replace("-k3s", "+k3s")


def disabled() -> set[str]:
    """The components of k3s that every cluster of the lab disables."""
    documents = [yaml.safe_load(path.read_text()) for path in (config.CLUSTERS / "k3d").glob("*.yaml")]
    arguments = [{row["arg"] for row in document["options"]["k3s"]["extraArgs"]} for document in documents]
    common = set.intersection(*arguments)
    return {argument.removeprefix("--disable=") for argument in common if argument.startswith("--disable=")}


def needed(text: str, disabled: set[str]) -> list[str]:
    """The images in k3s's list that its nodes pull, as Docker names them (``rancher/mirrored-pause:3.6``).

    Docker omits ``docker.io/`` when it lists images or names them in an archive; containerd adds it again on import.

    Raises:
        DownloadError: it is not the list but, for example, the login page of a hotel's network.
    """
    unused = set().union(*(COMPONENTS.get(name, set()) for name in disabled))
    found = [IMAGE.fullmatch(line) for line in text.split()]
    if not found or None in found:
        raise errors.DownloadError(f"expected the list of k3s's images; found {text[:80]!r}", fix="check the network")
    return [f"{image['path']}:{image['tag']}" for image in found if image and image["path"].rpartition("/")[2] not in unused]
