"""``lab start`` and ``lab stop`` are a pair: what one opens and resumes, the other ends and stops."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from labs import config, errors
from labs.clusters import backends
from labs.course import commands, jupyterlab, servers
from labs.course.workspace import Workspace
from labs.paths import Paths
from tests.support.waiting import eventually

URL = "http://127.0.0.1:8888/"


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the verbs did; the lab's clusters exist and are stopped."""
    did: list[str] = []
    backend = SimpleNamespace(
        prepare=lambda progress: None, up=lambda progress: did.append("up"), stop=lambda: did.append("stop clusters")
    )
    monkeypatch.setattr(backends, "current", lambda: backend)
    open_servers: list[dict[str, object]] = []
    server = {"pid": 1, "url": URL, "token": "secret"}

    def start(port: int, page: Path) -> SimpleNamespace:
        did.append("jupyter")
        open_servers.append(server)
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr(jupyterlab, "start", start)
    monkeypatch.setattr(jupyterlab, "wait_until_ready", lambda process: server)
    monkeypatch.setattr(servers, "running", lambda: open_servers)
    workspace = Workspace(tmp_path / "work")
    monkeypatch.setattr("labs.course.workspace.Workspace", lambda: workspace)

    def stop(server: object) -> str:
        did.append("stop jupyter")
        return f"stopped JupyterLab at {URL}"

    monkeypatch.setattr(servers, "_stop", stop)
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    Paths.current().kubeconfig.touch()
    return did


def invoke(verb: str, *words: str) -> Result:
    return CliRunner().invoke(getattr(commands, verb), words)


def test_start_resumes_and_opens_and_stop_ends_both(did: list[str]) -> None:
    assert invoke("start", "--no-browser").exit_code == 0
    stopped = invoke("stop")
    assert stopped.exit_code == 0 and f"stopped JupyterLab at {URL}" in stopped.output
    assert did == ["up", "jupyter", "stop clusters", "stop jupyter"]


def test_start_prints_one_block_that_ends_in_the_url(did: list[str]) -> None:
    output = invoke("start", "--no-browser").output.splitlines()
    assert output[-1] == f"  {URL}lab?token=secret" and len(output) == 2


def test_a_second_start_joins_the_first(did: list[str]) -> None:
    invoke("start", "--no-browser")
    again = invoke("start", "--no-browser")
    assert did.count("jupyter") == 1 and again.exit_code == 0
    assert again.output.splitlines() == ["JupyterLab runs already:", f"  {URL}lab?token=secret"]


def test_start_lays_out_the_copies_and_the_page(did: list[str], tmp_path: Path) -> None:
    invoke("start", "--no-browser")
    assert (tmp_path / "work" / "05-multicluster.ipynb").exists() and (tmp_path / "work" / "start-here.md").exists()


def test_start_makes_no_clusters_where_there_are_none(did: list[str]) -> None:
    Paths.current().kubeconfig.unlink()
    invoke("start", "--no-browser")
    assert did == ["jupyter"], "notebook 01 makes them"


def test_the_notebooks_open_even_if_the_clusters_do_not_run(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def up(progress: object) -> None:
        raise errors.OtherLabRunning("the lab of another checkout runs", fix="lab stop there")

    monkeypatch.setattr(backends, "current", lambda: SimpleNamespace(prepare=lambda progress: None, up=up))
    result = invoke("start", "--no-browser")
    assert did == ["jupyter"] and "the clusters are not running: the lab of another checkout runs" in result.output


def test_stop_without_clusters_still_ends_jupyterlab_and_without_both_says_so(
    did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise errors.NotRunning("no lab is up in this checkout", fix="lab up")

    monkeypatch.setattr(servers, "running", lambda: [{"pid": 1, "url": URL}])

    monkeypatch.setattr(backends, "current", lambda: SimpleNamespace(stop=stop))
    assert invoke("stop").exit_code == 0 and did == ["stop jupyter"]
    monkeypatch.setattr(servers, "running", list)
    assert isinstance(invoke("stop").exception, errors.NotRunning)


@pytest.mark.parametrize(("name", "value"), [("JPY_PARENT_PID", "42"), ("JUPYTER_SERVER_URL", URL)])
def test_the_server_that_the_command_runs_in_goes_on(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    server = {"pid": 42, "url": URL, "root_dir": str(config.ROOT)}
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    assert not servers.contains_us(server)
    monkeypatch.setenv(name, value)
    assert servers.contains_us(server) and "keeps running" in servers._stop(server)


@pytest.fixture
def jupyter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real server on this checkout's notebooks, with a runtime folder of its own."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    options = ["--no-browser", "--ServerApp.port=0", f"--ServerApp.root_dir={config.ROOT}", "--allow-root"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-I", "-m", "jupyter", "server", *options], stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()


def test_a_server_of_this_checkout_is_found_and_ended(jupyter: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (found,) = eventually(servers.running, 60)
    assert found["pid"] == jupyter.pid
    assert servers.stop_all() == [f"stopped JupyterLab at {found['url']}"]
    assert jupyter.wait(5) == 0 and servers.running() == []


def test_a_note_that_outlived_its_server_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    note = {"pid": os.getpid(), "url": URL, "root_dir": str(config.ROOT)}
    monkeypatch.setattr(servers, "list_running_servers", lambda: [note, note | {"root_dir": "/elsewhere"}])
    monkeypatch.setattr(servers.psutil.Process, "cmdline", lambda self: ["sleep", "300"])
    assert servers.running() == [], "its number belongs to another program now"
