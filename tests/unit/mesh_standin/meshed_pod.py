"""A meshed pod without a node agent: an app on the shadow address and a real proxy, with a real Envoy, in front of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from labs.pods.mesh_standin.proxy_config import Endpoint
from labs.wire.addresses import shadow, to_api
from labs.wire.linkerd import ADMIN_PORT, OUTBOUND_PORT, identity_of
from tests.unit.mesh_standin.control_plane import ControlPlane

APP_PORT = 8000


class Answer:
    """Status, headers (lower case) and text of a response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.getheaders()}
        self.text = response.read().decode()

    def json(self) -> Any:
        return json.loads(self.text)


class App(ThreadingHTTPServer):
    """The app behind a proxy. ``broken``: a status it answers everything with; ``delay``: seconds before it answers."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, EchoApp)
        self.broken: int | None = None
        self.delay = 0.0
        self.seen: list[str] = []


class EchoApp(BaseHTTPRequestHandler):
    """Answers with the headers it saw; ``/status/N`` answers with status N, ``/slow-body`` half a second after its headers."""

    protocol_version = "HTTP/1.1"
    server: App

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.server.delay)
        status = re.fullmatch(r"/status/(\d+)", self.path)
        seen = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}
        body = json.dumps(seen | {"server": self.server.server_address[0]}).encode()
        self.send_response(self.server.broken or (int(status[1]) if status else 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path == "/slow-body":
            self.wfile.write(body[:1])
            time.sleep(0.5)
            body = body[1:]
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


class MeshedPod:
    """``host`` is the pod's wire address; its proxy runs from construction to `close`."""

    def __init__(
        self,
        control_plane: ControlPlane,
        folder: Path,
        host: str,
        account: str,
        *,
        ports: str = str(APP_PORT),
        gateway: bool = False,
    ):
        self.host, self.account, self.folder = host, account, folder
        folder.mkdir()
        (folder / "token").write_text("a token")
        self.app = App((shadow(host), APP_PORT))
        threading.Thread(target=self.app.serve_forever, daemon=True).start()
        prefix = "LINKERD2_PROXY_"
        env = os.environ | {
            "BIND_ADDRESS": host,
            "HTTP_PROXY": f"http://{control_plane.address}",
            "_pod_ns": "demo",
            "_pod_name": account,
            "_pod_sa": account,
            prefix + "IDENTITY_DIR": str(folder),
            prefix + "IDENTITY_TOKEN_FILE": str(folder / "token"),
            prefix + "IDENTITY_TRUST_ANCHORS": control_plane.anchors,
            prefix + "IDENTITY_SVC_ADDR": "linkerd-identity.linkerd.svc.cluster.local:8080",
            prefix + "DESTINATION_SVC_ADDR": "linkerd-dst.linkerd.svc.cluster.local:8086",
            prefix + "INBOUND_PORTS": ports,
            prefix + "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION": "",
            prefix + "INBOUND_DEFAULT_POLICY": "all-unauthenticated",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        if gateway:
            env[prefix + "INBOUND_GATEWAY_SUFFIXES"] = "svc.cluster.local."
        self.output = folder.with_suffix(".log").open("w")
        command = [sys.executable, "-m", "labs.pods", "mesh-standin", "proxy"]
        self.process = subprocess.Popen(command, env=env, stdout=self.output, stderr=subprocess.STDOUT)

    @property
    def identity(self) -> str:
        return identity_of(self.account, "demo")

    def endpoint(self, port: int = APP_PORT) -> Endpoint:
        labels = {"dst_namespace": "demo", "dst_deployment": self.account, "dst_pod": self.account}
        return {"address": to_api(self.host), "port": port, "identity": self.identity, "labels": labels}

    def call(self, url: str, headers: dict[str, str] | None = None, method: str = "GET", body: bytes | None = None) -> Answer:
        """A request of the pod's app through its proxy."""
        connection = http.client.HTTPConnection(shadow(self.host), OUTBOUND_PORT, timeout=10)
        connection.request(method, url, body=body, headers=headers or {})
        return Answer(connection.getresponse())

    def call_app(self, path: str = "/", headers: dict[str, str] | None = None, port: int = APP_PORT) -> Answer:
        """A request of somebody outside the mesh to this pod."""
        connection = http.client.HTTPConnection(self.host, port, timeout=10)
        connection.request("GET", path, headers=headers or {})
        return Answer(connection.getresponse())

    def admin(self, path: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, ADMIN_PORT, timeout=5)
        connection.request("GET", path)
        return Answer(connection.getresponse())

    def is_ready(self) -> bool:
        try:
            return self.admin("/ready").status == 200
        except OSError:
            return False

    def metrics(self, name: str, **labels: str) -> float:
        """The sum of the series of ``name`` that carry all ``labels``."""
        total = 0.0
        for line in self.admin("/metrics").text.splitlines():
            if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def log(self) -> str:
        return Path(self.output.name).read_text()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.app.shutdown()
        self.app.server_close()
        self.output.close()


def eventually(is_true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether ``is_true`` becomes so within ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.05)
    return is_true()
