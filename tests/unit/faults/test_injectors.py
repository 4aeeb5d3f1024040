"""Injectors that need more than an object: identities, frozen machines, extra objects, killed proxies, overload."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509

from labs import kube
from labs.errors import LabError, NotFound, UsageError
from labs.faults.catalogue import find
from labs.faults.injectors import extras, identity, injector, simulated_gpu
from labs.mesh import certificates
from labs.session import Session


@pytest.fixture
def cluster(session: Session, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], dict[str, Any]]:
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
    clusters: Any = session.clusters
    clusters["app"] = SimpleNamespace(api="the app cluster's client")
    return found


@pytest.fixture
def issuer(cluster: dict[tuple[str, str], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The mesh's issuer Secret and anchors, as notebook 04 makes them."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    rows = {row.name: row for row in certificates.make_certificates(tmp_path / "certs", ["gpu"])}
    data = {"crt.pem": rows["issuer-gpu"].certificate, "key.pem": rows["issuer-gpu"].key}
    secret = {"data": {name: base64.b64encode(path.read_bytes()).decode() for name, path in data.items()}}
    cluster["Secret", "linkerd-identity-issuer"] = secret
    cluster["ConfigMap", "linkerd-identity-trust-roots"] = {"data": {"ca-bundle.crt": rows["ca"].certificate.read_text()}}
    return secret


def certificate(secret: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["crt.pem"]))


def test_an_expired_issuer_is_of_the_same_anchor_and_comes_back(
    session: Session, cluster: Any, issuer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = injector(find("issuer-expired"))
    before = certificate(issuer)
    anchors = dict(cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"])
    saved_state = maker.capture_state(session, {})
    saved_state = {key: dict(value) for key, value in saved_state.items()}
    maker.inject(session, {})
    for name, state in [("old", "True"), ("new", "False")]:
        cluster["Pod", name] = {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": state}]}}
    now = certificate(issuer)
    assert now.not_valid_after_utc < before.not_valid_after_utc and now.issuer == before.issuer
    anchor = x509.load_pem_x509_certificate(anchors["ca-bundle.crt"].encode())
    now.verify_directly_issued_by(anchor)
    assert cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"] == anchors
    monkeypatch.setattr(identity.ForeignAnchor, "_restart_components", lambda self, session: None)
    maker.heal(session, {}, saved_state)
    assert certificate(issuer) == before
    assert {name for kind, name in cluster if kind == "Pod"} == {"old"}, "a pod that waits for a certificate is replaced"


def test_an_issuer_in_another_form_is_refused_before_anything_changes(session: Session, issuer: dict[str, Any]) -> None:
    issuer["data"] = {"ca.crt": ""}
    maker = injector(find("issuer-expired"))
    with pytest.raises(LabError, match=r"expected crt.pem and key.pem or tls.crt and tls.key .* found ca.crt"):
        maker.resolve(session, {})


def test_a_gpu_that_is_gone_is_named(session: Session) -> None:
    with pytest.raises(NotFound, match="no GPU on node gpu-worker2 named '9'; there are: 0, 1, 2, 3"):
        injector(find("gpu-xid79")).capture_state(session, {"node": "gpu-worker2", "gpu": 9})


def test_a_foreign_anchor_signs_its_own_issuer(session: Session, cluster: Any, issuer: dict[str, Any]) -> None:
    maker = identity.ForeignAnchor("users", "shop", "app.kubernetes.io/name=chat", "chat")
    roots = cluster["ConfigMap", "linkerd-identity-trust-roots"]["data"]
    saved_state = {key: dict(value) for key, value in maker.capture_state(session, {}).items()}
    maker.inject(session, {})
    foreign = x509.load_pem_x509_certificate(roots["ca-bundle.crt"].encode())
    certificate(issuer).verify_directly_issued_by(foreign)
    assert roots != saved_state["anchors"]
    maker.heal(session, {}, saved_state)
    assert roots == saved_state["anchors"] and issuer["data"] == saved_state["issuer"]


def test_without_a_mesh_there_is_no_issuer_to_break(session: Session, cluster: Any) -> None:
    with pytest.raises(NotFound, match="linkerd-identity-issuer"):
        injector(find("issuer-expired")).resolve(session, {})


def test_extra_objects_come_and_go_and_are_not_made_twice(session: Session, cluster: Any) -> None:
    storm = injector(find("admission-storm"))
    with pytest.raises(NotFound, match="node with GPUs in cluster gpu"):
        storm.resolve(session, {})
    node = ("Node", "k3d-gpu-agent-0")
    cluster[node] = {"metadata": {"name": node[1]}}
    with pytest.raises(NotFound, match="there are: k3d-gpu-agent-0"):
        storm.resolve(session, {"node": "gpu-worker"})
    parameters = storm.resolve(session, {})
    assert parameters == {"node": node[1]}
    storm.inject(session, parameters)
    assert cluster["Deployment", "finetune"]["spec"]["template"]["spec"]["nodeName"] == node[1]
    assert set(cluster) == {node, ("Namespace", "training"), ("ResourceQuota", "pods"), ("Deployment", "finetune")}
    with pytest.raises(UsageError, match="namespace training already exists"):
        storm.resolve(session, {})
    storm.heal(session, parameters, {})
    assert set(cluster) == {node}
    storm.heal(session, parameters, {})


def test_a_lost_plugin_is_that_of_the_first_node_with_gpus_or_of_the_one_named(session: Session, cluster: Any) -> None:
    names = ("k3d-gpu-agent-0", "k3d-gpu-agent-1")
    label = "nvidia.com/gpu.present"
    for name in names:
        cluster["Node", name] = {"metadata": {"name": name, "labels": {label: "true"}}}
    down = injector(find("device-plugin-down"))
    assert down.resolve(session, {}) == {"node": names[0]}
    parameters = down.resolve(session, {"node": names[1]})
    assert down.affected_resources(parameters) == {f"gpu node {names[1]}"}
    assert down.capture_state(session, parameters)["kept"] == {"/metadata/labels/nvidia.com~1gpu.present": ["true"]}
    with pytest.raises(NotFound, match="there are: k3d-gpu-agent-0, k3d-gpu-agent-1"):
        down.resolve(session, {"node": "gpu-worker"})


def test_what_is_added_says_that_it_is_the_labs() -> None:
    for file in extras.FOLDER.glob("*.yaml"):
        for item in kube.documents(file):
            ours = item["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "boring-ops-lab"
            assert ours or item["metadata"].get("namespace") == "training", f"{file.name}: {item['kind']}"


def test_overload_takes_its_rate_and_leaves_no_job(session: Session, cluster: Any) -> None:
    maker = injector(find("overload"))
    parameters = maker.resolve(session, {"rps": "25"})
    maker.inject(session, parameters)
    arguments = cluster["Job", "fault-overload"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--rps") + 1] == "25.0"
    maker.heal(session, parameters, {})
    assert ("Job", "fault-overload") not in cluster
    for wrong in ("many", "0"):
        with pytest.raises(UsageError):
            maker.resolve(session, {"rps": wrong})


@pytest.mark.parametrize(
    ("name", "node", "part", "ready"),
    [
        ("node-lost", "gpu-worker", "node", ["gpu-worker"]),
        ("control-plane-down", "gpu-control-plane", "control-plane", ["gpu-control-plane", "gpu-worker", "gpu-worker2"]),
    ],
)
def test_what_is_frozen_thaws_and_every_node_it_hit_is_waited_for(
    session: Session, backend: Any, monkeypatch: pytest.MonkeyPatch, name: str, node: str, part: str, ready: list[str]
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(kube, "wait", lambda api, kind, name, *words, **options: waited.append(name))
    maker = injector(find(name))
    parameters = maker.resolve(session, {})
    assert parameters == {"node": node}
    maker.inject(session, parameters)
    maker.heal(session, parameters, {})
    assert backend.nodes.calls == [("freeze", "gpu", node, part), ("thaw", "gpu", node, part)]
    assert waited == ready


def test_only_workers_are_lost(session: Session) -> None:
    with pytest.raises(NotFound, match="there are: gpu-worker, gpu-worker2"):
        injector(find("node-lost")).resolve(session, {"node": "gpu-control-plane"})


def test_a_proxy_is_killed_until_the_kubelet_holds_it_back(
    session: Session, backend: Any, cluster: dict[tuple[str, str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(number: int, state: dict[str, Any]) -> None:
        proxy = {"name": "linkerd-proxy", "state": state, "containerID": f"containerd://{number}"}
        cluster["Pod", "chat-1"] = {"metadata": {"name": "chat-1"}, "status": {"initContainerStatuses": [proxy]}}

    def kill(cluster: str, found: dict[str, Any], container: str) -> None:
        backend.nodes.calls.append((cluster, found["metadata"]["name"], container))
        killed = len(backend.nodes.calls)
        show(killed + 1, {"running": {}} if killed < 2 else {"waiting": {"reason": "CrashLoopBackOff"}})

    show(1, {"running": {}})
    monkeypatch.setattr(backend.nodes, "kill_container", kill)
    maker = injector(find("proxy-killed"))
    maker.inject(session, {"pod": "chat-1"})
    assert backend.nodes.calls == [("app", "chat-1", "linkerd-proxy")] * 2


IN_CRASH_LOOP: dict[str, Any] = {
    "metadata": {
        "name": "model-server-0",
        "namespace": "ml",
        "ownerReferences": [{"kind": "ReplicaSet", "name": "model-server"}],
    },
    "status": {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
}
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([[{"status": {}}], [{"status": {}}], [READY]], 3),
        ([[]], 1),
        ([[READY]], 1),
    ],
)
def test_a_gpus_heal_waits_for_the_pod_that_used_it_while_there_is_one(
    session: Session, monkeypatch: pytest.MonkeyPatch, looks: list[list[dict[str, Any]]], expected: int
) -> None:
    seen: list[str] = []
    simulators = kube.select

    def select(api: Any, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        if labels:
            return simulators(api, kind, namespace, labels=labels, fields=fields)
        seen.append(fields)
        return looks[min(len(seen), len(looks)) - 1]

    monkeypatch.setattr(kube, "select", select)
    maker = injector(find("gpu-xid79"))
    parameters = maker.resolve(session, {})
    saved_state = maker.capture_state(session, parameters)
    maker.inject(session, parameters)
    maker.heal(session, parameters, saved_state)
    assert seen == ["metadata.name=model-server-0"] * expected


def test_a_pod_in_a_crash_loop_after_its_second_failure_is_replaced(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    simulators: Any = kube.select
    deleted: list[tuple[Any, ...]] = []
    waited: list[tuple[Any, ...]] = []

    def select(*words: Any, **chosen: str) -> list[dict[str, Any]]:
        return simulators(*words, **chosen) if chosen.get("labels") else [] if deleted else [IN_CRASH_LOOP]

    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "delete", lambda api, *words, **_: deleted.append(words))
    monkeypatch.setattr(kube, "wait", lambda api, *words, **_: waited.append(words))
    maker = injector(find("gpu-ecc"))
    parameters = maker.resolve(session, {})
    maker.heal(session, parameters, {"pods": ["model-server-0"]})
    assert deleted == [("Pod", "model-server-0", "ml")]
    assert waited == [("ReplicaSet", "model-server", "ml", kube.replicas_ready)]


@pytest.mark.parametrize(
    "change",
    [{"metadata": {"name": "alone", "namespace": "ml"}}, {"status": {"containerStatuses": [{"state": {"running": {}}}]}}],
)
def test_a_pod_that_nobody_replaces_or_that_is_starting_is_left_alone(
    session: Session, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(kube, "delete", lambda *_, **__: pytest.fail("deleted"))
    assert simulated_gpu.SimulatedGpu("xid94")._replace(session, IN_CRASH_LOOP | change) is None


def test_a_heal_does_not_wait_for_ever_for_a_pod_that_left_its_gpu(
    session: Session, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulators = kube.select
    monkeypatch.setattr(
        kube, "select", lambda *words, **chosen: simulators(*words, **chosen) if chosen.get("labels") else [READY]
    )
    monkeypatch.setattr(simulated_gpu, "RESTART_TIMEOUT", 0.1)
    maker = injector(find("gpu-xid79"))
    parameters = maker.resolve(session, {})
    saved_state = maker.capture_state(session, parameters)
    gpu.busy.clear()
    started = time.monotonic()
    maker.heal(session, parameters, saved_state)
    assert time.monotonic() - started >= 0.1


def test_a_pod_that_vanished_is_healed_once_another_is_ready_and_not_while_the_status_is_old(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = {
        "kind": "Deployment",
        "metadata": {"generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
    }
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
    injector(find("stream-abort")).heal(session, {"pod": "model-server-1"}, {})
    assert said == ["1 pods are ready", "1 pods are ready", None]
