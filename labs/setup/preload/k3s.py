"""The images that k3s itself pulls into its nodes: those its release lists, less what the lab's clusters switch off."""

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
"""What k3s can be started without (``--disable=NAME``) → the images that nothing else uses. klipper-helm runs the jobs that
install Helm charts, and Traefik's is the only one that k3s brings. An image that is not named here is always carried."""
IMAGE = re.compile(r"docker\.io/(?P<path>[a-z0-9._/-]+):(?P<tag>[\w.-]+)", re.ASCII)


@dataclass(frozen=True)
class K3sImages:
    """Pause, CoreDNS and the load balancer of Services, in the versions that the pinned k3s asks for.

    The release's own list is fetched when a bundle is made and is a member of it: afterwards it tells, without a network, which
    archives there must be. Pods wait for them (the kubelet tries again) and nodes are Ready without, as k3s brings its pod
    network in its own program: so it is soon enough that ``lab up`` loads them once the nodes are.
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
        """Fetch the list, and have the engine pull what it names.

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
    """The release of k3s behind the node image, whose tag has a hyphen where the release has a plus: v1.36.1-k3s1."""
    (image,) = images.node_images("k3d")
    return image.rpartition(":")[2].replace("-k3s", "+k3s")


def disabled() -> set[str]:
    """The components of k3s that every cluster of the lab does without."""
    documents = [yaml.safe_load(path.read_text()) for path in (config.CLUSTERS / "k3d").glob("*.yaml")]
    arguments = [{row["arg"] for row in document["options"]["k3s"]["extraArgs"]} for document in documents]
    common = set.intersection(*arguments)
    return {argument.removeprefix("--disable=") for argument in common if argument.startswith("--disable=")}


def needed(text: str, disabled: set[str]) -> list[str]:
    """The images of k3s's list that its nodes pull, as Docker names them (``rancher/mirrored-pause:3.6``).

    Docker leaves ``docker.io/`` away where it lists images and names them in an archive; containerd puts it back on import.

    Raises:
        DownloadError: it is not the list but, say, the page of a hotel's network.
    """
    unused = set().union(*(COMPONENTS.get(name, set()) for name in disabled))
    found = [IMAGE.fullmatch(line) for line in text.split()]
    if not found or None in found:
        raise errors.DownloadError(f"expected the list of k3s's images; found {text[:80]!r}", fix="check the network")
    return [f"{image['path']}:{image['tag']}" for image in found if image and image["path"].rpartition("/")[2] not in unused]
