"""JupyterLab as ``lab start`` runs it: a real server, asked as a browser asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labs import config
from labs.course import jupyterlab, servers
from labs.errors import MachineError
from tests.support.waiting import eventually

PAGE = config.ROOT / "docs" / "glossary.md"


@pytest.fixture
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Servers of other checkouts and runs are not seen."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(tmp_path / "workspaces"))
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "lab"))
    return tmp_path


@pytest.fixture
def process(own_folders: Path) -> Iterator[subprocess.Popen[bytes]]:
    started = jupyterlab.start(0, PAGE)
    yield started
    started.kill()
    started.wait()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def test_it_serves_the_checkout_with_a_token_on_loopback(process: subprocess.Popen[bytes]) -> None:
    server = jupyterlab.wait_until_ready(process)
    url = server["url"]
    assert url.startswith(("http://127.0.0.1:", "http://localhost:")) and len(server["token"]) >= 32
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(f"{url}api/contents")
    listed = json.loads(get(f"{url}api/contents?token={server['token']}"))
    assert {"docs", "clusters", "notebooks"} <= {entry["name"] for entry in listed["content"]}
    # What the browser is sent to from the bare address.
    page = get(f"{url}?token={server['token']}")
    assert "glossary.md" in page
    # And the style of the course with it: what is clicked on is large enough to be hit.
    assert "custom/custom.css" in page and "min-height: 24px" in get(f"{url}custom/custom.css?token={server['token']}")
    assert servers.stop_all() and jupyterlab.stay(process) == 0


def test_it_is_set_up_for_a_stage(own_folders: Path) -> None:
    """Asked of JupyterLab itself, in a process of its own: it reads its paths when it is imported."""
    program = (
        "import json; from jupyterlab_server.config import get_page_config;"
        "from jupyterlab_server.settings_utils import _get_overrides;"
        "print(json.dumps([get_page_config([])['disabledExtensions'], _get_overrides('/nowhere')[0]]))"
    )
    env = jupyterlab.environment()
    said = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True).stdout
    disabled, overrides = json.loads(said)
    assert "@jupyterlab/apputils-extension:announcements" in disabled
    assert overrides["@jupyterlab/notebook-extension:tracker"]["codeCellConfig"]["lineWrap"]
    assert overrides["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]["markdown"] == "Markdown Preview"


def test_one_that_ends_at_once_is_an_error_with_the_end_of_its_log(own_folders: Path) -> None:
    jupyterlab.log().parent.mkdir(parents=True)
    jupyterlab.log().write_text("Traceback\nBad config\n")
    with subprocess.Popen(["false"]) as ended, pytest.raises(MachineError, match="Bad config") as caught:
        jupyterlab.wait_until_ready(ended)
    assert str(jupyterlab.log()) in caught.value.fix


SLEEPS = """
import subprocess, sys
from labs.course import jupyterlab

class Sleeper(subprocess.Popen):
    def wait(self, timeout=None):
        print(self.pid, flush=True)  # from here on Ctrl-C is ours
        return super().wait(timeout)

quiet = subprocess.DEVNULL
sys.exit(jupyterlab.stay(Sleeper(["sleep", "60"], start_new_session=True, stdout=quiet, stderr=quiet)))
"""


def test_one_ctrl_c_is_a_slip_and_two_end_it() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPS], cwd=config.ROOT, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        sleeper = int(waiting.stdout.readline())
        waiting.send_signal(signal.SIGINT)
        assert "Press Ctrl-C again" in waiting.stdout.readline()
        os.kill(sleeper, 0)
        waiting.send_signal(signal.SIGINT)
        assert "JupyterLab ends" in waiting.stdout.readline()
        assert waiting.wait(10) == 0
    eventually(lambda: not Path(f"/proc/{sleeper}").exists(), 10)


def test_two_that_are_far_apart_are_two_slips(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    moments = iter([0.0, jupyterlab.AGAIN_WITHIN + 1])
    monkeypatch.setattr(jupyterlab.time, "monotonic", lambda: next(moments))
    with subprocess.Popen(["sleep", "300"]) as sleeper:
        slip = jupyterlab._Slip(sleeper)
        slip(signal.SIGINT, None)
        slip(signal.SIGINT, None)
        assert sleeper.poll() is None and capsys.readouterr().out.count("Press Ctrl-C again") == 2
        sleeper.kill()
