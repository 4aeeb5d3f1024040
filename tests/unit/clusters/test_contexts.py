"""Clusters that are not the lab's: what is refused before anything changes, what would be made, and that only that goes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labs import cli, config, errors, record
from labs.clusters.contexts import Contexts, plan, variants
from labs.clusters.contexts.inspection import Facts, Node, pod_networks
from labs.clusters.contexts.plan import ClusterPlan, Options, Plan
from labs.paths import Paths
from labs.record import Record
from labs.telemetry import job_load
from tests.unit.clusters.fake_api import FakeApi

UP = ["up", "--backend", "contexts", "--context", "app=team-app", "--context", "gpu=team-gpu"]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty place for ``.lab``."""
    folder = tmp_path / "lab state"
    monkeypatch.setenv("LAB_STATE", str(folder))
    return folder


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: Path) -> Iterator[tuple[FakeApi, FakeApi]]:
    """Two clusters that would do, in the user's kubeconfig as ``team-app`` and ``team-gpu``."""
    with FakeApi("uid-app") as app, FakeApi("uid-gpu") as gpu:
        app.node("a1", pods="10.1.0.0/24")
        gpu.node("g1", pods="10.2.0.0/24")
        write_kubeconfig(tmp_path / "user-config", {"team-app": app.url, "team-gpu": gpu.url})
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "user-config"))
        yield app, gpu
        assert app.changes == gpu.changes == []


def write_kubeconfig(path: Path, servers: dict[str, str]) -> None:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": f"{name}-cluster", "cluster": {"server": url}} for name, url in servers.items()],
                "users": [{"name": "ada", "user": {"token": "secret"}}],
                "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": "ada"}} for name in servers],
            }
        )
    )


Team = tuple[FakeApi, FakeApi]


def refused(capsys: pytest.CaptureFixture[str], state: Path, command: list[str], code: int = 2) -> str:
    """What ``lab`` says; it must leave nothing behind."""
    assert cli.run(command) == code
    assert not state.exists()
    return capsys.readouterr().err


def test_the_plan_is_shown_and_no_is_an_answer(team: Team, state: Path) -> None:
    shown: list[str] = []

    def no(text: str) -> bool:
        shown.append(text)
        return False

    with pytest.raises(errors.UsageError, match="nothing was changed"):
        Contexts(Options({"app": "team-app", "gpu": "team-gpu"}), no).up(Silent())
    assert "namespaces shop, ml, monitoring" in shown[0]
    assert "namespaces ml, gpu-system, monitoring, shop" in shown[0]
    assert "labels nvidia.com/gpu.… on node g1" in shown[0]
    assert "linkerd-multicluster" in shown[0] and config.LAB_IMAGE in shown[0]
    assert not state.exists()


class Silent:
    def begin(self, title: str) -> None: ...
    def note(self, text: str) -> None: ...
    def advance(self, share: float, text: str) -> None: ...
    def end(self, seconds: float, failure: str | None = None) -> None: ...


def test_without_a_terminal_it_wants_yes(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--yes" in refused(capsys, state, UP)


def test_no_contexts_named(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, state, ["up", "--backend", "contexts"])
    assert "expected a kubeconfig context for each cluster; there are: team-app, team-gpu" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--context", "app=team-app"], "expected a context for a cluster with the role 'gpus' (gpu or gpu-eu)"),
        (["--context", "gpu=team-gpu"], "expected a context for a cluster with the role 'users' (app)"),
        (["--context", "team-app"], "expected --context CLUSTER=CONTEXT; found 'team-app'"),
        ([*UP[3:], "--context", "app=other"], "expected one context for each cluster"),
        ([*UP[3:], "--cluster", "gpu-eu"], "no kubeconfig context is known for cluster gpu-eu"),
        ([*UP[3:], "--model-server-url", "vllm:8000"], "expected --model-server-url http"),
    ],
)
def test_words_that_are_off(words: list[str], said: str, team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, state, ["up", "--backend", "contexts", *words])


def test_contexts_belong_to_this_backend(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, state, ["up", "--backend", "embedded", "--context", "app=a", "--yes"])
    assert "the backend embedded has no option --context, --yes" in said


def test_a_cluster_that_the_topology_does_not_have(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, state, [*UP, "--context", "gpu-us=team-gpu"], code=1)
    assert "no cluster named 'gpu-us'; there are: app, gpu, gpu-eu" in said


def test_one_cluster_alone_cannot_leave(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record.write(Record("contexts", ("app", "gpu")))
    assert cli.run(["down", "--cluster", "gpu"]) == 2
    assert "cannot remove gpu alone" in capsys.readouterr().err and record.read() is not None


def test_a_context_that_does_not_exist(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, state, [*UP[:-1], "gpu=team-gpv"], code=1)
    assert "no kubeconfig context named 'team-gpv'; there are: team-app, team-gpu" in said


def test_a_context_that_cannot_be_reached(team: Team, tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kubeconfig(tmp_path / "user-config", {"team-app": team[0].url, "team-gpu": "http://127.0.0.1:9"})
    assert "context team-gpu cannot be reached" in refused(capsys, state, UP)


def test_a_cluster_that_may_not_be_read(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = 'nodes is forbidden: User "ada" cannot list resource "nodes"'
    team[1].answers["/api/v1/nodes"] = {"status_code": 403, "message": message}
    said = refused(capsys, state, UP)
    assert "context team-gpu cannot be inspected" in said and message in said and "HTTP 403" in said


def test_every_right_that_is_missing_is_named(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team[0].denied = {"delete namespaces", "create customresourcedefinitions"}
    said = refused(capsys, state, [*UP, "--yes"])
    assert "team-app lacks cluster-wide permissions" in said
    assert "delete namespaces, create customresourcedefinitions.apiextensions.k8s.io" in said


def test_nodes_must_be_ours_to_label_only_where_gpus_are_simulated(
    team: Team, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team[0].denied = team[1].denied = {"patch nodes"}
    said = refused(capsys, state, [*UP, "--yes"])
    assert "team-gpu lacks cluster-wide permissions: patch nodes" in said


def test_both_contexts_lead_to_one_cluster(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team[1].answers["/api/v1/namespaces/kube-system"]["metadata"]["uid"] = "uid-app"
    assert "team-app and team-gpu lead to the same one" in refused(capsys, state, UP)


@pytest.mark.parametrize("taken", ["ml", "linkerd", "shop", "cost"])
def test_a_namespace_that_is_somebody_elses(team: Team, state: Path, capsys: pytest.CaptureFixture[str], taken: str) -> None:
    team[1].answers["/api/v1/namespaces"]["items"].append({"metadata": {"name": taken}})
    assert f"context team-gpu has the namespace {taken} already" in refused(capsys, state, UP)


def services(*addresses: str) -> dict[str, Any]:
    return {"items": [{"spec": {"clusterIPs": [address]}} for address in addresses]}


def test_pods_with_the_same_addresses(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team[1].node("g2", pods="10.1.0.128/25")
    said = refused(capsys, state, UP)
    assert "pods of team-app have 10.1.0.0/24, pods of team-gpu have 10.1.0.128/25" in said


def test_pods_with_the_addresses_of_services(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team[1].answers["/apis/networking.k8s.io/v1/servicecidrs"] = {"items": [{"spec": {"cidrs": ["10.1.0.0/16"]}}]}
    said = refused(capsys, state, UP)
    assert "pods of team-app have 10.1.0.0/24, Services of team-gpu have 10.1.0.0/16" in said


def test_services_may_have_the_same_addresses(team: Team, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for api in team:
        api.answers["/api/v1/services"] = services("10.100.0.1", "None")
    assert "--yes" in refused(capsys, state, UP), "it came as far as the question"


def test_pod_addresses_outside_of_the_nodes_ranges_count() -> None:
    node = {"spec": {"podCIDR": "10.1.0.0/24"}}
    pods = [{"spec": {}, "status": {"podIPs": [{"ip": ip}]}} for ip in ("10.1.0.7", "192.168.4.4", "fd00::4")]
    host = {"spec": {"hostNetwork": True}, "status": {"podIPs": [{"ip": "172.16.0.9"}]}}
    found = pod_networks([node], [*pods, host, {"spec": {}, "status": {}}])
    assert found == tuple(map(ipaddress.ip_network, ("10.1.0.0/24", "192.168.4.4/32", "fd00::4/128")))


# GPUs


def facts(*nodes: Node) -> Facts:
    return Facts("gpu", "team-gpu", "https://gpu", "uid", frozenset(), nodes, (), ())


def options(**changes: Any) -> Options:
    return Options({"app": "team-app", "gpu": "team-gpu"}, **changes)


def test_real_gpus_are_used_and_nothing_is_simulated() -> None:
    made = plan.make(options(), [facts(Node("g1", {}, 8, True))])
    assert made.clusters[0].gpus == 8 and not made.clusters[0].simulate and not made.clusters[0].labels
    assert "gpu-system" not in made.clusters[0].namespaces
    assert "no GPU simulator: the nodes offer 8 nvidia.com/gpu" in plan.describe(made)


def test_workers_are_labelled_and_not_the_control_plane_nor_more_than_needed() -> None:
    workers = [Node(f"w{i}", {}, 0, True) for i in range(4)]
    control_plane = Node("cp", {"node-role.kubernetes.io/control-plane": ""}, 0, True)
    labels = plan.labels_to_simulate(facts(control_plane, Node("tainted", {}, 0, False), *workers))
    assert list(labels) == ["w0", "w1"]
    assert labels["w0"]["nvidia.com/gpu.present"] == "true" and labels["w0"]["nvidia.com/gpu.count"] == "4"


def test_an_existing_label_is_not_ours() -> None:
    marked = Node("m", {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "2"}, 0, True)
    labels = plan.labels_to_simulate(facts(marked, Node("w", {}, 0, True)))
    assert list(labels) == ["m"] and list(labels["m"]) == ["nvidia.com/gpu.product"]


def test_a_gpu_without_its_device_plugin_is_not_covered_up() -> None:
    node = Node("g1", {"feature.node.kubernetes.io/pci-10de.present": "true"}, 0, True)
    with pytest.raises(errors.UsageError, match=r"g1 .* has an NVIDIA GPU but offers no nvidia\.com/gpu"):
        plan.labels_to_simulate(facts(node))


def test_no_node_to_simulate_on() -> None:
    with pytest.raises(errors.UsageError, match="no node that can simulate GPUs"):
        plan.labels_to_simulate(facts(Node("g1", {}, 0, False)))


# The record and the manifests


def a_plan(gpus: int = 0, **changes: Any) -> Plan:
    gpu = ClusterPlan("gpu", "team-gpu", "https://gpu", "uid-gpu", ["ml"], simulate=not gpus, gpus=gpus)
    return Plan(options(**changes), [ClusterPlan("app", "team-app", "https://app", "uid-app", ["shop"]), gpu])


def test_the_record_says_it_all(state: Path) -> None:
    state.mkdir()
    assert plan.load() is None
    with pytest.raises(errors.NotRunning, match="no lab is up"):
        plan.require()
    a_plan(image="r/lab:1").save()
    assert plan.load() == a_plan(image="r/lab:1")
    assert plan.part("gpu").uid == "uid-gpu"
    with pytest.raises(errors.NotFound, match="no cluster in this lab named 'moon'; there are: app, gpu"):
        plan.part("moon")


def test_up_again_with_other_options_is_refused(state: Path) -> None:
    state.mkdir()
    a_plan().save()
    with pytest.raises(errors.UsageError, match="this lab was brought up with"):
        Contexts(options(image="other:1")).up(Silent())


def rendered(name: str) -> list[dict[str, Any]]:
    """What kubectl makes of a variant."""
    from labs import kubectl, shell

    return list(yaml.safe_load_all(shell.run([kubectl.program(), "kustomize", str(Paths.current().manifests / name)])))


def workload(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(row for row in objects if row["kind"] == kind)


def test_variants_name_the_image_and_the_model_server(state: Path) -> None:
    variants.write(a_plan(image="registry.example:5000/lab:1.0", model_server_url="http://vllm:8000", model_name="llama"))
    container = workload(rendered("chat"), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example:5000/lab:1.0"
    env = {row["name"]: row["value"] for row in container["env"]}
    assert env["MODEL_URL"] == "http://vllm:8000" and env["MODEL_NAME"] == "llama"
    assert workload(rendered("gpu-simulator"), "DaemonSet")
    assert workload(rendered("prometheus-app"), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].startswith(
        "prom/"
    )


def test_variants_for_real_gpus_have_no_simulator_and_go_where_the_gpus_are(state: Path) -> None:
    variants.write(a_plan(gpus=8))
    assert "DaemonSet" not in {row["kind"] for row in rendered("gpu-simulator")}
    pod = workload(rendered("model-server"), "Deployment")["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod and pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("lab", {"newName": "lab", "newTag": "latest"}),
        ("r:5000/lab", {"newName": "r:5000/lab", "newTag": "latest"}),
        ("r:5000/lab:1", {"newName": "r:5000/lab", "newTag": "1"}),
        ("r/lab@sha256:ab", {"newName": "r/lab", "digest": "sha256:ab"}),
    ],
)
def test_image_references(reference: str, words: dict[str, str]) -> None:
    assert variants.image(reference) == words


def test_every_namespace_that_the_notebooks_make_is_known() -> None:
    """Or it would be another's that the lab labels, and removes."""
    found = [row for path in config.MANIFESTS.rglob("*.yaml") for row in yaml.safe_load_all(path.read_text())]
    made = {row["metadata"]["name"] for row in found if isinstance(row, dict) and row.get("kind") == "Namespace"}
    assert made | {job_load.NAMESPACE} == {*plan.NAMESPACES["users"], *plan.NAMESPACES["gpus"], *plan.LATER_NAMESPACES}
    assert all(job_load.NAMESPACE in names for names in plan.NAMESPACES.values())
