"""A site that publishes files, on loopback: with ranges, and with the bad habits that a test asks for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import pytest

from labs import download, releases


class Site:
    """``files`` by path; ``cuts``: paths whose next answers end after so many bytes; ``broken``: answers 500 so many times."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.broken = 0
        self.asked: list[tuple[str, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(site, self)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, asset: releases.Asset, content: bytes) -> None:
        """``content`` at the asset's URL, and its checksum beside it."""
        name = asset.url.rpartition("/")[2]
        self.files[path_of(asset.url)] = content
        line = f"{hashlib.sha256(content).hexdigest()}  _dist/{name}\n".encode()
        self.files[path_of(asset.checksums)] = self.files.get(path_of(asset.checksums), b"") + line


def path_of(url: str) -> str:
    """Where a mirror keeps ``url``."""
    return "/" + url.partition("://")[2]


def answer(site: Site, request: BaseHTTPRequestHandler) -> None:
    wanted = request.headers.get("Range")
    site.asked.append((request.path, wanted))
    if site.broken:
        site.broken -= 1
        request.send_error(500)
        return
    if request.path not in site.files:
        request.send_error(404)
        return
    content = site.files[request.path]
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
    if start >= len(content) > 0:
        request.send_error(416)
        return
    rest = content[start:]
    request.send_response(206 if wanted else 200)
    request.send_header("Content-Length", str(len(rest)))
    request.end_headers()
    cuts = site.cuts.get(request.path)
    request.wfile.write(rest[: cuts.pop(0)] if cuts else rest)


@contextmanager
def mirror(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Site]:
    """A site that stands for all of them, an empty cache, and no waiting between attempts."""
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with Site() as site:
        monkeypatch.setenv("LAB_MIRROR", site.url)
        yield site
