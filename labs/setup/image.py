"""``lab image build``: the image of the lab's programs, for this engine or for a registry, and into the nodes."""

from __future__ import annotations

from functools import partial
from typing import Any

from labs import errors
from labs.clusters import backends, images
from labs.clusters.console import ConsoleProgress
from labs.clusters.docker_backend import DockerBackend
from labs.steps import Action, Progress, run_steps


def build(base: str | None, push: str | None, *, load: bool = False) -> str:
    """Build the image and return its name; see ``labs.clusters.images.build``.

    Raises:
        UsageError: it is to be pushed and loaded at once, or there are no nodes to load it into.
    """
    backend = nodes_backend(push) if load else None
    made: list[str] = []

    def make(progress: Progress) -> None:
        made.append(images.build(base, push))

    steps: list[Any] = [Action("Image of the lab", make)]
    if backend is not None:
        steps.append(Action("Image in the nodes", partial(backend.load, [images.LAB_IMAGE])))
    run_steps(steps, ConsoleProgress(), keep=True)
    return made[0]


def nodes_backend(push: str | None) -> DockerBackend:
    """The running lab's backend, if its nodes take images from this machine's engine."""
    backend = backends.current()
    if push:
        raise errors.UsageError("an image is pushed or loaded, not both", fix="lab image build --load")
    if not isinstance(backend, DockerBackend):
        raise errors.UsageError(f"the backend {backend.name} takes no images from this machine", fix="lab image build")
    return backend
