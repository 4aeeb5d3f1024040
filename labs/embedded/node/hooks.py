"""Lifecycle hooks: postStart and preStop."""

from __future__ import annotations

import asyncio

from labs.embedded.node import probes
from labs.embedded.node.context import PodContext
from labs.embedded.node.model import ContainerRecord, Object, StartError

HTTP_TIMEOUT = 30.0
"""Seconds an HTTP hook may take."""


class HookError(Exception):
    """A hook failed; the message is the kubelet's."""


async def run(context: PodContext, container: ContainerRecord, hook: Object) -> None:
    """Run a handler (exec, httpGet or sleep) in ``container``.

    Raises:
        HookError: it failed.
    """
    if "sleep" in hook:
        await asyncio.sleep(hook["sleep"]["seconds"])
    elif "httpGet" in hook:
        await _get(context, container, hook["httpGet"])
    elif "exec" in hook:
        await _execute(context, container, hook["exec"]["command"])
    else:
        raise HookError(f"invalid handler: the embedded backend runs exec, httpGet and sleep; found {', '.join(sorted(hook))}")


async def _get(context: PodContext, container: ContainerRecord, action: Object) -> None:
    try:
        outcome, message = await probes.http(context.record.ip, container.spec, action, HTTP_TIMEOUT)
    except ValueError as error:
        raise HookError(str(error)) from error
    if not outcome.passes:
        raise HookError(message)


async def _execute(context: PodContext, container: ContainerRecord, command: list[str]) -> None:
    words = " ".join(command)
    intro = f'Exec lifecycle hook ([{words}]) for Container "{container.name}" in Pod "{context.full_name}" failed - error: '
    try:
        result = await context.execute(container, command)
    except StartError as error:
        raise HookError(f"{intro}rpc error: code = Unknown desc = failed to exec in container: {error}") from error
    if result.code:
        output = result.output.replace("\n", "\\n")
        errors = result.output.removeprefix(result.stdout)
        raise HookError(f"{intro}command '{words}' exited with {result.code}: {errors}, message: \"{output}\"")
