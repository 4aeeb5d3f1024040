"""URLs on this machine for Services of clusters whose network is elsewhere: ``kubectl port-forward``, kept running.

``kubectl port-forward`` ends when its pod does. So each forward is a process of ours (``python -m labs.clusters.portforward``)
that starts kubectl again on the same local port; ``.lab/forwards/`` has a file per forward, and ``close_all`` ends them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import psutil

from labs import config, errors
from labs.clusters.base import Cluster, service_port
from labs.paths import Paths
from labs.waiting import attempts
from labs.wire import isolated

RETRY = 0.5
"""Seconds before kubectl is started again: a replaced pod needs a moment to be ready."""


def url(cluster: Cluster, namespace: str, service: str, port: int | str | None = None, timeout: float = 20) -> str:
    """A URL on the loopback that leads to the Service; the forward is opened if it is not there yet. ``timeout`` in seconds.

    Raises:
        CommandFailed: there is no such Service.
        NotFound: it has no such port.
        TimedOut: no pod of the Service took the connection.
    """
    found = json.loads(cluster.kubectl("get", "service", service, "--namespace", namespace, "--output=json"))
    number = service_port(found, port)
    record = _records() / f"{cluster.name}-{namespace}-{service}-{number}.json"
    local = _local_port(record) or _open(record, cluster, namespace, service, number)
    _wait_until_it_listens(local, f"{namespace}/{service}:{number} in cluster {cluster.name}", record, timeout)
    return f"http://127.0.0.1:{local}"


def _records() -> Path:
    """A file per forward that is open."""
    return Paths.current().state / "forwards"


def close_all() -> None:
    """End every forward of this checkout; harmless if there is none."""
    for record in _records().glob("*.json"):
        process = _process(record)
        if process is not None:
            process.terminate()
            process.wait(timeout=10)
        record.unlink()


def _local_port(record: Path) -> int | None:
    return json.loads(record.read_text())["port"] if record.exists() and _process(record) else None


def _process(record: Path) -> psutil.Process | None:
    """The process of a forward, if it still is the one that was recorded."""
    found = json.loads(record.read_text())
    try:
        process = psutil.Process(found["pid"])
        # One that nobody has waited for yet (a kernel's, say) is dead all the same.
        lives = process.create_time() == found["started"] and process.status() != psutil.STATUS_ZOMBIE
        return process if lives else None
    except psutil.NoSuchProcess:
        return None


def _open(record: Path, cluster: Cluster, namespace: str, service: str, port: int) -> int:
    local = _free_port()
    Paths.current().logs.mkdir(parents=True, exist_ok=True)
    _records().mkdir(exist_ok=True)
    with (Paths.current().logs / f"forward-{record.stem}.log").open("ab") as log:
        words = [cluster.context, namespace, f"service/{service}", f"{local}:{port}"]
        process = subprocess.Popen(
            isolated.command("labs.clusters.portforward", *words, unbuffered=True),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=config.ROOT,
            env=isolated.environment(os.environ),
        )
    record.write_text(json.dumps({"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": local}))
    return local


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def _wait_until_it_listens(port: int, what: str, record: Path, timeout: float) -> None:
    refused: OSError | None = None
    for _ in attempts(timeout):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            refused = error
    log = f"lab logs forward-{record.stem}"
    raise errors.TimedOut(f"no pod accepted a connection to {what} within {timeout:.0f} s", fix=log) from refused


def keep(context: str, namespace: str, service: str, ports: str) -> None:
    """Keep restarting kubectl until SIGTERM, or until the lab's kubeconfig is gone."""
    command = [str(Paths.current().bin / "kubectl"), f"--kubeconfig={Paths.current().kubeconfig}", f"--context={context}"]
    command += ["--namespace", namespace, "port-forward", "--address=127.0.0.1", service, ports]

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    while Paths.current().kubeconfig.exists():
        child = subprocess.Popen(command)
        try:
            child.wait()
        finally:
            child.terminate()
        time.sleep(RETRY)


if __name__ == "__main__":
    keep(*sys.argv[1:])
