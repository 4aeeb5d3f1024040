"""Requests of kubectl's that this node does not support: each answer says what to use instead."""

from __future__ import annotations

from aiohttp import web

POD = "{namespace}/{pod}"
PATHS = (f"portForward/{POD}", f"portForward/{POD}/{{uid}}", f"attach/{POD}/{{container}}", f"attach/{POD}/{{uid}}/{{container}}")
INSTEAD = {
    "portForward": "the embedded backend cannot forward ports: pods already listen on this machine, 'lab url' says where",
    "attach": "the embedded backend cannot attach to a container's first process: use 'kubectl logs -f' or 'kubectl exec'",
}


async def handle(request: web.Request) -> web.Response:
    return web.Response(status=501, text=INSTEAD[request.path.split("/")[1]])
