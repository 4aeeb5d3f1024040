"""The kubelet API over real TLS and real WebSockets, against pods of a test."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType
from prometheus_client.parser import text_string_to_metric_families

from labs.embedded.certificates import Authority
from labs.embedded.node.devices import Devices
from labs.embedded.node.model import Node, find_node
from labs.embedded.node.server import KubeletServer, app
from tests.unit.embedded.fake_pods import FakePods

LOG = b"""2026-11-24T15:28:46.489182214Z stdout F one
2026-11-24T15:28:47.489182214Z stderr F two
2026-11-24T15:28:48.489182214Z stdout P no end
2026-11-24T15:28:48.5Z stdout F ing
"""


@dataclass(frozen=True)
class Elsewhere(Node):
    """A node whose address no running lab uses."""

    @property
    def address(self) -> str:
        return "127.99.0.10"


@dataclass
class Kubelet:
    pods: FakePods
    keys: Path

    def client(self, name: str | None) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=self.keys / "ca.crt")
        if name:
            context.load_cert_chain(self.keys / f"{name}.crt", self.keys / f"{name}.key")
        return aiohttp.ClientSession("https://127.99.0.10:10250", connector=aiohttp.TCPConnector(ssl=context))

    async def get(self, path: str, **query: str) -> tuple[int, str]:
        async with self.client("kubelet-client") as http, http.get(path, params=query) as response:
            return response.status, await response.text()

    async def logs(self, pod: str = "web", **query: str) -> tuple[int, str]:
        return await self.get(f"/containerLogs/shop/{pod}/main", **query)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority.create(folder, "ca", "test-ca")
    authority.issue("node", "system:node:n", ["system:nodes"], hosts=["127.99.0.10"])
    authority.issue("kubelet-client", app.API_SERVER)
    authority.issue("admin", "kubernetes-admin", ["system:masters"])
    return folder


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[FakePods]:
    pods = FakePods(tmp_path)
    yield pods
    pods.kill()


@pytest_asyncio.fixture
async def kubelet(pods: FakePods, keys: Path, tmp_path: Path) -> AsyncIterator[Kubelet]:
    known = find_node("app", "app-worker")
    node = Elsewhere(known.cluster, known.spec)
    devices = Devices(tmp_path / "devices.json")
    files = {"certificate": keys / "node.crt", "key": keys / "node.key", "client_ca": keys / "ca.crt"}
    async with KubeletServer(node, pods, devices, **files):
        yield Kubelet(pods, keys)


async def test_only_the_api_server_may_ask(kubelet: Kubelet) -> None:
    assert await kubelet.get("/healthz") == (200, "ok")
    async with kubelet.client("admin") as http, http.get("/healthz") as response:
        assert response.status == 403
        assert "user=kubernetes-admin" in await response.text()
    with pytest.raises(aiohttp.ClientError):
        async with kubelet.client(None) as http, http.get("/healthz") as response:
            await response.text()


async def test_logs(kubelet: Kubelet) -> None:
    kubelet.pods.records[0].containers["main"].log.write_bytes(LOG)
    assert await kubelet.logs() == (200, "one\ntwo\nno ending\n")
    assert await kubelet.logs(tailLines="3") == (200, "two\nno ending\n")
    assert await kubelet.logs(tailLines="0") == (200, "")
    assert await kubelet.logs(limitBytes="5") == (200, "one\nt")
    assert await kubelet.logs(stream="Stderr") == (200, "two\n")
    assert await kubelet.logs(sinceTime="2026-11-24T15:28:48Z") == (200, "no ending\n")
    assert await kubelet.logs(sinceSeconds="1") == (200, "")
    assert await kubelet.logs(tailLines="2", timestamps="true") == (200, "2026-11-24T15:28:48.489182214Z no ending\n")
    assert (await kubelet.logs(tailLines="x"))[0] == 400
    assert (await kubelet.logs(tailLines="-1"))[0] == 400


async def test_logs_follow_until_the_container_ends(kubelet: Kubelet) -> None:
    container = kubelet.pods.records[0].containers["main"]
    container.log.write_bytes(LOG)
    path = "/containerLogs/shop/web/main?follow=true&tailLines=0"
    async with kubelet.client("kubelet-client") as http, http.get(path) as response:
        with container.log.open("ab") as log:
            log.write(b"2026-11-24T15:29:00Z stdout F three\n2026-11-24T15:29")
            log.flush()
            assert await response.content.readline() == b"three\n"
            container.state = {"terminated": {"exitCode": 0}}
            log.write(b":01Z stdout F last\n")
        assert await response.content.read() == b"last\n"


@pytest.mark.parametrize(
    ("state", "last_state", "query", "words"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, {}, {}, "is waiting to start: ContainerCreating"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, {}, {}, "is waiting to start: trying and failing to pull image"),
        ({"running": {}}, {}, {"previous": "true"}, 'previous terminated container "main" in pod "p" not found'),
    ],
)
async def test_no_log_yet(
    kubelet: Kubelet, state: dict[str, Any], last_state: dict[str, Any], query: dict[str, str], words: str
) -> None:
    container = kubelet.pods.add("p")
    container.state, container.last_state = state, last_state
    status, text = await kubelet.logs("p", **query)
    assert status == 400
    assert text.endswith(words)


async def test_logs_of_the_run_before(kubelet: Kubelet) -> None:
    container = kubelet.pods.add("p")
    container.restart_count = 1
    container.last_state = {"terminated": {"exitCode": 1, "containerID": "processes://gone"}}
    container.log.write_bytes(b"2026-11-24T15:29:00Z stdout F second\n")
    # In back-off the run before is the last one; once the next one runs, it is the one before that.
    container.state = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert await kubelet.logs("p") == await kubelet.logs("p", previous="true") == (200, "second\n")
    container.state = {"running": {}}
    assert await kubelet.logs("p", previous="true") == (200, "unable to retrieve container logs for processes://gone")
    (container.directory / "0.log").write_bytes(b"2026-11-24T15:29:00Z stdout F first\n")
    assert await kubelet.logs("p", previous="true") == (200, "first\n")


async def test_unknown_pod_and_container(kubelet: Kubelet) -> None:
    assert await kubelet.logs("x") == (404, 'pod "x" does not exist')
    assert await kubelet.get("/containerLogs/shop/web/x") == (404, 'container "x" not found in pod "web"')
    assert await kubelet.get("/exec/shop/x/main") == (404, "pod does not exist")
    assert await kubelet.get("/exec/shop/web/x") == (500, 'container not found ("x")')


async def test_not_supported_says_what_to_use(kubelet: Kubelet) -> None:
    status, text = await kubelet.get("/portForward/shop/web")
    assert status == 501
    assert "lab url" in text
    assert "kubectl logs -f" in (await kubelet.get("/attach/shop/web/main"))[1]


class Session:
    """One exec from the client's side."""

    def __init__(self) -> None:
        self.outputs = {1: b"", 2: b""}
        self.status: dict[str, Any] = {}

    async def run(self, kubelet: Kubelet, *argv: str, send: tuple[bytes, ...] = (), **query: str) -> Session:
        params = [("command", word) for word in argv] + [("output", "1"), *query.items()]
        async with kubelet.client("kubelet-client") as http:
            url = "/exec/shop/web/main"
            async with http.ws_connect(url, params=params, protocols=["v5.channel.k8s.io"]) as socket:
                for data in send:
                    await socket.send_bytes(data)
                async for message in socket:
                    assert message.type is WSMsgType.BINARY
                    self._take(message.data[0], message.data[1:])
        return self

    def _take(self, channel: int, data: bytes) -> None:
        if channel == 3:
            self.status = json.loads(data)
        else:
            self.outputs[channel] += data


async def test_exec_carries_streams_and_exit_code(kubelet: Kubelet) -> None:
    script = "cat; echo err >&2; exit 7"
    done = await Session().run(kubelet, "sh", "-c", script, send=(b"\x00he", b"\x00llo", b"\xff\x00"), input="1", error="1")
    assert done.outputs == {1: b"hello", 2: b"err\n"}
    assert done.status["reason"] == "NonZeroExitCode"
    assert done.status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
    assert (await Session().run(kubelet, "true")).status == {"metadata": {}, "status": "Success"}


@pytest.mark.parametrize(
    ("protocols", "script", "status"),
    [
        (["channel.k8s.io"], "exit 7", b"command terminated with non-zero exit code: exit status 7"),
        (["channel.k8s.io"], "exit 0", None),
        ([], "exit 7", b"command terminated with non-zero exit code: exit status 7"),
        (["v4.channel.k8s.io"], "exit 0", b'{"metadata": {}, "status": "Success"}'),
        (["v4.channel.k8s.io", "channel.k8s.io"], "exit 0", b'{"metadata": {}, "status": "Success"}'),
    ],
)
async def test_exec_says_how_it_ended_in_the_clients_version(
    kubelet: Kubelet, protocols: list[str], script: str, status: bytes | None
) -> None:
    params = [("command", "sh"), ("command", "-c"), ("command", f"echo out; {script}"), ("output", "1")]
    found: dict[int, bytes] = {}
    async with (
        kubelet.client("kubelet-client") as http,
        http.ws_connect("/exec/shop/web/main", params=params, protocols=protocols) as connection,
    ):
        async for message in connection:
            found[message.data[0]] = message.data[1:]
    assert found.get(1) == b"out\n"
    assert found.get(3) == status


async def test_exec_killed_by_a_signal(kubelet: Kubelet) -> None:
    done = await Session().run(kubelet, "sh", "-c", "kill -9 $$")
    assert done.status["details"]["causes"][0]["message"] == "137"


async def test_exec_carries_much_output(kubelet: Kubelet) -> None:
    done = await Session().run(kubelet, "head", "-c", "3000000", "/dev/zero")
    assert len(done.outputs[1]) == 3_000_000


async def test_exec_of_what_is_not_there(kubelet: Kubelet) -> None:
    done = await Session().run(kubelet, "nosuchcmd")
    assert done.status["reason"] == "InternalError"
    assert 'start container process: exec: "nosuchcmd": executable file not found in $PATH' in done.status["message"]


async def test_exec_in_a_terminal(kubelet: Kubelet) -> None:
    resize = b'\x04{"Width":99,"Height":33}'
    script = "test -t 0 && read line && stty size && echo got $line"
    done = await Session().run(kubelet, "sh", "-c", script, send=(resize, b"\x00word\r"), input="1", tty="1")
    assert b"33 99\r\ngot word\r\n" in done.outputs[1]
    assert done.status["status"] == "Success"


async def test_exec_does_not_wait_for_what_it_left_behind(kubelet: Kubelet) -> None:
    async with asyncio.timeout(10):
        assert (await Session().run(kubelet, "sh", "-c", "sleep 60 & echo done")).outputs[1] == b"done\n"


async def test_exec_ends_with_its_client(kubelet: Kubelet) -> None:
    async with kubelet.client("kubelet-client") as http:
        params = [("command", "sleep"), ("command", "60"), ("output", "1")]
        async with http.ws_connect("/exec/shop/web/main", params=params, protocols=["v5.channel.k8s.io"]):
            pass
    async with asyncio.timeout(5):
        assert await kubelet.pods.processes[0].wait() == 137


async def test_exec_without_websocket(kubelet: Kubelet) -> None:
    status, text = await kubelet.get("/exec/shop/web/main", command="true")
    assert status == 400
    assert "WebSockets only" in text


async def test_resource_metrics(kubelet: Kubelet) -> None:
    pod = kubelet.pods.records[0]
    container = pod.containers["main"]
    command = kubelet.pods.exec_command(pod, container, ["sh", "-c", "sleep 60 & wait"])
    container.pid = (await kubelet.pods.spawn(command)).pid
    status, text = await kubelet.get("/metrics/resource")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    (memory,) = families["container_memory_working_set_bytes"].samples
    assert memory.labels == {"container": "main", "pod": "web", "namespace": "shop"}
    assert 0 < memory.value < 2**30
    assert "container_cpu_usage_seconds_total" in text
    summary = json.loads((await kubelet.get("/stats/summary"))[1])
    assert summary["node"]["nodeName"] == "app-worker"
    assert summary["pods"][0]["containers"][0]["memory"]["workingSetBytes"] > 0


async def test_pods(kubelet: Kubelet) -> None:
    kubelet.pods.records[0].status = {"phase": "Running"}
    listing = json.loads((await kubelet.get("/pods"))[1])
    assert [(row["metadata"]["name"], row["status"]) for row in listing["items"]] == [("web", {"phase": "Running"})]
