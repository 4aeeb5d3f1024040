"""What the handlers of the kubelet API find in ``request.app``, and how they find the requested pod."""

from __future__ import annotations

from aiohttp import web

from labs.embedded.node.model import DeviceManager, Node, PodManager, PodRecord

NODE = web.AppKey("node", Node)
PODS: web.AppKey[PodManager] = web.AppKey("pods", PodManager)
DEVICES: web.AppKey[DeviceManager] = web.AppKey("devices", DeviceManager)


def find_pod(request: web.Request) -> PodRecord | None:
    found = request.match_info
    return request.app[PODS].find(found["namespace"], found["pod"])
