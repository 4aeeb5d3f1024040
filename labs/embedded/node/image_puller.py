"""Replaces pulling an image: look it up in the table, and back off like the kubelet if it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path

from labs.embedded.node.backoff import Backoff
from labs.embedded.node.context import PodContext
from labs.embedded.node.images import Image, InvalidImageName
from labs.embedded.node.model import ContainerRecord
from labs.waiting import async_attempts

RESYNC = 12.0
"""Seconds between two attempts to find an image whose name is wrong or that must not be pulled."""
BACKOFF_SHOWN_AFTER = 2.0


async def pull(context: PodContext, container: ContainerRecord) -> Image:
    """The image of ``container``; waits and tries again until the image is available (or the task is cancelled)."""
    backoff = Backoff(failures=1)
    while True:
        name = container.spec["image"]
        if container.changed.is_set():
            container.changed.clear()
            backoff = Backoff(failures=1)
        try:
            image = context.services.images.find(name)
        except InvalidImageName as error:
            context.event(container, "Warning", "InspectFailed", str(error))
            await _wait(context, container, "InvalidImageName", str(error), RESYNC)
            continue
        if image and not image.is_present:
            await _pull_slowly(context, container, name, image)
            return image
        if image:
            text = f'Container image "{name}" already present on machine and can be accessed by the pod'
            context.event(container, "Normal", "Pulled", text)
            return image
        if container.spec.get("imagePullPolicy") == "Never":
            text = f'Container image "{name}" is not present with pull policy of Never'
            context.event(container, "Warning", "ErrImageNeverPull", text)
            await _wait(context, container, "ErrImageNeverPull", text, RESYNC)
            continue
        await _fail_to_pull(context, container, name, backoff)


async def _pull_slowly(context: PodContext, container: ContainerRecord, name: str, image: Image) -> None:
    """Wait for the compiler as for a slow registry: ContainerCreating until the program is there."""
    context.event(container, "Normal", "Pulling", f'Pulling image "{name}"')
    async for spent in async_attempts(math.inf):
        if image.is_present:
            took = f"{spent:.3f}s"
            break
    size = Path(image.entrypoint[0]).stat().st_size
    text = f'Successfully pulled image "{name}" in {took} ({took} including waiting). Image size: {size} bytes.'
    context.event(container, "Normal", "Pulled", text)


async def _fail_to_pull(context: PodContext, container: ContainerRecord, name: str, backoff: Backoff) -> None:
    message = context.services.images.pull_error(name)
    context.event(container, "Normal", "Pulling", f'Pulling image "{name}"')
    context.event(container, "Warning", "Failed", f'Failed to pull image "{name}": {message}')
    await _wait(context, container, "ErrImagePull", message, BACKOFF_SHOWN_AFTER)
    back_off = f'Back-off pulling image "{name}"'
    context.event(container, "Normal", "BackOff", back_off)
    delay = backoff.next()
    await _wait(context, container, "ImagePullBackOff", f"{back_off}: ErrImagePull: {message}", max(delay, BACKOFF_SHOWN_AFTER))


async def _wait(context: PodContext, container: ContainerRecord, reason: str, message: str, seconds: float) -> None:
    context.event(container, "Warning", "Failed", f"Error: {reason}")
    container.state = {"waiting": {"reason": reason, "message": message}}
    context.publish()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(container.changed.wait(), seconds)
