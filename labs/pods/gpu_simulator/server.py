"""The two HTTP servers: the work socket (README.md), for programs on the GPU and for ``ctl``, and the metrics port."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from labs.pods.gpu_simulator import exporter
from labs.pods.gpu_simulator.attribution import Holders
from labs.pods.gpu_simulator.describe import describe
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.faults import FAULTS, Fault, UnknownFault, fault_of
from labs.pods.gpu_simulator.fleet import Fleet, UnknownGpu
from labs.pods.gpu_simulator.work import BadWork, parse


def _describe_fault(fault: Fault) -> dict[str, Any]:
    return {"summary": fault.summary, "xid": fault.xid, "node": fault.node, "lasting": fault.lasting}


class WorkApi:
    """Handlers of the work socket."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_errors])
        app.router.add_post("/v1/gpus/{gpu}/work", self.work)
        app.router.add_get("/v1/gpus", self.gpus)
        app.router.add_get("/v1/gpus/{gpu}", self.gpu)
        app.router.add_get("/v1/faults", self.faults)
        app.router.add_put("/v1/gpus/{gpu}/faults/{fault}", self.inject)
        app.router.add_delete("/v1/gpus/{gpu}/faults/{fault}", self.heal)
        return app

    async def work(self, request: web.Request) -> web.Response:
        gpu, part = self._fleet.part(request.match_info["gpu"])
        work = parse(await request.json())
        self._fleet.advance()
        return web.json_response(asdict(gpu.report(work, part)))

    async def gpu(self, request: web.Request) -> web.Response:
        self._fleet.advance()
        return web.json_response(describe(self._gpu(request)))

    async def gpus(self, request: web.Request) -> web.Response:
        self._fleet.advance()
        return web.json_response([describe(gpu) for gpu in self._fleet.gpus])

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response({fault.name: _describe_fault(fault) for fault in FAULTS.values()})

    async def inject(self, request: web.Request) -> web.Response:
        gpu = self._gpu(request)
        self._fleet.inject(gpu, fault_of(request.match_info["fault"]))
        return web.json_response(describe(gpu))

    async def heal(self, request: web.Request) -> web.Response:
        gpu = self._gpu(request)
        self._fleet.heal(gpu, fault_of(request.match_info["fault"]))
        return web.json_response(describe(gpu))

    def _gpu(self, request: web.Request) -> Gpu:
        return self._fleet.find(request.match_info["gpu"])


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    try:
        return await handler(request)
    except (UnknownGpu, UnknownFault) as error:
        return web.json_response({"error": str(error)}, status=404)
    except (BadWork, json.JSONDecodeError) as error:
        return web.json_response({"error": str(error)}, status=400)


def metrics_app(fleet: Fleet, holders: Holders, registered: Callable[[], bool], shared: bool = False) -> web.Application:
    """``/metrics``, ``/health`` (the process answers) and ``/ready`` (the kubelet knows the plugins). With ``shared``
    there is a series for each pod that shares a GPU."""

    async def metrics(request: web.Request) -> web.Response:
        if fleet.has(lambda fault: fault.driver_mismatch):
            return web.Response(status=503, text="Failed to initialize NVML: Driver/library version mismatch\n")
        page = exporter.render(fleet, await holders.current(), shared)
        return web.Response(body=page.encode(), headers={"Content-Type": exporter.CONTENT_TYPE})

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(request: web.Request) -> web.Response:
        if registered():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="not registered with the kubelet yet\n")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    return app
