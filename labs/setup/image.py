"""``lab image build``: builds the image of the lab's programs, for this engine or a registry, and can load it into the nodes."""

from __future__ import annotations

from functools import partial
from typing import Any

from labs import errors
from labs.clusters import backends, images
from labs.clusters.base import ImageLoader
from labs.clusters.console import ConsoleProgress
from labs.steps import Action, Progress, run_steps


def build(base: str | None, push: str | None, *, load: bool = False) -> str:
    """Build the image and return its name; see ``labs.clusters.images.build``.

    Raises:
        UsageError: both ``push`` and ``load`` were requested, or there are no nodes to load it into.
    """
    loader = nodes_loader(push) if load else None
    made: list[str] = []

    def make(progress: Progress) -> None:
        made.append(images.build(base, push))

    steps: list[Any] = [Action("Image of the lab", make)]
    if loader is not None:
        steps.append(Action("Image in the nodes", partial(loader.load, [images.LAB_IMAGE])))
    run_steps(steps, ConsoleProgress(), keep=True)
    return made[0]


def nodes_loader(push: str | None) -> ImageLoader:
    """The loader of images into the running lab's nodes.

    Raises:
        UsageError: ``push`` was requested, too, or the nodes accept no images from this machine's engine.
    """
    if push:
        raise errors.UsageError("an image is pushed or loaded, not both", fix="lab image build --load")
    return backends.current().loader()
