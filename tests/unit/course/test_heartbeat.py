"""No cell is silent for long: what a learner sees in JupyterLab, asked of a real kernel."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from labs import config
from labs.course import heartbeat

SHORT = "from labs.course import heartbeat; heartbeat.SILENT = 0.3; heartbeat.EVERY = 0.2; heartbeat.register()"
SESSION = {"JPY_SESSION_NAME": "work/05.ipynb"}


def outputs(cells: list[str], env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """For each cell every text that is shown, in order; the last one of a notice is what stays."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(config.ROOT), extra_arguments=["--IPKernelApp.log_level=ERROR"])
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        return [shown(client, cell) for cell in cells]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def shown(client: Any, cell: str) -> list[str]:
    texts: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        if message["msg_type"] in ("display_data", "update_display_data"):
            texts.append(message["content"]["data"]["text/plain"])

    reply = client.execute_interactive(cell, timeout=60, output_hook=hook)
    assert reply["content"]["status"] == "ok", reply["content"]
    # What a thread of the last cell still says comes before the answer to this one.
    client.execute_interactive("import time; time.sleep(0.2)", timeout=60, output_hook=hook)
    return texts


def test_a_long_cell_says_what_it_waits_for_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        SHORT,
        "import time\nx = 1\ntime.sleep(1.5)  # the load",
        "%%bash\necho begins\nexec tail -f /dev/null --pid=$(sh -c 'sleep 1.5 >/dev/null & echo $!')",
    ]
    _, python, bash = outputs(cells, SESSION, monkeypatch)
    assert re.fullmatch(r"… \d s: time\.sleep\(1\.5\)  # the load", python[0])
    assert any(re.match(r"… \d s: tail -f /dev/null", text) for text in bash)
    assert python[-1] == bash[-1] == "", "nothing of it stays in the notebook"


def test_a_short_cell_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outputs([SHORT, "1 + 1"], SESSION, monkeypatch)[1] == []


def test_nothing_is_said_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice would be an output more in what ``lab run`` saves and nbval compares."""
    assert outputs([SHORT, "import time; time.sleep(1)"], {}, monkeypatch)[1] == []


def test_the_line_is_the_cells_and_not_the_librarys() -> None:
    cell: dict[str, Any] = {"call": lambda function: function()}
    frames: list[Any] = []

    def library() -> None:
        frames.append(sys._getframe())

    cell["library"] = library
    source = Path(__file__).with_name("cell-of-a-test")
    exec(compile("\n\ncall(library)", str(source), "exec"), cell)
    heartbeat.linecache.cache[str(source)] = (1, None, ["\n", "\n", "call(library)\n"], str(source))
    assert heartbeat.running_line(frames[0], cell) == "call(library)"
    assert heartbeat.running_line(frames[0], {}) == heartbeat.running_line(None, cell) == "this cell"


def test_a_long_command_is_one_line() -> None:
    assert len(heartbeat._short("x" * 500)) == heartbeat.WIDTH
