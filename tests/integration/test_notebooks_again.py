"""A notebook may be cut short and run again, and run twice: nothing of the first time is in the way of the second."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest

from labs import kube
from labs.clusters import backends
from labs.course.execute import Outcome, execute
from labs.course.notebook_lab import NotebookLab
from labs.course.notebooks import Notebook, all_notebooks, find
from labs.course.report import plain
from labs.session import Session

pytestmark = [pytest.mark.integration, pytest.mark.course]
KILL = "import os, signal, threading\nthreading.Timer(2, os.kill, (os.getpid(), signal.SIGKILL)).start()"
"""A cell after which the kernel has two seconds to live: a restart in the middle of something."""
WAIT = "import time\ntime.sleep(60)"
AT_ONCE = 30
"""Seconds within which a step says that it cannot work: the notebook's own waits are for a minute."""


@pytest.fixture
def lab(lab_at_08: Session) -> NotebookLab:
    """A lab in which the notebooks before 08 have run."""
    return NotebookLab(lab_at_08.backend)


def run(notebook: Notebook) -> Outcome:
    return execute(notebook, lambda _index, _count: None)


def cut(notebook: Notebook, folder: Path) -> Notebook:
    """The first half of a notebook; its kernel dies two seconds into the cell in the middle, or into one of the next."""
    content = nbformat.from_dict(notebook.content)
    code = [index for index, cell in enumerate(content.cells) if cell.cell_type == "code"]
    middle = code[len(code) // 2]
    content.cells = [
        *content.cells[:middle],
        nbformat.v4.new_code_cell(KILL),
        *content.cells[middle : middle + 2],
        nbformat.v4.new_code_cell(WAIT),
    ]
    path = folder / notebook.path.name
    nbformat.write(content, path)
    return Notebook(path)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [notebook.number for notebook in all_notebooks() if "00" < notebook.number < "99"])
def test_a_notebook_is_cut_short_then_run_then_run_again(lab_up: None, tmp_path: Path, number: str) -> None:
    notebook = find(number)
    if number == "02":  # a lab that has seen the later notebooks: their model servers hold GPUs
        _free_all_gpus(NotebookLab(backends.current()))
    assert "kernel" in run(cut(notebook, tmp_path)).error.lower()
    for time_of_running in ("after the cut", "again"):
        outcome = run(notebook)
        assert not outcome.error, f"{number} {time_of_running}: {plain(outcome.error)[-3000:]}"


def _free_all_gpus(lab: NotebookLab) -> None:
    for owner in set(lab.free_gpus()["held by"]) - {""}:
        assert "model-server" in owner
        lab.gpu.kubectl("-n", "ml", "scale", "deployment/model-server", "--replicas=0")
        lab.gpu.kubectl("-n", "ml", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=model-server", "--timeout=60s")


def test_notebook_02_after_03_says_who_is_in_the_way_and_leaves_nothing(lab: NotebookLab) -> None:
    started = time.monotonic()
    error = plain(run(find("02")).error)
    assert time.monotonic() - started < AT_ONCE
    assert "expected 8 free GPUs for the next step; found 6: ml/deployment/model-server holds 2" in error
    assert "kubectl --context gpu -n ml scale deployment model-server --replicas=0" in error
    assert kube.get(lab.gpu.api, "Deployment", "greedy", "default") is None


def test_what_a_cut_left_is_put_away_when_the_next_notebook_begins(lab: NotebookLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.gpu.apply("clusters/manifests/exercises/nine-gpus.yaml")
    lab.gpu.kubectl("wait", "deployment/greedy", "--for=jsonpath={.status.readyReplicas}=6", "--timeout=60s", timeout=70)
    lab.begin("03")
    assert "removed what an earlier run left behind: deployment default/greedy (notebook 02)" in capsys.readouterr().out
    assert lab.free_gpus(6)["free"].sum() == 6


def test_a_notebook_says_at_once_that_somebody_holds_its_gpus(lab: NotebookLab) -> None:
    """Somebody else's pods are named and left alone."""
    lab.gpu.kubectl("-n", "ml", "scale", "deployment/model-server", "--replicas=0")
    lab.gpu.kubectl("create", "deployment", "hoarder", "--image=busybox:1", "--replicas=1", "--", "sleep", "600")
    patch = '{"spec": {"replicas": 8, "template": {"spec": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],'
    patch += ' "containers": [{"name": "busybox", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}}}'
    lab.gpu.kubectl("patch", "deployment", "hoarder", "-p", patch)
    try:
        lab.gpu.kubectl("rollout", "status", "deployment/hoarder", "--timeout=60s", timeout=70)
        lab.gpu.kubectl("-n", "ml", "delete", "deployment/model-server")
        started = time.monotonic()
        error = plain(run(find("03")).error)
        assert time.monotonic() - started < AT_ONCE
        assert "expected 2 free GPUs for the model server; found 0: default/deployment/hoarder holds 8" in error
        assert lab.free_gpus()["free"].sum() == 0, "somebody else's are not put away"
    finally:
        lab.gpu.kubectl("delete", "deployment", "hoarder", "--ignore-not-found")
        lab.gpu.apply("clusters/manifests/model-server")
        lab.gpu.kubectl("-n", "ml", "rollout", "status", "deployment/model-server", "--timeout=120s", timeout=130)


def test_a_notebook_says_what_it_builds_on(lab: NotebookLab) -> None:
    lab.app.kubectl("-n", "shop", "delete", "deployment", "chat")
    try:
        error = plain(run(find("07")).error)
        assert "notebook 07 needs something that is missing: deployment shop/chat in cluster app (notebook 05)" in error
        assert "lab goto 07" in error
    finally:
        lab.app.apply("clusters/manifests/chat")
        lab.app.kubectl("-n", "shop", "rollout", "status", "deployment/chat", "--timeout=120s", timeout=130)
