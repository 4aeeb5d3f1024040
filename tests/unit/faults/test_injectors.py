"""Injectors that need more than an object: identities, frozen machines, extra objects, killed proxies, overload."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from cryptography import x509

from labs import config, kube
from labs.clusters.base import CONTROL_PLANE, Capabilities
from labs.errors import NotFound, UsageError
from labs.faults.catalogue import find
from labs.faults.injectors import cards, extras, frozen, identity, injector, proxies
from labs.faults.injectors.base import Scene
from labs.mesh import certificates

CONTAINERS = Capabilities(True, True, True, True, False)


@pytest.fixture
def cluster(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], dict[str, Any]]:
    """An API that keeps objects by (kind, name), and controllers that never make anyone wait."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def short(kind: str) -> str:
        return kind.rpartition("/")[2]

    def apply(api: Any, source: Any, namespace: str = "default") -> None:
        for item in kube.documents(source):
            found[item["kind"], item["metadata"]["name"]] = item

    def patch(api: Any, kind: str, name: str, namespace: str | None, body: Any) -> None:
        for key, value in body.items():
            found[short(kind), name].setdefault(key, {}).update(value)

    def select(api: Any, kind: str, namespace: str | None = None, **_: Any) -> list[dict[str, Any]]:
        return [item for (known, _), item in found.items() if known == short(kind)]

    monkeypatch.setattr(kube, "get", lambda api, kind, name, namespace=None: found.get((short(kind), name)))
    monkeypatch.setattr(kube, "apply", apply)
    monkeypatch.setattr(kube, "patch", patch)
    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "wait", lambda *words, **options: None)
    monkeypatch.setattr(
        kube, "delete", lambda api, kind, name, namespace=None, **_: found.pop((short(kind), name), None) is not None
    )
    clusters: Any = scene.clusters
    clusters["app"] = SimpleNamespace(api="the app cluster's client")
    return found


@pytest.fixture
def issuer(cluster: dict[tuple[str, str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The mesh's issuer Secret and anchors, as notebook 04 makes them."""
    monkeypatch.setattr(config, "STATE", tmp_path)
    rows = {row.name: row for row in certificates.make_certificates(tmp_path / "certs", ["gpu"])}
    data = {"crt.pem": rows["issuer-gpu"].certificate, "key.pem": rows["issuer-gpu"].key}
    secret = {"data": {name: base64.b64encode(path.read_bytes()).decode() for name, path in data.items()}}
    cluster["Secret", "linkerd-identity-issuer"] = secret
    cluster["ConfigMap", "linkerd-identity-trust-roots"] = {"data": {"ca-bundle.crt": rows["ca"].certificate.read_text()}}
    return secret


def certificate(secret: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["crt.pem"]))


def test_an_expired_issuer_is_of_the_same_anchor_and_comes_back(
    scene: Scene, cluster: Any, issuer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = injector(find("issuer-expired"))
    before = certificate(issuer)
    anchors = dict(cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"])
    memory = maker.remember(scene, {})
    memory = {key: dict(value) for key, value in memory.items()}
    maker.inject(scene, {})
    for name, state in [("old", "True"), ("new", "False")]:
        cluster["Pod", name] = {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": state}]}}
    now = certificate(issuer)
    assert now.not_valid_after_utc < before.not_valid_after_utc and now.issuer == before.issuer
    anchor = x509.load_pem_x509_certificate(anchors["ca-bundle.crt"].encode())
    now.verify_directly_issued_by(anchor)
    assert cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"] == anchors
    monkeypatch.setattr(identity.ForeignAnchor, "_restart_components", lambda self, scene: None)
    maker.heal(scene, {}, memory)
    assert certificate(issuer) == before
    assert {name for kind, name in cluster if kind == "Pod"} == {"old"}, "who waits for a certificate is made anew"


def test_a_foreign_anchor_signs_its_own_issuer(scene: Scene, cluster: Any, issuer: dict[str, Any]) -> None:
    maker = identity.ForeignAnchor("app", "shop", "app.kubernetes.io/name=chat", "chat")
    roots = cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"]
    memory = {key: dict(value) for key, value in maker.remember(scene, {}).items()}
    maker.inject(scene, {})
    foreign = x509.load_pem_x509_certificate(roots["ca-bundle.crt"].encode())
    certificate(issuer).verify_directly_issued_by(foreign)
    assert roots != memory["anchors"]
    maker.heal(scene, {}, memory)
    assert roots == memory["anchors"] and issuer["data"] == memory["issuer"]


def test_without_a_mesh_there_is_no_issuer_to_break(scene: Scene, cluster: Any) -> None:
    with pytest.raises(NotFound, match="linkerd-identity-issuer"):
        injector(find("issuer-expired")).resolve(scene, {})


def test_extra_objects_come_and_go_and_are_not_made_twice(scene: Scene, cluster: Any) -> None:
    storm = injector(find("admission-storm"))
    with pytest.raises(NotFound, match="node with GPUs in cluster gpu"):
        storm.resolve(scene, {})
    node = ("Node", "k3d-gpu-agent-0")
    cluster[node] = {"metadata": {"name": node[1]}}
    with pytest.raises(NotFound, match="there are: k3d-gpu-agent-0"):
        storm.resolve(scene, {"node": "gpu-worker"})
    where = storm.resolve(scene, {})
    assert where == {"node": node[1]}
    storm.inject(scene, where)
    assert cluster["Deployment", "finetune"]["spec"]["template"]["spec"]["nodeName"] == node[1]
    assert set(cluster) == {node, ("Namespace", "training"), ("ResourceQuota", "pods"), ("Deployment", "finetune")}
    with pytest.raises(UsageError, match="namespace training exists already"):
        storm.resolve(scene, {})
    storm.heal(scene, where, {})
    assert set(cluster) == {node}
    storm.heal(scene, where, {})


def test_a_lost_plugin_is_that_of_the_first_node_with_cards_or_of_the_one_named(scene: Scene, cluster: Any) -> None:
    names = ("k3d-gpu-agent-0", "k3d-gpu-agent-1")
    label = "nvidia.com/gpu.present"
    for name in names:
        cluster["Node", name] = {"metadata": {"name": name, "labels": {label: "true"}}}
    down = injector(find("device-plugin-down"))
    assert down.resolve(scene, {}) == {"node": names[0]}
    where = down.resolve(scene, {"node": names[1]})
    assert down.touches(where) == {f"gpu node {names[1]}"}
    assert down.remember(scene, where)["kept"] == {"/metadata/labels/nvidia.com~1gpu.present": ["true"]}
    with pytest.raises(NotFound, match="there are: k3d-gpu-agent-0, k3d-gpu-agent-1"):
        down.resolve(scene, {"node": "gpu-worker"})


def test_what_is_added_says_that_it_is_the_labs() -> None:
    for file in extras.FOLDER.glob("*.yaml"):
        for item in kube.documents(file):
            ours = item["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "boring-ops-lab"
            assert ours or item["metadata"].get("namespace") == "training", f"{file.name}: {item['kind']}"


def test_overload_takes_its_rate_and_leaves_no_job(scene: Scene, cluster: Any) -> None:
    maker = injector(find("overload"))
    where = maker.resolve(scene, {"rps": "25"})
    maker.inject(scene, where)
    arguments = cluster["Job", "fault-overload"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--rps") + 1] == "25.0"
    maker.heal(scene, where, {})
    assert ("Job", "fault-overload") not in cluster
    for wrong in ("many", "0"):
        with pytest.raises(UsageError):
            maker.resolve(scene, {"rps": wrong})


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """A node: an agent with a pod below it."""
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code]) as agent:
        process = psutil.Process(agent.pid)
        while not process.children():
            pass
        children = process.children()
        row = {"name": "gpu/gpu-worker", "pid": agent.pid}
        monkeypatch.setattr(frozen.control, "status", lambda: {"children": [row, {"name": "etcd", "pid": None}]})
        monkeypatch.setattr(kube, "wait", lambda *words, **options: None)
        yield process
        for found in [process, *children]:
            found.kill()


def until(true: Callable[[], bool]) -> None:
    """A signal takes effect when the process next runs."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_frozen_node_stops_with_its_pods_and_goes_on(scene: Scene, node: psutil.Process) -> None:
    maker = injector(find("node-lost"))
    where = maker.resolve(scene, {})
    assert where == {"node": "gpu-worker"}
    (pod,) = node.children()
    maker.inject(scene, where)
    until(lambda: {node.status(), pod.status()} == {psutil.STATUS_STOPPED})
    maker.heal(scene, where, {})
    until(lambda: psutil.STATUS_STOPPED not in {node.status(), pod.status()})
    maker.heal(scene, where, {})


def test_only_workers_are_lost_and_only_control_planes_go_down(scene: Scene) -> None:
    with pytest.raises(NotFound, match="there are: gpu-worker, gpu-worker2"):
        injector(find("node-lost")).resolve(scene, {"node": "gpu-control-plane"})
    assert injector(find("control-plane-down")).resolve(scene, {}) == {"node": "gpu-control-plane"}


def test_where_nodes_are_containers_docker_stops_them(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = scene.backend
    backend.can = CONTAINERS
    ran: list[str] = []

    def run(command: list[str]) -> str:
        ran.append(" ".join(command))
        return "true\n"

    monkeypatch.setattr(frozen.shell, "run", run)
    monkeypatch.setattr(kube, "wait", lambda *words, **options: None)
    rows: list[dict[str, Any]] = [{"name": name, "labels": {}} for name in ("gpu-worker", "gpu-worker2")]
    rows.append({"name": "gpu-control-plane", "labels": {CONTROL_PLANE: ""}})
    monkeypatch.setattr(kube, "select", lambda *words, **options: [{"metadata": row} for row in rows])
    lost, down = injector(find("node-lost")), injector(find("control-plane-down"))
    assert lost.resolve(scene, {}) == {"node": "gpu-worker"} and down.resolve(scene, {}) == {"node": "gpu-control-plane"}
    lost.inject(scene, {"node": "gpu-worker"})
    lost.heal(scene, {"node": "gpu-worker"}, {})
    down.inject(scene, {"node": "gpu-control-plane"})
    assert ran[0] == "docker pause gpu-worker" and ran[2] == "docker unpause gpu-worker"
    assert ran[3].startswith("docker exec gpu-control-plane pkill -STOP -x kube-apiserver|")


def test_on_k3d_the_control_plane_cannot_be_stopped_alone(scene: Scene) -> None:
    backend: Any = scene.backend
    backend.can, backend.name = CONTAINERS, "k3d"
    assert injector(find("node-lost")).refusal(scene) is None
    assert "k3s is one process" in str(injector(find("control-plane-down")).refusal(scene))


def test_a_containers_processes_are_found_by_their_root() -> None:
    root = "/pods/0815/containers/linkerd-proxy/root"
    code = "import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], env={"CONTAINER_ROOT": f"/nodes/n{root}"}) as process:
        while not (found := proxies.processes_with_root(root)):
            pass
        assert [row.pid for row in found] == [process.pid]
        assert not proxies.processes_with_root("/pods/4711/containers/linkerd-proxy/root")
        process.kill()


HELD_BACK: dict[str, Any] = {
    "metadata": {
        "name": "model-server-0", "namespace": "ml", "ownerReferences": [{"kind": "ReplicaSet", "name": "model-server"}],
    },
    "status": {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
}  # fmt: skip
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([[{"status": {}}], [{"status": {}}], [READY]], 3),
        ([[]], 1),
        ([[READY]], 1),
    ],
)
def test_a_cards_heal_waits_for_the_pod_that_used_it_while_there_is_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, looks: list[list[dict[str, Any]]], expected: int
) -> None:
    seen: list[str] = []
    simulators = kube.select

    def select(api: Any, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        if labels:
            return simulators(api, kind, namespace, labels=labels, fields=fields)
        seen.append(fields)
        return looks[min(len(seen), len(looks)) - 1]

    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(cards, "POLL", 0.0)
    maker = injector(find("gpu-xid79"))
    where = maker.resolve(scene, {})
    memory = maker.remember(scene, where)
    maker.inject(scene, where)
    maker.heal(scene, where, memory)
    assert seen == ["metadata.name=model-server-0"] * expected


def test_a_pod_that_is_held_back_after_its_second_failure_is_replaced(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    simulators: Any = kube.select
    deleted: list[tuple[Any, ...]] = []
    waited: list[tuple[Any, ...]] = []

    def select(*words: Any, **chosen: str) -> list[dict[str, Any]]:
        return simulators(*words, **chosen) if chosen.get("labels") else [] if deleted else [HELD_BACK]

    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "delete", lambda api, *words, **_: deleted.append(words))
    monkeypatch.setattr(kube, "wait", lambda api, *words, **_: waited.append(words))
    monkeypatch.setattr(cards, "POLL", 0.0)
    maker = injector(find("gpu-ecc"))
    where = maker.resolve(scene, {})
    maker.heal(scene, where, {"pods": ["model-server-0"]})
    assert deleted == [("Pod", "model-server-0", "ml")]
    assert waited == [("ReplicaSet", "model-server", "ml", kube.replicas_ready)]


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"name": "alone", "namespace": "ml"}}, {"status": {"containerStatuses": [{"state": {"running": {}}}]}}],
)
def test_a_pod_that_nobody_replaces_or_that_is_starting_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(kube, "delete", lambda *_, **__: pytest.fail("deleted"))
    assert cards.SimulatedGpu("xid94")._replace(scene, HELD_BACK | change) is None


def test_a_heal_does_not_wait_for_ever_for_a_pod_that_left_its_card(
    scene: Scene, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulators = kube.select
    monkeypatch.setattr(
        kube, "select", lambda *words, **chosen: simulators(*words, **chosen) if chosen.get("labels") else [READY]
    )
    monkeypatch.setattr(cards, "RESTARTED", 0.1)
    monkeypatch.setattr(cards, "POLL", 0.01)
    maker = injector(find("gpu-xid79"))
    where = maker.resolve(scene, {})
    memory = maker.remember(scene, where)
    gpu.busy.clear()
    started = time.monotonic()
    maker.heal(scene, where, memory)
    assert time.monotonic() - started >= 0.1


def test_a_pod_that_vanished_is_healed_once_another_is_ready_and_not_while_the_status_is_old(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = {
        "kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    }  # fmt: skip
    names = [f"model-server-{number}" for number in range(2)]
    looks: list[list[dict[str, Any]]] = [[READY], [READY, {"status": {}}], [READY, READY]]

    def select(*_: Any, **__: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": name}} | pod for name, pod in zip(names, looks[0], strict=False)]

    said: list[str | None] = []

    def wait(api: Any, kind: str, name: str, namespace: str, until: kube.Condition, **_: float) -> None:
        while looks:
            said.append(until(owner))
            looks.pop(0)

    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "wait", wait)
    injector(find("stream-abort")).heal(scene, {"pod": "model-server-1"}, {})
    assert said == ["1 pods are ready", "1 pods are ready", None]
