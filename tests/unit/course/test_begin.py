"""What a notebook does first: put away what was left, say what is missing or in the way, and touch nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from labs import config, errors, kube
from labs.course import gpu_room, leftovers
from labs.course.begin import NEEDS, begin

Object = dict[str, Any]
GPU = gpu_room.RESOURCE


class FakeCluster:
    """A cluster whose API is a list of objects; what is changed is in ``.changes``."""

    def __init__(self, name: str, *objects: Object) -> None:
        self.name = self.context = name
        self.objects = [copy.deepcopy(row) for row in objects]
        self.changes: list[str] = []

    @property
    def api(self) -> FakeCluster:
        return self

    def kubectl(self, *words: str, **_: object) -> str:
        self.changes.append(" ".join(words))
        return ""

    def find(self, kind: str, name: str, namespace: str | None) -> Object | None:
        named = [row for row in self.objects if row["kind"] == kind.rpartition("/")[2] and row["metadata"]["name"] == name]
        return next((row for row in named if row["metadata"].get("namespace") == namespace), None)


def select(api: FakeCluster, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Object]:
    rows = [row for row in api.objects if row["kind"] == kind and namespace in (None, row["metadata"].get("namespace"))]
    key, _, rest = labels.replace(" in (", "=").strip(")").partition("=")
    values = rest.split(",") if rest else None
    rows = [row for row in rows if not key or _has(row["metadata"].get("labels", {}), key, values)]
    return [row for row in rows if not fields or row["spec"].get("nodeName") == fields.partition("=")[2]]


def _has(labels: dict[str, str], key: str, values: list[str] | None) -> bool:
    return key in labels and (values is None or labels[key] in values)


def patch(api: FakeCluster, kind: str, name: str, namespace: str | None, body: Object) -> Object:
    found = api.find(kind, name, namespace)
    assert found
    api.changes.append(f"patch {name} {body}")
    for labels in [body.get("metadata", {}).get("labels", {})]:
        for key in labels:
            del found["metadata"]["labels"][key]
    found["spec"] |= body.get("spec", {})
    return found


def delete(api: FakeCluster, kind: str, name: str, namespace: str | None = None) -> bool:
    found = api.find(kind, name, namespace)
    if found:
        api.objects.remove(found)
        api.objects = [row for row in api.objects if row["metadata"].get("labels", {}).get("app") != name]
        api.changes.append(f"delete {kind.rpartition('/')[2].lower()} {name}")
    return found is not None


@pytest.fixture(autouse=True)
def fake_kube(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "get", lambda api, kind, name, namespace=None: api.find(kind, name, namespace))
    monkeypatch.setattr(kube, "patch", patch)
    monkeypatch.setattr(kube, "delete", delete)
    monkeypatch.setattr(kube, "wait", lambda api, kind, name, namespace, until, **_: None)


def node(name: str, gpus: int = 4, labels: dict[str, str] | None = None) -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {},
        "status": {"allocatable": {GPU: str(gpus)} if gpus else {}},
    }


def pod(name: str, on: str, gpus: int, namespace: str = "default", phase: str = "Running", **meta: Any) -> Object:
    container = {"name": "main", "resources": {"limits": {GPU: str(gpus)}} if gpus else {}}
    metadata = {"name": name, "namespace": namespace, **meta}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": on, "containers": [container]}, "status": {"phase": phase}}


def deployment(name: str, namespace: str, replicas: int = 2, ready: int = 2, **labels: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}


def manifest(name: str) -> Object:
    """One of notebook 02's experiments, as it is applied."""
    found = yaml.safe_load((config.MANIFESTS / "exercises" / name).read_text())
    found["metadata"]["namespace"] = "default"
    return dict(found)


NODES = (node("w1"), node("w2"))
MADE = {name: [deployment(need.name, need.namespace) for need in NEEDS if need.cluster == name] for name in ("app", "gpu")}


def a_lab(*gpu: Object, app: tuple[Object, ...] = (), faults: tuple[str, ...] = (), made: bool = True) -> Any:
    clusters = {
        "app": FakeCluster("app", *app, *(MADE["app"] if made else ())),
        "gpu": FakeCluster("gpu", *NODES, *gpu, *(MADE["gpu"] if made else ())),
    }
    return SimpleNamespace(**clusters, cluster=clusters.__getitem__, active_faults=lambda: list(faults))


def test_nothing_is_said_or_changed_where_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    lab = a_lab()
    for number in ("02", "03", "07", "09", "13", "99"):
        begin(lab, number)
    assert capsys.readouterr().out == "" and lab.gpu.changes == lab.app.changes == []


@pytest.mark.parametrize("file", sorted(path.name for path in (config.MANIFESTS / "exercises").iterdir()))
def test_experiments_are_put_away(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    left = manifest(file)
    lab = a_lab(left, deployment("mine", "default"))
    begin(lab, "03")
    assert lab.gpu.changes == [f"delete {left['kind'].lower()} {left['metadata']['name']}"], "and the learner's own stays"
    assert f"{left['kind'].lower()} default/{left['metadata']['name']} (notebook 02)" in capsys.readouterr().out


@pytest.mark.parametrize("mode", leftovers.MODES)
def test_divided_gpus_are_made_whole_where_the_plugin_is_ours(mode: str) -> None:
    divided = node("w3", labels={leftovers.SHARING: mode, leftovers.COUNT: "4"})
    simulator = pod("sim", "w3", 0, "gpu-system", labels={"app.kubernetes.io/name": "gpu-simulator"})
    lab = a_lab(divided, simulator)
    assert list(leftovers.divided_gpus(lab.gpu)) == [f"node w3 divided its GPUs ({mode})"]
    assert [change.split()[:2] for change in lab.gpu.changes] == [["patch", "w3"], ["delete", "pod"]]
    somebody_elses = a_lab(divided)
    assert list(leftovers.divided_gpus(somebody_elses.gpu)) == [] == somebody_elses.gpu.changes


def test_what_was_scaled_down_is_scaled_up_but_not_while_a_failure_is_in_force() -> None:
    def scaled() -> Any:
        lab = a_lab()
        for row in lab.gpu.objects:
            if row["metadata"]["name"] in ("model-server", "linkerd-destination"):
                row["spec"]["replicas"] = 0 if "linkerd" in row["metadata"]["name"] else 1
        return lab

    lab = scaled()
    assert len(list(leftovers.put_away(lab, "11"))) == 2
    assert [change.split()[1] for change in lab.gpu.changes] == ["linkerd-destination", "model-server"]
    failing = scaled()
    failing.active_faults = lambda: ["overload"]
    assert list(leftovers.put_away(failing, "11")) == [] == failing.gpu.changes


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_what_is_missing_is_named_with_the_way_there(need: Any) -> None:
    lab = a_lab()
    cluster = lab.cluster(need.cluster)
    cluster.objects.remove(cluster.find(need.kind, need.name, need.namespace))
    with pytest.raises(errors.NotRunning, match=f"{need.namespace}/{need.name} in cluster {need.cluster}") as caught:
        begin(lab, "06")
    assert caught.value.fix == "lab goto 06"
    begin(lab, need.made_by)  # the notebook that makes it does not ask for it
    begin(lab, "99")


def test_without_gpus_notebook_03_sends_back_to_02() -> None:
    lab = a_lab(made=False)
    lab.gpu.objects = [node("w1", 0), node("w2", 0)]
    begin(lab, "02")
    with pytest.raises(errors.NotRunning, match=r"GPUs \(notebook 02\)"):
        begin(lab, "03")


OWNED: dict[str, Any] = {
    "ownerReferences": [{"kind": "ReplicaSet", "name": "hog-5d9f", "controller": True}],
    "labels": {"pod-template-hash": "5d9f"},
}


def test_who_holds_the_gpus_is_named_with_what_frees_them() -> None:
    lab = a_lab(*(pod(f"hog-5d9f-{i}", "w1", 2, "team", "Running", **OWNED) for i in range(2)), pod("alone", "w2", 3), made=False)
    with pytest.raises(errors.Taken) as caught:
        begin(lab, "03")
    assert caught.value.message == (
        "expected 2 free GPUs for the model server; found 1: team/deployment/hog holds 4, default/pod/alone holds 3"
    )
    assert caught.value.fix == "kubectl --context gpu -n team scale deployment hog --replicas=0"
    assert list(gpu_room.table(lab.gpu)["free"]) == [0, 1]


def test_a_model_server_that_runs_needs_no_more_gpus() -> None:
    begin(a_lab(*(pod(f"hog-{i}", "w1", 4) for i in range(2))), "03")


def test_pods_that_ended_or_have_no_node_hold_nothing() -> None:
    waiting = pod("waiting", "", 1)
    lab = a_lab(pod("done", "w1", 4, phase="Succeeded"), waiting, pod("small", "w1", 0))
    assert gpu_room.require(lab.gpu, 8, "a test")["free"].sum() == 8
    init = pod("init", "w1", 1)
    init["spec"]["initContainers"] = [{"name": "i", "resources": {"limits": {GPU: "3"}}}]
    assert gpu_room.wanted(init) == 3


def test_every_notebook_with_steps_begins_so() -> None:
    from labs.course.notebooks import all_notebooks

    for notebook in all_notebooks():
        first = next(cell.source for cell in notebook.content.cells if cell.cell_type == "code")
        assert notebook.number < "02" or f'lab.begin("{notebook.number}")' in first, Path(notebook.path).name
