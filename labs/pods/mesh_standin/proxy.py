"""``linkerd-proxy``: gets a certificate, keeps Envoy configured, counts its requests, and ends when Envoy ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

from labs.pods.mesh_standin import admin, connection_log, envoy_process, request_log, subscription
from labs.pods.mesh_standin import launcher_log as log
from labs.pods.mesh_standin.access_log import parse
from labs.pods.mesh_standin.default_policy import default_authorizations
from labs.pods.mesh_standin.discovery import SOCKET
from labs.pods.mesh_standin.envoy_balancer import PAUSE_SOCKET
from labs.pods.mesh_standin.envoy_config import ADMIN_SOCKET, EnvoyConfig
from labs.pods.mesh_standin.proxy_config import EVERY_PATH, InboundPort, InboundRoute, Update, default_ref
from labs.pods.mesh_standin.proxy_gauges import gauges
from labs.pods.mesh_standin.proxy_log import lines_about, lines_about_connection
from labs.pods.mesh_standin.proxy_metrics import ProxyMetrics
from labs.pods.mesh_standin.settings import Settings
from labs.wire.linkerd import ADMIN_PORT, GATEWAY_PORT

RENEW_AT = 0.7
"""The share of a certificate's life after which to ask for a new one, as Linkerd's proxy does."""
ANSWER_WITHIN, LOOK_AGAIN = 0.8, 0.03
"""Seconds: less than a probe's default timeout of one second, and the interval of checks until then."""
CERTIFY = [sys.executable, "-m", "labs.pods", "mesh-standin", "certify"]


class Proxy:
    """One pod's proxy."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = ProxyMetrics(settings.host)
        self.config = EnvoyConfig(
            settings.host,
            settings.namespace,
            settings.identity,
            settings.cluster_proxy,
            log_requests=bool(settings.access_log),
        )
        self.not_after = 0.0
        self._live = False
        self._envoy = 0
        """Its process id."""

    def run(self) -> int:
        """Serve until SIGTERM (0) or until Envoy dies (1: the container is then restarted).

        Envoy starts while the certificate is still being requested; without one nothing is ready.
        """
        settings = self.settings
        log.info(f"Local identity is {settings.identity}")
        self.config.apply({"inbound": initial_inbound(settings), "services": []})
        self.config.discovery.serve()
        admin.serve(settings.host, ADMIN_PORT, self.render, self.is_ready)
        envoy = envoy_process.start(settings.identity, settings.anchors)
        self._envoy = envoy.pid
        signal.signal(signal.SIGTERM, lambda *_: envoy.terminate())
        for task in (self.stay_certified, lambda: subscription.follow(settings, self.take)):
            threading.Thread(target=task, daemon=True).start()
        assert envoy.stdout is not None, "started with a pipe"
        self.count(envoy.stdout)
        code = envoy.wait()
        log.info(f"Envoy ended with {code}")
        return 0 if code in (0, -signal.SIGTERM) else 1

    def is_ready(self) -> bool:
        """Whether it has become live. During start-up, wait a little before answering, so that a probe need not come again."""
        end = time.monotonic() + ANSWER_WITHIN
        while not self._has_become_live() and time.monotonic() < end:
            time.sleep(LOOK_AGAIN)
        return self._live

    def _has_become_live(self) -> bool:
        """Whether there is a certificate and Envoy serves, or has served before."""
        self._live = self._live or (self.not_after > 0 and envoy_process.is_live())
        return self._live

    def take(self, update: Update) -> None:
        """Apply an update from the destination service."""
        self.metrics.know(update.get("services", ()))
        self.config.apply(update)

    def count(self, stream: IO[bytes]) -> None:
        """Read Envoy's access log to its end."""
        for line in stream:
            try:
                self.take_note(line)
            except ValueError as error:
                log.warning(str(error))

    def take_note(self, line: bytes) -> None:
        """Count what a line of the access log says, and log what Linkerd would. ValueError: it is not a record."""
        if connection_log.is_about_one(line):
            connection = connection_log.parse(line)
            self.metrics.connection(connection)
            texts = lines_about_connection(connection)
        else:
            record = parse(line)
            self.metrics.record(record)
            texts = lines_about(record)
            if self.settings.access_log and (said := request_log.line(line, self.settings.access_log)):
                log.plain(said)
        for text in texts:
            log.info(text)

    def render(self) -> str:
        return self.metrics.registry.render(gauges(self.config, self._envoy, self.not_after, self.metrics.pending))

    def certify_until_done(self) -> None:
        """Ask for a certificate until there is one; meanwhile the proxy is not ready and the pod stays in Init."""
        pause = 0.5
        while not self.certify():
            time.sleep(pause)
            pause = min(pause * 2, 10)

    def certify(self) -> bool:
        done = subprocess.run(CERTIFY, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            return False
        answer = json.loads(done.stdout)
        self.config.set_certificate(answer["chain"], answer["key"])
        self.not_after = answer["not_after"]
        log.info(f"Certified identity id={self.settings.identity}")
        return True

    def stay_certified(self) -> None:
        while True:
            self.certify_until_done()
            time.sleep(max(1.0, (self.not_after - time.time()) * RENEW_AT))


def initial_inbound(settings: Settings) -> list[InboundPort]:
    """What is served until the destination service has spoken: the declared ports under the default policy."""
    ports = [*settings.inbound_ports, *([GATEWAY_PORT] if settings.gateway else [])]
    return [_under_default_policy(port, settings.default_policy, opaque=port in settings.opaque_ports) for port in ports]


def _under_default_policy(port: int, policy: str, *, opaque: bool) -> InboundPort:
    admitted = default_authorizations(policy)
    route: InboundRoute = {"ref": default_ref("default"), "matches": [EVERY_PATH], "authorizations": admitted}
    server = default_ref(policy)
    return {"port": port, "server": server, "opaque": opaque, "authorizations": admitted, "routes": [route]}


def main(_: list[str]) -> int:
    settings = Settings.from_environment(os.environ)
    os.chdir(settings.folder)
    for name in (ADMIN_SOCKET, SOCKET, PAUSE_SOCKET):  # left by an earlier run of this container
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    return Proxy(settings).run()
