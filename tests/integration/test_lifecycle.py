"""The life of a lab: processes killed, brought up twice, interrupted, removed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from labs import config
from labs.embedded import control, plan, ports
from labs.paths import Paths
from tests.support.lab import Kubectl, lab_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.takes_the_lab_down]


@pytest.fixture(scope="module", autouse=True)
def lab_comes_back(lab_up: None) -> Iterator[None]:
    """Leave the lab as the other tests expect it."""
    yield
    result = lab_command("up", "--backend", "embedded")
    assert result.returncode == 0, result.stderr


def child(name: str) -> dict[str, Any]:
    return next(row for row in control.status()["children"] if row["name"] == name)


def family() -> list[psutil.Process]:
    """The watchdog, the supervisor and everything below."""
    identity = control.identity()
    assert identity
    watchdog = psutil.Process(identity.pid).parent()
    assert watchdog
    return [watchdog, *watchdog.children(recursive=True)]


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def occupied() -> list[str]:
    return [purpose for host, port, purpose in plan.listeners() if not ports.is_free(host, port)]


def test_nothing_listens_beyond_loopback(lab_up: None) -> None:
    addresses = {
        connection.laddr.ip
        for process in family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    assert addresses
    assert {address for address in addresses if not address.startswith("127.")} == set()


def test_keys_are_private(lab_up: None) -> None:
    files = [path for path in Paths.current().pki.rglob("*") if path.is_file()] + [
        Paths.current().kubeconfig,
    ]
    assert len(files) > 40
    assert {path: oct(mode) for path in files if (mode := stat.S_IMODE(path.stat().st_mode)) != 0o600} == {}


def test_up_twice_is_harmless(lab_up: None) -> None:
    before = control.identity()
    result = lab_command("up", "--backend", "embedded")
    assert result.returncode == 0, result.stderr
    assert control.identity() == before


@pytest.mark.parametrize("name", ["etcd", "app/kube-apiserver", "gpu/service-proxy", "app/app-worker"])
def test_a_killed_child_comes_back_and_status_says_so(lab_up: None, kubectl: Kubectl, name: str) -> None:
    before = child(name)
    assert control.kill(name) == before["pid"]
    after = eventually(lambda: (row := child(name))["state"] == "running" and row["pid"] != before["pid"] and row)
    assert after["restarts"] == before["restarts"] + 1
    assert after["last_exit"] == "killed by SIGKILL"
    assert name in lab_command("status").stdout
    for context in ("app", "gpu"):
        eventually(partial(api_answers, kubectl, context))


def api_answers(kubectl: Kubectl, context: str) -> bool:
    from labs.errors import CommandFailed

    try:
        return "ok" in kubectl(context, "get", "--raw", "/readyz")
    except CommandFailed:
        return False


def test_second_checkout_says_which_lab_runs_and_leaves_it_alone(lab_up: None, tmp_path: Path) -> None:
    other = tmp_path / "second checkout"
    for folder in ("labs", "clusters"):
        shutil.copytree(config.ROOT / folder, other / folder)
    before = control.identity()
    for words in (("up", "--backend", "embedded"), ("status",), ("stop",)):
        command = [sys.executable, "-m", "labs.cli", *words]
        environment = os.environ | {"PYTHONPATH": str(other)}
        environment.pop("LAB_STATE", None)
        result = subprocess.run(command, cwd=other, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 1
        assert f"the lab of another checkout runs on this machine: {config.ROOT}" in result.stderr
    assert not (other / ".lab").exists()
    assert control.identity() == before


def test_only_its_owner_reaches_the_control_endpoint(lab_up: None) -> None:
    folder = control.socket_path().parent
    assert stat.S_ISSOCK(control.socket_path().stat().st_mode)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.getuid()


def test_state_survives_stop_and_up(lab_up: None, kubectl: Kubectl) -> None:
    kubectl("app", "create", "configmap", "kept", "--namespace=default")
    everything = family()
    assert lab_command("stop").returncode == 0
    assert survivors(everything) == []
    assert lab_command("up", "--backend", "embedded").returncode == 0
    kubectl("app", "delete", "configmap", "kept", "--namespace=default")


def test_supervisor_killed_with_9_leaves_nothing(lab_up: None) -> None:
    everything = family()
    assert len(everything) > 15
    identity = control.identity()
    assert identity
    os.kill(identity.pid, signal.SIGKILL)
    eventually(lambda: survivors(everything) == [])
    assert eventually(lambda: occupied() == [])


def test_down_leaves_nothing() -> None:
    assert lab_command("up", "--backend", "embedded").returncode == 0
    everything = family()
    assert lab_command("down").returncode == 0
    assert survivors(everything) == []
    assert occupied() == []
    assert not Paths.current().state.exists()
    assert not Paths.current().run_dir().exists()


def test_down_and_status_without_a_lab() -> None:
    assert lab_command("down").returncode == 0
    result = lab_command("status")
    assert result.returncode == 1
    assert "try: lab up" in result.stderr


def test_address_taken_names_the_process() -> None:
    with socket.create_server(("127.20.0.1", 6443)):
        result = lab_command("up", "--backend", "embedded")
    assert result.returncode == 1
    assert "expected 127.20.0.1:6443 to be free for the API server of gpu" in result.stderr
    assert f"found process {os.getpid()}" in result.stderr
    assert not Paths.current().state.exists()


def test_ctrl_c_in_up_leaves_no_debris() -> None:
    lab_command("down")
    command = [sys.executable, "-m", "labs.cli", "up", "--backend", "embedded"]
    process = subprocess.Popen(command, cwd=config.ROOT, stderr=subprocess.PIPE, text=True)
    eventually(control.identity)
    everything = family()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert survivors(everything) == []
    assert occupied() == []
    assert not Paths.current().state.exists()


def test_status_is_json_for_programs() -> None:
    assert lab_command("up", "--backend", "embedded").returncode == 0
    found = json.loads(lab_command("status", "--json").stdout)
    assert found["backend"] == "embedded"
    assert {"etcd", "gpu/kube-apiserver", "gpu/gpu-worker2"} <= {row["name"] for row in found["children"]}


def test_logs_are_listed_shown_and_refused_by_name() -> None:
    assert lab_command("up", "--backend", "embedded").returncode == 0
    names = lab_command("logs").stdout.split()
    assert {"supervisor", "etcd", "app-kube-apiserver", "gpu-gpu-worker2"} <= set(names)
    shown = lab_command("logs", "gpu/kube-apiserver", "--lines", "3")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) == 3
    unknown = lab_command("logs", "etc")
    assert unknown.returncode == 1 and "etcd" in unknown.stderr


def test_url_has_the_services_address_on_this_machine(kubectl: Kubectl) -> None:
    cluster_ip = kubectl("app", "get", "service", "kubernetes", "--namespace", "default", "-o", "jsonpath={.spec.clusterIP}")
    address = lab_command("url", "default/kubernetes:https", "--cluster", "app").stdout.strip()
    assert address == f"http://127.{cluster_ip.partition('.')[2]}:443"
    unknown = lab_command("url", "default/kuber", "--cluster", "app")
    assert unknown.returncode == 1 and "kuber" in unknown.stderr
    assert lab_command("url", "kubernetes", "--cluster", "app").returncode == 2
    assert lab_command("url", "default/kubernetes", "--cluster", "apps").returncode == 1
