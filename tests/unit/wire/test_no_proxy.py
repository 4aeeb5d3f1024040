"""No client of the lab or its notebooks asks a company's proxy for this machine's own addresses."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest
import requests
import yaml
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from labs import download, kube
from labs.kubectl import program as kubectl_program
from labs.setup.preload import front
from labs.telemetry.prometheus import Prometheus
from labs.wire import no_proxy

ANSWER = {"gitVersion": "v1", "data": {"resultType": "scalar", "result": [0, "1"]}, "object": "list"}
HOSTS = ["127.0.0.1", *(["127.10.0.1", "127.21.7.9"] if sys.platform == "linux" else [])]


@contextmanager
def serving(host: str, status: int, log: list[str]) -> Iterator[str]:
    """A server on ``host`` that answers everything with ``status`` and ``ANSWER``, and notes what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            log.append(f"{self.command} {self.path}")
            body = json.dumps(ANSWER).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_CONNECT = answer

        def log_message(self, format: str, *args: object) -> None:
            """The list is enough."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The environment of a laptop at work: every scheme through a proxy, which refuses and notes what it is asked for."""
    asked: list[str] = []
    with serving("127.0.0.1", 403, asked) as url:
        for name in no_proxy.PROXIES:
            monkeypatch.setenv(name, url)
            monkeypatch.setenv(name.upper(), url)
        for name in no_proxy.LISTS:
            monkeypatch.setenv(name, "localhost,127.0.0.1,.corp.example")
        yield asked


def kubeconfig(url: str, folder: Path) -> Path:
    file = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "app", "context": {"cluster": "c", "user": "u"}}
    file.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}))
    return file


def by_kubernetes_client(url: str, folder: Path) -> object:
    return kube.call(kube.connect("app", kubeconfig(url, folder)), "GET", "/version")


def by_download(url: str, folder: Path) -> object:
    return download.text(f"{url}/sums")


def by_preload(url: str, folder: Path) -> object:
    return front.open_source(f"{url}/lab.tar.zst").read()


def by_prometheus(url: str, folder: Path) -> object:
    return Prometheus(url, "app").instant("1")


def by_requests(url: str, folder: Path) -> object:
    return requests.get(url, timeout=10).json()["gitVersion"]


def by_openai(url: str, folder: Path) -> object:
    return OpenAI(base_url=url, api_key="none", max_retries=0).models.list()


def by_kubectl(url: str, folder: Path) -> object:
    return subprocess.run([kubectl_program(), f"--server={url}", "get", "--raw=/version"], check=True, timeout=30)


def by_urllib(url: str, folder: Path) -> object:
    command = [sys.executable, "-c", "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)", url]
    return subprocess.run(command, check=True, timeout=30)


CLIENTS = [by_kubernetes_client, by_download, by_preload, by_prometheus, by_requests, by_openai, by_kubectl, by_urllib]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_asks_the_proxy_for_loopback(
    client: Callable[[str, Path], object], host: str, proxy: list[str], tmp_path: Path
) -> None:
    no_proxy.exempt_url(f"http://{host}")  # as lab.url does with a URL that it gives out
    asked: list[str] = []
    with serving(host, 200, asked) as url:
        client(url, tmp_path)
    assert asked and proxy == []


def test_without_the_exemption_the_proxy_is_asked(proxy: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above can fail."""
    for name in no_proxy.LISTS:
        monkeypatch.delenv(name)
    with serving("127.0.0.1", 200, []) as url, pytest.raises(subprocess.CalledProcessError):
        by_urllib(url, tmp_path)
    assert proxy


async def test_the_nodes_client_never_asks_a_proxy(proxy: list[str]) -> None:
    asked: list[str] = []
    with serving("127.0.0.1", 200, asked) as url:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert response.status == 200
    assert asked and proxy == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80", True),
        ("https://127.10.0.1:6443/x", True),
        ("http://[::1]:9", True),
        ("http://localhost", True),
        ("http://lab.localhost:8", True),
        ("http://10.10.0.1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("nonsense", False),
    ],
)
def test_what_is_loopback(url: str, expected: bool) -> None:
    assert no_proxy.is_loopback(url) == expected


def test_nothing_is_set_where_there_is_no_proxy() -> None:
    environment = {"NO_PROXY": "corp"}
    no_proxy.exempt_environment(environment, "10.10.0.0/16")
    assert environment == {"NO_PROXY": "corp"}


@given(st.lists(st.sampled_from(["corp", ".corp", " localhost", "10.0.0.0/8", ""])), st.sampled_from(no_proxy.LISTS))
def test_what_was_exempt_stays_exempt_and_nothing_stands_twice(words: list[str], name: str) -> None:
    environment = {"https_proxy": "http://p", name: ",".join(words)}
    no_proxy.exempt_environment(environment)
    once = dict(environment)
    no_proxy.exempt_environment(environment)
    assert environment == once and once["NO_PROXY"] == once["no_proxy"]
    listed = once["NO_PROXY"].split(",")
    assert len(listed) == len(set(listed)) and "" not in listed
    assert {word.strip() for word in words if word.strip()} | set(no_proxy.HOSTS) == set(listed)
