"""The smallest server and client: what they count, over loopback and through an HTTP proxy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from labs.pods.__main__ import main
from labs.pods.roundtrip.client import Ask, Way
from labs.pods.roundtrip.server import END, Echo
from labs.pods.roundtrip.watch import watch
from tests.support.network import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server in a process of its own."""
    found = free_port()
    command = [sys.executable, "-m", "labs.pods", "roundtrip", "serve", f"--port={found}"]
    env = os.environ | {"BIND_ADDRESS": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env) as process:
        eventually(lambda: socket.socket().connect_ex(("127.0.0.1", found)) == 0, 20, every=0.05)
        yield found
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["roundtrip", "ask", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "BIND_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def test_a_rate_is_kept_and_every_request_is_counted(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, f"http://127.0.0.1:{port}/", "--rps=100", "--seconds=0.5")
    assert found["failed"] == {}
    times = found["microseconds"]
    assert isinstance(times, list) and len(times) == 50 and all(time > 0 for time in times)
    assert isinstance(found["seconds"], float) and found["seconds"] >= 0.49


def test_connections_ask_again_and_again(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, f"http://127.0.0.1:{port}/", "--connections=2", "--seconds=0.3")
    assert found["failed"] == {}
    assert isinstance(found["microseconds"], list) and len(found["microseconds"]) > 20


def test_the_proxy_of_the_environment_is_taken_and_straight_goes_past_it(
    port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    refused = ask(capsys, f"http://127.0.0.1:{port}/", "--rps=20", "--seconds=0.2")
    assert refused["microseconds"] == [] and refused["failed"] == {"no connection: Connection refused": 4}
    straight = ask(capsys, f"http://127.0.0.1:{port}/", "--rps=20", "--seconds=0.2", "--straight")
    assert straight["failed"] == {}


@pytest.mark.parametrize(
    ("url", "proxy", "loopback", "way"),
    [
        ("http://echo:8080/x", None, False, Way("echo", 8080, b"GET /x HTTP/1.1\r\nHost: echo:8080\r\n\r\n")),
        ("http://echo", None, False, Way("echo", 80, b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")),
        ("http://echo/x", "http://p:3128", True, Way("p", 3128, b"GET http://echo/x HTTP/1.1\r\nHost: echo\r\n\r\n")),
        ("http://10.1.2.3:8/", None, True, Way("127.1.2.3", 8, b"GET / HTTP/1.1\r\nHost: 10.1.2.3:8\r\n\r\n")),
        ("http://10.1.2.3:8/", None, False, Way("10.1.2.3", 8, b"GET / HTTP/1.1\r\nHost: 10.1.2.3:8\r\n\r\n")),
    ],
)
def test_the_way(url: str, proxy: str | None, loopback: bool, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_NETWORK", "loopback" if loopback else "sandbox")
    assert Way.to(url, proxy) == way


@pytest.mark.parametrize("words", [["https://echo"], ["echo"]])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roundtrip", "ask", *words]) == 2
    assert "expected http://HOST[:PORT]/" in capsys.readouterr().err


class Moody(Echo):
    """Answers in pieces with the status its turn has; closes where the turn says None."""

    turns: ClassVar[list[int | None]] = []

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(END)):
            status = self.turns.pop(0) if self.turns else 200
            if status is None:
                self._transport.close()
                return
            answer = f"HTTP/1.1 {status} x\r\ncontent-length: 3\r\n\r\nabc".encode()
            self._transport.write(answer[:7])
            asyncio.get_running_loop().call_later(0.005, self._transport.write, answer[7:])


async def asked(turns: list[int | None], requests: int) -> Ask:
    Moody.turns = turns
    server = await asyncio.get_running_loop().create_server(Moody, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    asking = Ask(Way.to(f"http://127.0.0.1:{port}/", None))
    async with asyncio.timeout(20):
        await asking.at_rate(20, requests / 20)
    server.close()
    return asking


def test_other_statuses_and_lost_connections_are_failures_and_the_rest_goes_on() -> None:
    seen = asyncio.run(asked([200, 503, None, 200, 403], 8)).seen
    assert dict(seen.failed) == {"503": 1, "connection lost": 1, "403": 1}
    assert len(seen.microseconds) == 5


async def watched(turns: list[int | None], seconds: float) -> list[dict[str, object]]:
    Moody.turns = turns
    server = await asyncio.get_running_loop().create_server(Moody, "127.0.0.1", 0)
    way = Way.to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", None)
    told: list[dict[str, object]] = []
    async with asyncio.timeout(20):
        await watch(way, 0.02, seconds, told.append)
    server.close()
    return told


def test_a_watch_tells_each_change_and_keeps_its_connection() -> None:
    *changes, end = asyncio.run(watched([200, 200, 403, 403, 200], 0.3))
    assert [row["status"] for row in changes] == ["200", "403", "200"]
    assert changes[0]["time"] < changes[1]["time"] < changes[2]["time"]  # type: ignore[operator]
    assert end["connections"] == 1 and isinstance(end["requests"], int) and end["requests"] >= 5


def test_a_watch_opens_another_connection_when_one_is_lost() -> None:
    *changes, end = asyncio.run(watched([200, None, 200], 0.3))
    assert [row["status"] for row in changes] == ["200", "none", "200"] and end["connections"] == 2


def test_a_watch_of_nobody_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roundtrip", "watch", "http://127.0.0.1:1/", "--seconds=0.1"]) == 0
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["status"] == "none" and last["connections"] == 0


def test_a_silent_server_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.pods.roundtrip.client.LATE_TIMEOUT", 0.2)
    monkeypatch.setattr(Moody, "data_received", lambda *_: None)
    assert dict(asyncio.run(asked([], 4)).seen.failed) == {"no answer": 4}
