"""The ``linkerd`` command without a cluster: what it prints for others to apply, and how it refuses."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
import yaml

from labs.clusters import kubeconfig
from labs.errors import LabError, NotFound, UsageError
from labs.mesh.linkerd_cli import manifests
from labs.mesh.linkerd_cli.app import COMMANDS, main, split_global_flags
from labs.mesh.linkerd_cli.cluster import Target
from labs.mesh.linkerd_cli.real_commands import SUB_COMMANDS
from labs.mesh.linkerd_cli.tables import table
from labs.mesh.standin import install_cli


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 0
    return capsys.readouterr().out


def test_version_says_that_it_is_a_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "version", "--client") == "Client version: stand-in for edge-26.8.3\n"


def test_a_command_of_the_real_one_alone_says_so_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade"]) == 1
    error = capsys.readouterr().err
    assert 'unknown command "upgrade" for "linkerd": only a real Linkerd has it' in error
    assert "the stand-in has: authz, check" in error and "only a real one:  completion, install-cni" in error


@pytest.mark.parametrize("group", [group for group in SUB_COMMANDS if group])
def test_every_group_names_what_only_the_real_one_has(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group, "frobnicate"]) == 1
    error = capsys.readouterr().err
    assert f'unknown command "frobnicate" for "linkerd {group}": neither' in error
    listed = error.partition("only a real one:")[2].split()
    assert listed and all(name.rstrip(",") in SUB_COMMANDS[group] for name in listed)


def test_nothing_here_is_unknown_to_the_real_one() -> None:
    assert set(COMMANDS) <= set(SUB_COMMANDS[""])


def test_help_is_a_command_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["help"], ["help", "viz", "stat"]):
        assert "Usage: linkerd" in printed(capsys, *argv)


def test_wrong_usage_exits_with_1_as_linkerds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--no-such-flag"]) == 1
    assert "--no-such-flag" in capsys.readouterr().err


def test_the_clusters_entry_is_that_of_the_context(tmp_path: Path) -> None:
    rows = {
        "contexts": [{"name": "ours", "context": {"cluster": "c1"}}, {"name": "torn", "context": {"cluster": "c9"}}],
        "clusters": [{"name": "c1", "cluster": {"server": "https://c1"}}],
    }
    (file := tmp_path / "kubeconfig").write_text(yaml.safe_dump(rows))
    assert Target("ours", str(file)).cluster_entry() == {"server": "https://c1"}
    with pytest.raises(NotFound, match="no context named 'moon'; there are: ours, torn"):
        Target("moon", str(file)).cluster_entry()
    with pytest.raises(NotFound, match="no cluster in the kubeconfig named 'c9'; there are: c1"):
        Target("torn", str(file)).cluster_entry()


def test_a_kubeconfig_without_its_current_context_is_refused() -> None:
    with pytest.raises(NotFound, match="no entry under contexts of a kubeconfig named 'moon'"):
        kubeconfig.merge({"app": yaml.safe_dump({"current-context": "moon"})})


def test_context_is_allowed_before_and_after_the_sub_command() -> None:
    for argv in (
        ["--context", "gpu", "check", "--pre"],
        ["check", "--context=gpu", "--pre"],
        ["check", "--pre", "--context", "gpu"],
    ):
        assert split_global_flags(argv) == ({"context": "gpu"}, ["check", "--pre"])


def test_a_context_without_a_name_is_refused() -> None:
    with pytest.raises(LabError, match="needs an argument"):
        split_global_flags(["check", "--context"])


def test_install_prints_the_control_plane(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(yaml.safe_load_all(printed(capsys, "install", "--ignore-cluster")))
    names = {item["metadata"]["name"] for item in found if item["kind"] == "Deployment"}
    assert names == {"linkerd-identity", "linkerd-destination", "linkerd-proxy-injector"}


def test_install_crds_prints_definitions_only(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(yaml.safe_load_all(printed(capsys, "install", "--crds", "--ignore-cluster")))
    assert {item["kind"] for item in found} == {"CustomResourceDefinition"}


def test_multicluster_install_makes_a_controller_per_link(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "multicluster", "install", "--ignore-cluster", "--set", "controllers[0].link.ref.name=gpu")
    names = {item["metadata"]["name"] for item in yaml.safe_load_all(text)}
    assert {"controller-gpu", "probe-gpu", "linkerd-gateway", "links.multicluster.linkerd.io"} <= names
    assert "&" not in text


def test_set_refuses_what_would_have_no_effect() -> None:
    with pytest.raises(UsageError, match="does not know"):
        manifests.values_for("control-plane", ("proxyy.logLevel=debug",))
    with pytest.raises(UsageError, match=r"without a gap|list of 0"):
        manifests.values_for("multicluster", ("controllers[1].link.ref.name=gpu",))


def test_inject_and_uninject_undo_each_other(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "chat"},
        "spec": {"template": {"metadata": {"labels": {"app": "chat"}}}},
    }
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(deployment)))
    injected = printed(capsys, "inject", "-")
    assert yaml.safe_load(injected)["spec"]["template"]["metadata"]["annotations"] == {"linkerd.io/inject": "enabled"}
    monkeypatch.setattr("sys.stdin", io.StringIO(injected))
    assert yaml.safe_load(printed(capsys, "uninject", "-"))["spec"]["template"]["metadata"]["annotations"] == {}


def test_the_wrapper_runs_from_a_path_with_spaces(tmp_path: Path) -> None:
    path = install_cli(tmp_path / "a b")
    result = subprocess.run([path, "version", "--client"], capture_output=True, text=True, cwd="/", check=True)
    assert "stand-in" in result.stdout


def test_a_table_has_linkerds_columns() -> None:
    text = table(["NAME", "MESHED", "RPS"], [["client", "1/1", "0.3rps"], ["server", "2/2", "8.5rps"]])
    assert text == "NAME     MESHED      RPS\nclient      1/1   0.3rps\nserver      2/2   8.5rps"
