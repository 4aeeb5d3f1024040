"""Forwarded ports: opened once, kept on the same port when kubectl ends, closed with the lab."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labs import config, errors
from labs.clusters import portforward
from labs.clusters.base import Cluster
from tests.support.waiting import eventually

SERVICE = {"metadata": {"name": "chat"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
SERVE = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab's state with a ``kubectl`` that knows one Service and forwards to this test's own server."""
    state = tmp_path / "a lab"
    monkeypatch.setenv("LAB_STATE", str(state))
    serve = shlex.join([sys.executable, "-c", f"{SERVE}.serve_forever()"])
    words = f"""case "$*" in
  *"get service chat"*) echo {shlex.quote(json.dumps(SERVICE))}; exit;;
  *port-forward*) for last; do :; done; exec {serve} "${{last%%:*}}";;
esac
exit 1"""
    script(state / "bin" / "kubectl", words)
    (state / "kubeconfig").touch()
    yield state
    portforward.close_all()


def answers(url: str) -> bool:
    try:
        return int(urllib.request.urlopen(url, timeout=2).status) == 200
    except OSError:
        return False


def children(state: Path) -> list[psutil.Process]:
    return [
        child
        for record in (state / "forwards").glob("*.json")
        for child in psutil.Process(json.loads(record.read_text())["pid"]).children(recursive=True)
    ]


def test_a_forward_is_opened_once_and_survives_its_kubectl(state: Path) -> None:
    url = portforward.url(Cluster("app"), "shop", "chat", "http")
    assert answers(url)
    assert portforward.url(Cluster("app"), "shop", "chat") == url, "the same port, by name or as the first one"
    (kubectl,) = children(state)
    kubectl.send_signal(signal.SIGKILL)
    eventually(lambda: kubectl.pid not in [child.pid for child in children(state)])
    eventually(lambda: answers(url))


def test_closing_ends_the_process_and_what_it_runs(state: Path) -> None:
    url = portforward.url(Cluster("app"), "shop", "chat")
    running = children(state)
    portforward.close_all()
    assert not list((state / "forwards").glob("*"))
    assert not psutil.wait_procs(running, timeout=10)[1]
    assert not answers(url)


def test_a_record_of_a_process_that_is_gone_leads_to_a_new_forward(state: Path) -> None:
    portforward.url(Cluster("app"), "shop", "chat")
    (record,) = (state / "forwards").glob("*.json")
    found = json.loads(record.read_text())
    gone = psutil.Process(found["pid"])
    gone.terminate()
    eventually(lambda: gone.status() == psutil.STATUS_ZOMBIE)
    assert answers(portforward.url(Cluster("app"), "shop", "chat"))
    portforward.close_all()
    # A number that another process has now is not ours to end.
    with subprocess.Popen(["sleep", "60"]) as other:
        record.write_text(json.dumps(found | {"pid": other.pid}))
        portforward.close_all()
        assert other.poll() is None
        other.kill()


def test_no_such_port_and_nobody_who_listens(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.NotFound, match="metrics"):
        portforward.url(Cluster("app"), "shop", "chat", "metrics")
    with pytest.raises(errors.CommandFailed):
        portforward.url(Cluster("app"), "shop", "nosuch")
    monkeypatch.setattr(sys, "executable", str(script(state / "python", "exec sleep 60")))
    with pytest.raises(errors.TimedOut, match="shop/chat:80 in cluster app") as caught:
        portforward.url(Cluster("app"), "shop", "chat", timeout=0.3)
    assert caught.value.fix == "lab logs forward-app-shop-chat-80"


def test_it_ends_when_the_lab_is_gone(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (state / "kubeconfig").unlink()
    process = subprocess.run(
        [sys.executable, "-m", "labs.clusters.portforward", "app", "shop", "service/chat", f"{port}:80"],
        timeout=30,
        check=False,
        cwd=config.ROOT,
    )
    assert process.returncode == 0
