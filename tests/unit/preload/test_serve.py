"""The instructor's port: the whole bundle, any part of it, and what to type; fetching it with the wrong checksum is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from labs.embedded.manifest import digest
from labs.errors import ChecksumMismatch
from labs.setup.preload import serve

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "lab.tar.zst"
    path.write_bytes(CONTENT)
    return path


async def test_it_gives_the_bundle_whole_and_in_parts(bundle: Path) -> None:
    async with TestClient(TestServer(serve.application(bundle, "c0ffee"))) as client:
        assert await (await client.get("/lab.tar.zst")).read() == CONTENT
        rest = await client.get("/lab.tar.zst", headers={"Range": "bytes=25000-"})
        assert (rest.status, await rest.read()) == (206, CONTENT[25000:])
        assert (await client.get("/etc/passwd")).status == 404


async def test_its_page_says_what_to_type(bundle: Path) -> None:
    async with TestClient(TestServer(serve.application(bundle, "c0ffee"))) as client:
        address = f"http://{client.host}:{client.port}"
        text = await (await client.get("/")).text()
        assert text == f"./scripts/lab preload load {address}/lab.tar.zst --sha256 c0ffee\n"


@pytest.fixture
def address(bundle: Path) -> Iterator[str]:
    """A server that gives the bundle's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(bundle.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_fetched_bundle_is_the_one_on_the_screen(address: str, bundle: Path) -> None:
    fetched = serve.fetch(f"{address}/lab.tar.zst", digest(bundle), lambda done, total: None)
    assert fetched.read_bytes() == CONTENT


def test_another_checksum_is_refused_and_leaves_nothing(address: str, cache: Path) -> None:
    with pytest.raises(ChecksumMismatch):
        serve.fetch(f"{address}/lab.tar.zst", "0" * 64, lambda done, total: None)
    assert list((cache / "preload").iterdir()) == []
