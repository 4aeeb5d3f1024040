"""The HTTPS server: who may call it, and which handler serves each path."""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from labs.embedded import plan
from labs.embedded.node.model import DeviceManager, Node, PodManager
from labs.embedded.node.server import container_logs, execute, pods, statistics, unsupported
from labs.embedded.node.server.context import DEVICES, NODE, PODS

API_SERVER = "kube-apiserver-kubelet-client"
"""Common name of the one client that may use this API: the certificate the API server shows to kubelets."""
CLOSE_AFTER = 1.0
"""Seconds open streams get when the server stops."""


class KubeletServer:
    """Serves while the block runs: ``async with KubeletServer(node, pods, devices, certificate, key, client_ca)``."""

    def __init__(
        self, node: Node, manager: PodManager, devices: DeviceManager, *, certificate: Path, key: Path, client_ca: Path
    ) -> None:
        self._address = node.address
        self._context = tls(certificate, key, client_ca)
        self._runner = web.AppRunner(application(node, manager, devices), access_log=None, shutdown_timeout=CLOSE_AFTER)

    async def __aenter__(self) -> KubeletServer:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, plan.KUBELET_PORT, ssl_context=self._context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def tls(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """TLS that refuses, in the handshake, a client without a certificate of ``client_ca``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def application(node: Node, manager: PodManager, devices: DeviceManager) -> web.Application:
    app = web.Application(middlewares=[authorize])
    app[NODE], app[PODS], app[DEVICES] = node, manager, devices
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/pods", pods.list_pods),
            web.get("/containerLogs/{namespace}/{pod}/{container}", container_logs.handle),
            web.get("/stats/summary", statistics.summary),
            web.get("/metrics/resource", statistics.resource_metrics),
            *(web.route("*", f"/exec/{path}", execute.handle) for path in execute.PATHS),
            *(web.route("*", f"/{path}", unsupported.handle) for path in unsupported.PATHS),
        ]
    )
    return app


@web.middleware
async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the API server's requests through, and nothing else: any other client of the cluster's CA is refused."""
    name = common_name(request)
    if name != API_SERVER:
        words = f"Forbidden (user={name}, verb={request.method.lower()}, resource=nodes, subresource=proxy)"
        return web.Response(status=403, text=words)
    return await handler(request)


def common_name(request: web.Request) -> str:
    """The common name in the client's certificate, which the TLS handshake has checked."""
    certificate = request.get_extra_info("peercert") or {}
    return next((value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"), "")


async def healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")
