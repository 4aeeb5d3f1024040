"""The doctor for kind, k3d and contexts: each way a machine is not ready is told with its cure."""

from __future__ import annotations

import json
import os
import subprocess
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from labs import cli, config, errors, shell
from labs.clusters import programs
from labs.clusters.docker import engine as docker
from labs.clusters.docker.engine import GIB, Engine
from labs.paths import Paths
from labs.setup import doctor, doctor_docker, doctor_network, doctor_tools
from labs.wire import isolated

ENGINE = Engine("28.1.1", (1, 49), "amd64", "Docker Desktop", cpus=4, memory=8 * GIB, cgroup=2)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "engine", lambda: ENGINE)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("backend", ["kind", "k3d"])
def test_a_machine_with_docker_is_looked_at_without_an_error(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["doctor", "--backend", backend, "--json"])
    rows = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in rows]
    assert rows[0] == {"name": "backend", "ok": True, "found": f"{backend} (you asked for it)", "fix": ""}
    assert {"Docker engine", "cgroup version", "VPN", "proxy of the nodes", "step"} <= set(names)
    assert any(name.startswith(f"{backend} ") for name in names) and any(name.startswith("linkerd ") for name in names)
    assert all(row["ok"] or row["fix"] for row in rows), "no complaint without a cure"


def test_no_engine_is_one_finding_and_what_needs_one_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Engine:
        raise errors.EngineUnusable(
            "a Docker engine is running, but does not let this user connect", fix="sudo usermod -aG docker $USER"
        )

    monkeypatch.setattr(docker, "engine", none)
    found = {finding.name: finding for finding in doctor_docker.looks()}
    assert not found["Docker engine"].ok and "usermod" in found["Docker engine"].fix
    assert "cgroup version" not in found


def changed(**changes: object) -> Engine:
    return Engine(**{**ENGINE.__dict__, **changes})


def test_an_engine_of_two_gigabytes() -> None:
    found = doctor_docker.memory(changed(memory=2 * GIB))
    assert not found.ok and found.found == "2.0 GiB" and "Resources" in found.fix
    assert doctor_docker.memory(ENGINE).ok


def test_one_cpu() -> None:
    assert not doctor_docker.cpus(changed(cpus=1)).ok and doctor_docker.cpus(ENGINE).ok


@pytest.mark.parametrize(("version", "ok"), [(2, True), (1, True), (0, False)])
def test_cgroup_versions(version: int, ok: bool) -> None:
    assert doctor_docker.cgroup(changed(cgroup=version)).ok == ok


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shell, "run", lambda *args, **options: "/var/lib/docker\n")
    monkeypatch.setattr(doctor_docker.shutil, "disk_usage", lambda folder: usage(3 * GIB))
    assert not doctor_docker.disk().ok and "prune" in doctor_docker.disk().fix


def test_inotify_limits_of_this_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("1048576\n")
    monkeypatch.setattr(doctor_docker, "INOTIFY_FOLDER", tmp_path)
    instances, watches = doctor_docker.inotify()
    assert not instances.ok and instances.fix == "sudo sysctl fs.inotify.max_user_instances=512"
    assert watches.ok


@pytest.mark.parametrize(
    ("machine", "translated", "architecture", "ok", "found"),
    [
        ("arm64", "0", "arm64", True, "arm64 throughout"),
        ("arm64", "0", "amd64", False, "the engine runs amd64"),
        ("x86_64", "1", "arm64", False, "this Python runs under Rosetta"),
        ("x86_64", "0", "amd64", True, "Intel"),
    ],
)
def test_macs(monkeypatch: pytest.MonkeyPatch, machine: str, translated: str, architecture: str, ok: bool, found: str) -> None:
    monkeypatch.setattr(doctor_docker.sys, "platform", "darwin")
    monkeypatch.setattr(doctor_docker.platform, "machine", lambda: machine)
    monkeypatch.setattr(shell, "run", lambda *args, **options: f"{translated}\n")
    (finding,) = doctor_docker.system(changed(architecture=architecture))
    assert finding.ok == ok and finding.found == found


@pytest.mark.parametrize(
    ("release", "root", "ok"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", "/home/ada/lab", True),
        ("5.15.167.4-microsoft-standard-WSL2", "/mnt/c/Users/ada/lab", False),
        ("4.4.0-19041-Microsoft", "/home/ada/lab", False),
    ],
)
def test_windows(monkeypatch: pytest.MonkeyPatch, release: str, root: str, ok: bool) -> None:
    monkeypatch.setattr(doctor_docker.platform, "release", lambda: release)
    monkeypatch.setattr(config, "ROOT", Path(root))
    (finding,) = doctor_docker.system()
    assert finding.name == "WSL2" and finding.ok == ok


# Networks


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_requests_to_this_machine_arrive() -> None:
    assert doctor_network.loopback_is_direct() == doctor_network.Finding(
        "requests to this machine", True, "arrive, and no proxy is set"
    )


@pytest.mark.usefixtures("no_proxies")
def test_a_request_that_goes_to_the_proxy_is_seen_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    found = doctor_network.loopback_is_direct()
    assert not found.ok and found.found.startswith("requests from Python do not arrive at http://127.0.0.1:")
    assert found.fix.startswith("export NO_PROXY=localhost,127.0.0.1,127.0.0.0/8")
    monkeypatch.setenv("no_proxy", found.fix.partition("=")[2].partition(";")[0])
    assert doctor_network.loopback_is_direct().ok


@pytest.mark.usefixtures("no_proxies")
def test_the_verb_itself_finds_it_well_whatever_no_proxy_lacks() -> None:
    variables = os.environ | {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "corp"}
    command = isolated.command("labs.cli", "doctor", "--backend", "embedded", "--json")
    said = subprocess.run(command, env=variables, capture_output=True, text=True, check=False).stdout
    found = {row["name"]: row for row in json.loads(said)}["requests to this machine"]
    assert found["ok"] and "http_proxy" in found["found"].lower()


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("value", "ok"), [("http://127.0.0.1:8888", False), ("http://localhost:3128", False), ("http://p:1", True)]
)
def test_a_proxy_on_localhost_is_not_there_inside_a_node(monkeypatch: pytest.MonkeyPatch, value: str, ok: bool) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    found = doctor_network.nodes_proxy()
    assert found.ok == ok and (ok or "inside a node, localhost is the node" in found.found)


ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
{interface}\t{network}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("interface", "network", "mask", "ok", "found"),
    [
        ("tun0", "0000000A", "000000FF", False, "tun0 routes 10.0.0.0/8, which overlaps 10.10.0.0/16"),
        ("wg0", "000010AC", "0000F0FF", False, "wg0 routes 172.16.0.0/12, which overlaps 172.16.0.0/12"),
        ("tun0", "00000000", "00000000", True, "tun0 routes none of the lab's addresses"),
        ("eth1", "0000000A", "000000FF", True, "none"),
    ],
)
def test_private_networks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, interface: str, network: str, mask: str, ok: bool, found: str
) -> None:
    (tmp_path / "route").write_text(ROUTES.format(interface=interface, network=network, mask=mask))
    monkeypatch.setattr(doctor_network, "ROUTES", tmp_path / "route")
    finding = doctor_network.tunnels()
    assert finding.ok == ok and finding.found == found


def test_private_networks_of_a_mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = SimpleNamespace(family=doctor_network.socket.AF_INET, address="10.20.3.4", netmask="255.255.255.0")
    monkeypatch.setattr(doctor_network, "ROUTES", tmp_path / "none")
    monkeypatch.setattr(doctor_network.psutil, "net_if_addrs", lambda: {"utun4": [row], "en0": [row]})
    assert doctor_network.tunnels().found == "utun4 routes 10.20.3.0/24, which overlaps 10.20.0.0/16"


# Programs


@pytest.mark.parametrize(("version", "ok"), [("0.33.0", True), ("0.34.1", True), ("0.32.9", False)])
def test_kind_against_the_pin(monkeypatch: pytest.MonkeyPatch, version: str, ok: bool) -> None:
    monkeypatch.setattr(config, "versions", lambda: {"kind": {"version": "0.33.0"}})
    monkeypatch.setattr(programs, "find", lambda program: "/bin/kind")
    monkeypatch.setattr(programs, "version", lambda path: version)
    found = doctor_tools.pinned("kind")
    assert found.ok == ok and (ok or found.fix == "lab tools kind")


@pytest.mark.parametrize(("version", "ok"), [("v1.37.9", True), ("v1.36.0", True), ("v1.35.0", False), ("v1.39.0", False)])
def test_kubectl_may_be_one_minor_version_away(monkeypatch: pytest.MonkeyPatch, version: str, ok: bool) -> None:
    monkeypatch.setattr(config, "versions", lambda: {"kubernetes": {"version": "1.37.2"}})
    monkeypatch.setattr(shell, "run", lambda *args, **options: json.dumps({"clientVersion": {"gitVersion": version}}))
    assert doctor_tools.kubectl().ok == ok


def test_another_linkerd_is_not_the_pinned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_tools, "candidates", lambda path: [Path("/usr/bin/linkerd")])
    monkeypatch.setattr(doctor_tools, "client_version", lambda path: "edge-25.1.1")
    found = doctor_tools.linkerd()
    assert not found.ok and found.found == "edge-25.1.1 (/usr/bin/linkerd)" and found.fix == "lab tools linkerd"
    monkeypatch.setattr(doctor_tools, "client_version", lambda path: config.versions()["linkerd"]["version"])
    assert doctor_tools.linkerd().ok


def test_the_labs_own_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor.plan, "listeners", lambda: [("127.0.0.1", port, "a test")])
        found = doctor.addresses()
        assert not found.ok and "to be free for a test" in found.found and found.fix
        Paths.current().kubeconfig.touch()
        assert doctor.addresses().ok
    Paths.current().kubeconfig.unlink()
    assert doctor.addresses().ok


def test_contexts_need_two_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.clusters.contexts import access

    monkeypatch.setattr(access, "contexts", lambda: ["one"])
    (found,) = doctor.contexts()
    assert not found.ok and found.found == "one"
    monkeypatch.setattr(access, "contexts", lambda: ["one", "two"])
    assert doctor.contexts()[0].ok
