"""``lab preload serve``: one port from which a classroom downloads a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from labs import download
from labs.embedded.manifest import digest
from labs.paths import cache_dir

PORT = 8737


def application(bundle: Path, checksum: str) -> web.Application:
    """``/NAME`` is the bundle (with ranges, so that an interrupted download can continue); ``/`` says what to type."""

    async def index(request: web.Request) -> web.Response:
        return web.Response(text=instructions(f"http://{request.host}", bundle, checksum))

    async def content(_: web.Request) -> web.FileResponse:
        return web.FileResponse(bundle)

    app = web.Application()
    app.add_routes([web.get("/", index), web.get(f"/{bundle.name}", content)])
    return app


def instructions(address: str, bundle: Path, checksum: str) -> str:
    """What a learner types, and the checksum to compare with the one on the instructor's screen."""
    return f"./scripts/lab preload load {address}/{bundle.name} --sha256 {checksum}\n"


def serve(bundle: Path, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until interrupted."""
    checksum = digest(bundle)
    say(f"{bundle.name}  sha256 {checksum}")
    say(instructions(f"http://{host}:{port}", bundle, checksum).rstrip())
    web.run_app(application(bundle, checksum), host=host, port=port, print=None)


def fetch(url: str, sha256: str, report: download.Report) -> Path:
    """Download a bundle into the cache folder and compare its checksum.

    Raises:
        SiteUnreachable, ChecksumMismatch, DownloadError: see ``labs.download``.
    """
    target = cache_dir() / "preload" / "download.tar.zst"
    target.parent.mkdir(parents=True, exist_ok=True)
    download.fetch(url, target, sha256, report)
    return target
