"""Probes of all four kinds, against programs that answer, refuse, fail and hang."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration

STUBBORN = "trap '' TERM; while :; do sleep 0.2; done"
LOOP = "trap 'exit 143' TERM; while :; do sleep 0.2; done"
HEALTHY_UNTIL_TOLD = """
import http.server, os
status = 200
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.end_headers()
    def do_POST(self):
        global status
        self.do_GET()
        status = 500
    def log_message(self, *args): pass
http.server.HTTPServer((os.environ["BIND_ADDRESS"], 8080), Handler).serve_forever()
"""
TELL = """
import os, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open("http://" + os.environ["BIND_ADDRESS"] + ":8080/", data=b"")
"""
"""Run in a pod of HEALTHY_UNTIL_TOLD: from now on it is not."""
SILENT = """
import os, socket, time
with socket.create_server((os.environ["BIND_ADDRESS"], 8080)):
    time.sleep(300)
"""
GRPC = """
import os, sys, time
from concurrent import futures
import grpc
def check(request, context): return b"\\x08" + bytes([int(sys.argv[1])])
method = grpc.unary_unary_rpc_method_handler(check)
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
server.add_insecure_port(os.environ["BIND_ADDRESS"] + ":9090")
server.start()
time.sleep(300)
"""
FAST = {"periodSeconds": 1, "failureThreshold": 2}


def ready(pod: dict[str, Any]) -> bool:
    return bool(pod["status"].get("containerStatuses")) and pod["status"]["containerStatuses"][0]["ready"]


def restarts(pod: dict[str, Any]) -> int:
    return pod["status"]["containerStatuses"][0]["restartCount"] if pod["status"].get("containerStatuses") else 0


def test_http_and_tcp(pods: Any) -> None:
    http = {"httpGet": {"path": "/health", "port": "web"}} | FAST
    ports = [{"name": "web", "containerPort": 8080}]
    server = ["python", "-c", HEALTHY_UNTIL_TOLD]
    pods.apply(
        pods.pod("dies", command=server, ports=ports, readinessProbe=http, livenessProbe=http),
        pods.pod("fades", command=server, ports=ports, readinessProbe=http),
        pods.pod("tcp", command=server, ports=ports, readinessProbe={"tcpSocket": {"port": 8080}} | FAST),
        pods.pod("silent", command=["python", "-c", SILENT], readinessProbe={"httpGet": {"port": 8080}} | FAST),
        pods.pod("refuses", LOOP, readinessProbe={"httpGet": {"path": "/health", "port": 8080}} | FAST),
        pods.pod("refuses-tcp", LOOP, readinessProbe={"tcpSocket": {"port": 8080}} | FAST),
    )
    for name in ("dies", "fades", "tcp"):
        pods.until(name, ready)
    for name in ("dies", "fades"):
        pods.run("exec", name, "--", "python", "-c", TELL)
    pods.until("fades", lambda pod: not ready(pod))
    dies = pods.until("dies", lambda pod: restarts(pod) == 1)
    assert dies["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 143
    pods.until_event("dies", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
    pods.until_event("dies", "Killing", "Container main failed liveness probe, will be restarted")
    ip = pods.get("refuses")["status"]["podIP"]
    refused = f'Readiness probe failed: Get "http://{ip}:8080/health": dial tcp {ip}:8080: connect: connection refused'
    pods.until_event("refuses", "Unhealthy", refused)
    late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    pods.until_event(
        "silent", "Unhealthy", f'Readiness probe failed: Get "http://{pods.get("silent")["status"]["podIP"]}:8080/": {late}'
    )
    pods.until_event("refuses-tcp", "Unhealthy", ":8080: connect: connection refused")
    assert not ready(pods.get("refuses")) and not ready(pods.get("refuses-tcp"))


def test_exec(pods: Any) -> None:
    def probe(*command: str, **more: Any) -> dict[str, Any]:
        return {"exec": {"command": list(command)}} | FAST | more

    pods.apply(
        pods.pod("well", LOOP, livenessProbe=probe("true"), readinessProbe=probe("sh", "-c", "test -e /tmp/on")),
        pods.pod("fails", LOOP, livenessProbe=probe("sh", "-c", "echo out; echo err >&2; exit 1")),
        pods.pod("hangs", LOOP, livenessProbe=probe("sleep", "20", timeoutSeconds=1)),
        pods.pod("broken", LOOP, livenessProbe=probe("/no/such/probe")),
        pods.pod(
            "stubborn",
            STUBBORN,
            spec={"terminationGracePeriodSeconds": 60},
            livenessProbe=probe("false", terminationGracePeriodSeconds=1),
        ),
        pods.pod("never-starts", LOOP, startupProbe=probe("false", failureThreshold=3)),
    )
    pods.until_event("fails", "Unhealthy", "Liveness probe failed: out\nerr\n")
    pods.until("fails", lambda pod: restarts(pod) >= 1)
    pods.until_event("hangs", "Unhealthy", 'Liveness probe failed: command timed out: "sleep 20" timed out after 1s')
    pods.until_event("broken", "Unhealthy", "Liveness probe errored and resulted in unknown state: rpc error")
    pods.until_event("never-starts", "Killing", "Container main failed startup probe, will be restarted")
    stubborn = pods.until("stubborn", lambda pod: restarts(pod) >= 1)
    assert stubborn["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert restarts(pods.get("broken")) == 0
    assert not ready(pods.get("well"))
    pods.run("exec", "well", "--", "touch", "/tmp/on")
    assert restarts(pods.until("well", ready)) == 0


def test_grpc(pods: Any) -> None:
    probe = {"grpc": {"port": 9090}} | FAST
    pods.apply(
        pods.pod("serving", command=["python", "-c", GRPC, "1"], readinessProbe=probe | {"failureThreshold": 9}),
        pods.pod("not-serving", command=["python", "-c", GRPC, "2"], readinessProbe=probe),
    )
    pods.until("serving", ready)
    pods.until_event("not-serving", "Unhealthy", 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")')
    assert not ready(pods.get("not-serving"))
