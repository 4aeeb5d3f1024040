"""``/pods``: the pods of this node as the agent sees them, with its own view of their status."""

from __future__ import annotations

from aiohttp import web

from labs.embedded.node.server.context import PODS


async def list_pods(request: web.Request) -> web.Response:
    items = [record.pod | {"status": record.status} for record in request.app[PODS].pods()]
    return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
