"""kind and k3d against recorded tools: what is made, kept, refused and removed."""

from __future__ import annotations

import io
import json
import os
import shlex
import stat
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs import config, errors
from labs.clusters import backends, docker, images, portforward
from labs.clusters.docker_backend import DockerBackend, complaints, readable
from labs.clusters.k3d import K3d
from labs.clusters.kind import Kind
from labs.embedded import boot

FOLDER = Path(__file__).parent
START = f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import fake_tools; fake_tools.main()"


class Quiet:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.titles: list[str] = []
        self.failures: list[str] = []

    def begin(self, title: str) -> None:
        self.titles.append(title)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, share: float, text: str) -> None:
        self.notes.append(text)

    def end(self, seconds: float, failure: str | None = None) -> None:
        if failure:
            self.failures.append(failure)


class Machine:
    """A machine with Docker, kind and k3d, all of them fake."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.write(
            api="1.50", subnet="172.18.0.0/16", kind="0.33.0", mode={}, networks={}, volumes={}, containers={},
            images=["busybox:1"], routes=[], loaded=[], held={}, applied=[], calls=[],
        )  # fmt: skip

    def read(self) -> dict[str, Any]:
        return json.loads(self.file.read_text())

    def write(self, **changes: Any) -> None:
        known = self.read() if self.file.exists() else {}
        self.file.write_text(json.dumps(known | changes))

    def lines(self, tool: str) -> list[str]:
        return [" ".join(words[1:]) for words in self.read()["calls"] if words[0] == tool]

    def containers(self) -> list[str]:
        return sorted(self.read()["containers"])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    tools = tmp_path / "tools with space"
    tools.mkdir()
    for name in ("docker", "kind", "k3d", "kubectl"):
        # Imported, so compiled once; without site-packages: some tests run a hundred of these. A shell, as paths may have spaces.
        words = ["exec", sys.executable, "-IS", "-c", START, str(tools / name)]
        (tools / name).write_text(f'#!/bin/sh\n{shlex.join(words)} "$@"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), "/usr/bin", "/bin"]))
    monkeypatch.setenv("FAKE_TOOLS", str(tmp_path / "engine.json"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state = tmp_path / ".lab"
    for owner, name, value in [
        (config, "STATE", state), (config, "KUBECONFIG", state / "kubeconfig"), (config, "BIN", state / "bin"),
        (config, "LOGS", state / "logs"), (backends, "CHOICE", state / "backend"), (portforward, "FORWARDS", state / "forwards"),
        (boot, "kubectl_program", lambda: str(tools / "kubectl")),
    ]:  # fmt: skip
        monkeypatch.setattr(owner, name, value)
    return Machine(tmp_path / "engine.json")


@pytest.fixture(params=[Kind, K3d], ids=["kind", "k3d"])
def backend(request: pytest.FixtureRequest) -> DockerBackend:
    return request.param()


NODES = {
    "kind": ["app-control-plane", "app-worker", "app-worker2", "gpu-control-plane", "gpu-worker", "gpu-worker2"],
    "k3d": [
        "k3d-app-agent-0", "k3d-app-agent-1", "k3d-app-server-0", "k3d-gpu-agent-0", "k3d-gpu-agent-1", "k3d-gpu-server-0",
    ],
}  # fmt: skip


def test_up_makes_both_clusters_and_what_every_backend_gives(machine: Machine, backend: DockerBackend) -> None:
    progress = Quiet()
    backend.up(progress)
    assert machine.containers() == NODES[backend.name]
    assert yaml.safe_load(config.KUBECONFIG.read_text())["current-context"] == "app"
    found = yaml.safe_load(config.KUBECONFIG.read_text())
    assert [(row["name"], row["context"]) for row in found["contexts"]] == [
        ("app", {"cluster": "app", "user": "app"}),
        ("gpu", {"cluster": "gpu", "user": "gpu"}),
    ]
    assert [row["cluster"]["certificate-authority-data"] for row in found["clusters"]] == ["app", "gpu"]
    assert stat.S_IMODE(config.KUBECONFIG.stat().st_mode) == 0o600
    assert (config.STATE / "manifests" / "prometheus-gpu" / "kustomization.yaml").exists()
    assert progress.titles[2:7] == [
        "Docker network", "Clusters app and gpu", "Nodes", "Images in the nodes", "Routes between the clusters",
    ]  # fmt: skip


def test_the_network_carries_the_checkout_and_dockers_mtu(machine: Machine) -> None:
    Kind().up(Quiet())
    labels = machine.read()["networks"]["boring-ops-lab"]["labels"]
    assert labels == {"app.kubernetes.io/part-of": "boring-ops-lab", "boring-ops-lab/checkout": str(config.ROOT)}
    assert "com.docker.network.driver.mtu=1450" in " ".join(machine.lines("docker"))


def test_every_node_gets_a_route_to_each_node_of_the_other_cluster(machine: Machine) -> None:
    backend = Kind()
    backend.up(Quiet())
    routes = machine.read()["routes"]
    assert len(routes) == 2 * 3 * 3
    on_app = sorted({pods for node, pods, _ in routes if "app-" in node})
    assert on_app == ["10.20.0.0/24", "10.20.1.0/24", "10.20.2.0/24"]
    first = machine.read()["containers"][NODES[backend.name][3]]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]
    assert first in {via for _, _, via in routes}


def test_the_image_is_built_if_missing_and_all_there_is_goes_into_both_clusters(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    loaded = machine.read()["loaded"]
    assert sorted(name for name, _ in loaded) == NODES[backend.name]
    assert {content for _, content in loaded} == {"boring-ops-lab/lab:dev busybox:1"}
    assert [line for line in machine.lines("docker") if line.startswith("build")]
    builds = len([line for line in machine.lines("docker") if line.startswith("build")])
    backend.up(Quiet())
    assert len([line for line in machine.lines("docker") if line.startswith("build")]) == builds == 1


def test_an_image_that_one_node_refuses_is_an_error(machine: Machine) -> None:
    machine.write(mode={"fail": ["docker exec --interactive k3d-gpu-agent-1"], "says": "ctr: no space left on device"})
    with pytest.raises(errors.CommandFailed, match="no space left on device"):
        K3d().up(Quiet())


def test_what_the_nodes_have_is_not_loaded_again(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    backend.up(Quiet())
    assert len(machine.read()["loaded"]) == 6
    held = machine.read()["held"]
    held.pop(next(name for name in held if "gpu" in name))
    machine.write(held=held)
    backend.up(Quiet())
    assert sorted(name for name, _ in machine.read()["loaded"][6:]) == NODES[backend.name][3:]


def test_an_image_that_was_built_anew_is_loaded_under_the_same_name(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    machine.write(builds=1)
    backend.load([images.LAB_IMAGE], Quiet())
    assert sorted(machine.read()["loaded"][6:]) == [[node, images.LAB_IMAGE] for node in NODES[backend.name]]


def test_an_archive_of_dockers_older_store_says_the_same(tmp_path: Path) -> None:
    key = "ab" * 32
    content = json.dumps(
        [{"Config": f"{key}.json", "RepoTags": ["busybox:1", "prom/prometheus:v3"]}, {"Config": key, "RepoTags": None}]
    )
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content.encode()))
    assert images.archived(tmp_path / "images.tar") == {
        ("docker.io/library/busybox:1", key),
        ("docker.io/prom/prometheus:v3", key),
    }
    assert [images.full_name(name) for name in ("cr.l5d.io/linkerd/web:1", "localhost/a:1", "host:5000/a:1")] == [
        "cr.l5d.io/linkerd/web:1", "localhost/a:1", "host:5000/a:1",
    ]  # fmt: skip


def test_the_nodes_images_are_pulled_beforehand_and_once(machine: Machine, backend: DockerBackend) -> None:
    backend.prepare(Quiet())
    backend.prepare(Quiet())
    pulled = [line.split()[-1] for line in machine.lines("docker") if line.startswith("image pull")]
    assert pulled == images.engine_images(backend.name)


def test_a_bundles_image_is_known_by_its_tag_and_nothing_is_pulled(machine: Machine, backend: DockerBackend) -> None:
    tags = [name.partition("@")[0] for name in images.engine_images(backend.name)]
    machine.write(images=["busybox:1", *tags], mode={"offline": True})
    backend.prepare(Quiet())
    assert not [line for line in machine.lines("docker") if line.startswith("image pull")]


def test_without_a_network_the_missing_image_is_told_and_nothing_changed(machine: Machine, backend: DockerBackend) -> None:
    machine.write(mode={"offline": True})
    with pytest.raises(errors.StepFailed, match="no such host") as caught:
        backend.up(Quiet())
    assert "lab preload load" in caught.value.fix
    assert machine.containers() == [] and not config.STATE.exists()


def test_an_older_docker_saves_images_without_platform(machine: Machine) -> None:
    machine.write(api="1.41")
    Kind().up(Quiet())
    saves = [line for line in machine.lines("docker") if line.startswith("image save")]
    assert saves and not any("--platform" in line for line in saves)


def test_only_kind_gets_the_labs_load_balancer(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    expected = {"kind": [["app", "load-balancer"], ["gpu", "load-balancer"]], "k3d": []}
    assert machine.read()["applied"] == expected[backend.name]


def test_up_twice_makes_nothing_twice(machine: Machine) -> None:
    backend = Kind()
    backend.up(Quiet())
    before = machine.read()["containers"]
    backend.up(Quiet())
    assert machine.read()["containers"] == before
    assert len([line for line in machine.lines(backend.name) if "create" in line]) == 2


def test_stop_and_up_keep_the_nodes(machine: Machine, backend: DockerBackend) -> None:
    backend.up(Quiet())
    backend.stop()
    with pytest.raises(errors.NotRunning):
        backend.status()
    assert machine.containers() == NODES[backend.name]
    backend.up(Quiet())
    assert {row["state"] for row in backend.status()["children"]} == {"running"}
    assert len([line for line in machine.lines(backend.name) if "create" in line]) == 2


def test_kinds_nodes_are_started_in_the_order_of_their_addresses(machine: Machine) -> None:
    Kind().up(Quiet())
    rows = machine.read()["containers"]
    # Both clusters were made side by side: their addresses alternate.
    for number, name in enumerate(reversed(NODES["kind"])):
        rows[name]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] = f"172.18.0.{number + 8}"
    machine.write(containers=rows)
    Kind().up(Quiet())
    Kind().stop()
    Kind().up(Quiet())
    started = [line.split()[-1] for line in machine.lines("docker") if line.startswith("container start")]
    assert started == list(reversed(NODES["kind"]))


def test_other_addresses_than_before_are_told_once(machine: Machine, backend: DockerBackend) -> None:
    progress = Quiet()
    backend.up(progress)
    backend.up(progress)
    assert progress.failures == []
    rows = machine.read()["containers"]
    rows[NODES[backend.name][4]]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"] = "172.18.0.99"
    machine.write(containers=rows)
    backend.up(progress)
    backend.up(progress)
    assert len(progress.failures) == 1 and "notebook 05" in progress.failures[0]


def test_status_has_a_row_per_node(machine: Machine) -> None:
    Kind().up(Quiet())
    docker.docker("container", "stop", "gpu-worker2")
    rows = {row["name"]: row for row in Kind().status()["children"]}
    assert rows["gpu/gpu-worker2"] | {"restarts": 0} == {
        "name": "gpu/gpu-worker2", "state": "exited", "pid": None, "restarts": 0, "last_exit": "exit code 137",
    }  # fmt: skip
    assert rows["app/app-worker"]["last_exit"] is None


def test_pods_of_the_other_cluster_reach_the_control_plane_by_its_address(machine: Machine, backend: DockerBackend) -> None:
    with pytest.raises(errors.NotRunning):
        backend.api_server("gpu")
    backend.up(Quiet())
    container = next(name for name in NODES[backend.name] if "gpu" in name and ("control" in name or "server" in name))
    address = machine.read()["containers"][container]["NetworkSettings"]["Networks"]["boring-ops-lab"]["IPAddress"]
    assert backend.api_server("gpu") == f"https://{address}:6443"


def test_down_removes_all_that_up_made_and_nothing_else(machine: Machine, backend: DockerBackend) -> None:
    machine.write(networks={"theirs": {"labels": {}}})
    foreign(machine, backend, "dev", "theirs")
    backend.up(Quiet())
    backend.down()
    assert all("-dev-" in name or name.startswith("dev-") for name in machine.containers())
    assert len(machine.containers()) == 3
    assert list(machine.read()["networks"]) == ["theirs"]
    assert not config.STATE.exists()
    backend.down()


def foreign(machine: Machine, backend: DockerBackend, cluster: str, network: str) -> None:
    """A cluster that somebody made without the lab."""
    rows = machine.read()["containers"]
    for role, suffix in [("control-plane", "control-plane"), ("worker", "worker"), ("worker", "worker2")]:
        labels = {backend.cluster_label: cluster, backend.role_label: role if backend.name == "kind" else "agent"}
        name = f"{'k3d-' if backend.name == 'k3d' else ''}{cluster}-{suffix}"
        rows[name] = {
            "Name": f"/{name}", "RestartCount": 0, "State": {"Status": "running", "ExitCode": 0}, "Config": {"Labels": labels},
            "NetworkSettings": {"Networks": {network: {"IPAddress": "172.19.0.2"}}},
        }  # fmt: skip
    machine.write(containers=rows)


def test_a_cluster_of_our_name_that_is_not_ours_is_never_touched(machine: Machine, backend: DockerBackend) -> None:
    foreign(machine, backend, "gpu", "kind")
    before = machine.read()["containers"]
    with pytest.raises(errors.NameTaken, match=f"a {backend.name} cluster named gpu exists that this lab did not make") as caught:
        backend.up(Quiet())
    assert "delete" in caught.value.fix and "gpu" in caught.value.fix
    backend.down()
    assert machine.read()["containers"] == before
    assert not any("delete" in line or "create" in line for line in machine.lines(backend.name))


def test_another_checkouts_lab_is_left_alone(machine: Machine) -> None:
    backend = Kind()
    machine.write(networks={"boring-ops-lab": {"labels": {"boring-ops-lab/checkout": "/home/ada/lab"}}})
    foreign(machine, backend, "app", "boring-ops-lab")
    for action in (lambda: backend.up(Quiet()), backend.stop, backend.down):
        with pytest.raises(errors.OtherLabRunning, match="/home/ada/lab"):
            action()
    assert len(machine.containers()) == 3
    with pytest.raises(errors.NotRunning):
        backend.status()


def test_a_network_of_our_name_without_label_is_refused(machine: Machine) -> None:
    machine.write(networks={"boring-ops-lab": {"labels": {}}})
    with pytest.raises(errors.NameTaken, match="network boring-ops-lab exists"):
        Kind().up(Quiet())


def test_a_network_inside_the_pods_ranges_is_refused_and_removed(machine: Machine) -> None:
    machine.write(subnet="10.21.8.0/24")
    with pytest.raises(errors.MachineError, match=r"10\.21\.8\.0/24, which overlaps 10\.21\.0\.0/16 of cluster gpu"):
        Kind().up(Quiet())
    assert machine.read()["networks"] == {}


def test_a_failed_creation_leaves_nothing_unless_asked_to(machine: Machine) -> None:
    backend = Kind()
    gpu = config.CLUSTERS / "k3d" / "gpu.yaml"
    machine.write(mode={"fail": ["kind create cluster --name gpu", f"k3d cluster create --config {gpu}"]})
    with pytest.raises(errors.StepFailed, match="boom"):
        backend.up(Quiet(), keep=True)
    assert machine.containers() == NODES[backend.name][:3]
    with pytest.raises(errors.StepFailed):
        backend.up(Quiet())
    assert machine.containers() == [] and machine.read()["networks"] == {} and not config.STATE.exists()


SAYS = {
    "kind": 'ERROR: failed to create cluster: failed to pull image "kindest/node:v1.37.0": dial tcp: no such host',
    "k3d": "\x1b[31mERRO\x1b[0m[0016] failed Cluster Creation: docker failed to pull image 'k3s:v1': dial tcp: no such host \n"
    "\x1b[31mERRO\x1b[0m[0016] Failed to create cluster >>> Rolling Back    \n" + "INFO[0017] Deleting what was made \n" * 30,
}


def test_an_image_that_cannot_be_had_says_why_and_what_helps(machine: Machine, backend: DockerBackend) -> None:
    machine.write(mode={"fail": [f"{backend.name} c"], "says": SAYS[backend.name]})
    with pytest.raises(errors.StepFailed, match="no such host\n  try:") as caught:
        backend.up(Quiet())
    assert "lab preload load" in caught.value.fix and "Deleting" not in str(caught.value)


class Interrupted(Quiet):
    """Ctrl-C at the beginning of a step."""

    def begin(self, title: str) -> None:
        if title == "Nodes":
            raise KeyboardInterrupt


def test_ctrl_c_after_the_creation_removes_what_was_made(machine: Machine) -> None:
    with pytest.raises(KeyboardInterrupt):
        Kind().up(Interrupted())
    assert any("create cluster" in line for line in machine.lines("kind"))
    assert machine.containers() == [] and machine.read()["networks"] == {} and not config.STATE.exists()


def test_tools_that_never_end_are_ended_and_what_they_made_is_removed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write(mode={"hang": ["kind create"]})
    monkeypatch.setattr("labs.clusters.docker_backend.CREATE_TIMEOUT", 15.0)
    with pytest.raises(errors.TimedOut, match="kind create cluster"):
        Kind().up(Quiet())
    assert machine.containers() == [] and machine.read()["networks"] == {}


@pytest.fixture
def pulling(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """k3d waits for the nodes' image until the lab's patience ends; its helper runs already."""
    machine.write(mode={"pulling": True, "hang": ["k3d cluster create"]})
    monkeypatch.setattr("labs.clusters.docker_backend.CREATE_TIMEOUT", 15.0)
    return machine


def test_k3ds_helper_and_volumes_go_where_no_node_came_to_be(pulling: Machine) -> None:
    with pytest.raises(errors.TimedOut, match="k3d cluster create"):
        K3d().up(Quiet())
    assert (pulling.containers(), pulling.read()["networks"], pulling.read()["volumes"]) == ([], {}, {})


def test_k3ds_helper_is_no_cluster_for_the_next_up(pulling: Machine) -> None:
    with pytest.raises(errors.TimedOut):
        K3d().up(Quiet(), keep=True)
    assert pulling.containers() == ["k3d-app-tools", "k3d-gpu-tools"]
    pulling.write(mode={})
    K3d().up(Quiet())
    assert pulling.containers() == NODES["k3d"]


def test_a_volume_without_a_cluster_goes_and_one_of_a_foreign_cluster_stays(machine: Machine) -> None:
    backend = K3d()
    machine.write(networks={docker.NETWORK: {"labels": {docker.CHECKOUT: str(config.ROOT)}}})
    machine.write(volumes={"k3d-app-images": "app", "k3d-gpu-images": "gpu", "k3d-dev-images": "dev"})
    foreign(machine, backend, "gpu", "theirs")
    backend.down()
    assert machine.read()["volumes"] == {"k3d-gpu-images": "gpu", "k3d-dev-images": "dev"}


def test_what_a_killed_up_left_is_made_anew_or_removed(machine: Machine) -> None:
    backend = Kind()
    backend.up(Quiet())
    # Killed between the creation of the containers and the kubeconfig: nothing says that they are complete.
    config.KUBECONFIG.unlink()
    backend.up(Quiet())
    assert machine.containers() == NODES[backend.name] and config.KUBECONFIG.exists()
    assert len([line for line in machine.lines(backend.name) if "delete" in line]) == 2
    config.KUBECONFIG.unlink()
    backend.down()
    assert machine.containers() == [] and machine.read()["networks"] == {}


def test_a_failure_while_the_lab_runs_takes_nothing_down(machine: Machine) -> None:
    Kind().up(Quiet())
    machine.write(mode={"fail": ["kubectl --kubeconfig"], "says": "error: boom"})
    with pytest.raises(errors.TimedOut):
        Kind().up(Quiet(), timeout=0.1)
    assert machine.containers() == NODES["kind"] and config.KUBECONFIG.exists()


@pytest.mark.parametrize(
    ("mode", "message", "fix"),
    [
        ({"absent": True}, "no Docker engine answers", "start Docker Desktop"),
        ({"denied": True}, "does not let this user in", "usermod -aG docker"),
        ({"small": True}, r"expected 3.5 GiB of memory for the Docker engine; found 2.0 GiB", "Settings, Resources"),
    ],
)
def test_an_engine_that_will_not_do(machine: Machine, mode: dict[str, Any], message: str, fix: str) -> None:
    backend = Kind()
    machine.write(mode=mode)
    with pytest.raises(errors.EngineUnusable, match=message) as caught:
        backend.up(Quiet())
    assert fix in caught.value.fix and "--backend embedded" in caught.value.fix
    assert machine.lines(backend.name) == []


def test_no_docker_command_at_all(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(errors.EngineUnusable, match="expected the command docker"):
        Kind().up(Quiet())


def test_a_kind_older_than_the_pin_is_refused(machine: Machine) -> None:
    machine.write(kind="0.20.0")
    with pytest.raises(errors.WrongVersion, match=r"expected kind 0\.33\.0 or newer; found 0\.20\.0") as caught:
        Kind().up(Quiet())
    assert caught.value.fix == "lab tools kind"
    machine.write(kind="0.100.0")
    Kind().require_usable()


def test_auto_says_which_and_why(machine: Machine) -> None:
    found, why = backends.choose()
    assert (found.name, why) == ("kind", "a Docker engine answers, and there is kind")
    tools = Path(os.environ["PATH"].split(os.pathsep)[0])
    (tools / "kind").unlink()
    assert backends.choose()[0].name == "k3d"
    (tools / "k3d").unlink()
    assert [backends.choose()[0].name, "lab tools kind" in backends.choose()[1]] == ["embedded", True]
    machine.write(mode={"absent": True})
    assert backends.choose()[1] == "no Docker engine answers"


def test_the_choice_is_stored_and_another_is_refused(machine: Machine) -> None:
    backends.remember(K3d())
    assert backends.choose()[0].name == "k3d" == backends.current().name
    with pytest.raises(errors.UsageError, match="uses the backend k3d, not kind"):
        backends.choose("kind")
    backends.forget()
    assert not config.STATE.exists()
    assert backends.current().name == "embedded"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (" • Preparing nodes 📦 📦 📦   ...\n", "Preparing nodes"),
        ('Creating cluster "app" ...\n', 'Creating cluster "app"'),
        ("\x1b[36mINFO\x1b[0m[0000] Creating node 'k3d-app-server-0'             \n", "Creating node 'k3d-app-server-0'"),
        ("\x1b[31mERRO\x1b[0m[0016] failed Cluster Creation: no image \n", "failed Cluster Creation: no image"),
        ("ERROR: failed to create cluster", "ERROR: failed to create cluster"),
        ("WARN[0000] No node filter specified\n", "No node filter specified"),
        ("\n", ""),
    ],
)
def test_what_tools_say_is_put_plainly(line: str, text: str) -> None:
    assert readable(line) == text


KIND_FAILED = """\
 ✗ Starting control-plane 🕹️
Deleted nodes: ["app-worker2" "app-worker" "app-control-plane"]
ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec app kubeadm init" failed
Command Output: I1127 22:55:17.7    120 round_trippers.go:632] "Response" verb="POST" url="https://172.18.0.4:6443/apis" status=""
error: error execution phase wait-control-plane: cannot obtain client without bootstrap
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
	k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
"""
K3D_FAILED = """\
\x1b[36mINFO\x1b[0m[0000] Creating node 'k3d-app-server-0'
\x1b[31mFATA\x1b[0m[0002] Cluster creation FAILED, all changes have been rolled back!
"""


def test_of_a_tools_last_words_the_complaints_are_told() -> None:
    assert complaints(KIND_FAILED) == (
        "ERROR: failed to create cluster: failed to init node with kubeadm:"
        ' command "docker exec app kubeadm init" failed;'
        " error: error execution phase wait-control-plane: cannot obtain client without bootstrap"
    )
    assert complaints(K3D_FAILED) == "Cluster creation FAILED, all changes have been rolled back!"
    assert complaints("killed\n") == ""


def test_the_manifests_name_the_images_there_are() -> None:
    assert {"boring-ops-lab/lab:dev", "busybox:1"} <= set(images.workload_images())
