"""Execute a notebook headless, as a user would: every cell in order, stopping at the first error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from labs import config
from labs.course.mime import CHECK_MIME, WIDGET_MIME
from labs.course.notebooks import Notebook, without_outputs
from labs.paths import Paths
from labs.wire import isolated, no_proxy

CELL_TIMEOUT = 900
"""Seconds one cell may take: more than any wait inside a cell; the longest (600 s) are for images from a poor network."""
QUIET = ["--IPKernelApp.log_level=ERROR"]
"""The kernel warns that its connection is not encrypted; it is signed, and stays on the loopback."""


@dataclass
class Outcome:
    """What running one notebook gave: the executed content, seconds, and the error that stopped it, if any."""

    notebook: Notebook
    content: nbformat.NotebookNode
    seconds: float = 0.0
    error: str = ""
    cell_seconds: list[float] = field(default_factory=list)

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Each check the notebook ran: its id, title, whether it passed, what was expected and found."""
        return [
            row
            for cell in self.content.cells
            for output in cell.get("outputs", [])
            for row in output.get("data", {}).get(CHECK_MIME, [])
        ]


OnCell = Callable[[int, int], None]


def kernel_environment() -> dict[str, str]:
    """The environment of JupyterLab and of a notebook's kernel: the lab's tools first on PATH, the lab's kubeconfig.

    Nothing of the user's own Python applies, nor a kernel named ``python3`` that another environment has put on JUPYTER_PATH.
    """
    clean = isolated.environment(os.environ)
    clean.pop(isolated.STREAM_ENCODING, None)
    no_proxy.exempt_environment(clean)
    path = [str(Paths.current().bin), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    jupyter = [str(Path(sys.prefix) / "share" / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    return clean | {
        "PATH": os.pathsep.join(path),
        "KUBECONFIG": str(Paths.current().kubeconfig),
        "JUPYTER_PATH": os.pathsep.join(jupyter),
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def execute(
    notebook: Notebook,
    on_cell: OnCell = lambda _index, _count: None,
    *,
    cells: Sequence[nbformat.NotebookNode] | None = None,
) -> Outcome:
    """Run ``notebook`` in a fresh kernel; ``on_cell(index, count)`` is called before each code cell.

    With ``cells``, only these of its cells. The notebook's file is not changed.
    """
    chosen = nbformat.from_dict({**notebook.content, "cells": notebook.content.cells if cells is None else cells})
    content = without_outputs(chosen)
    total = sum(cell.cell_type == "code" for cell in content.cells)
    outcome = Outcome(notebook, content)
    folder = {"metadata": {"path": str(config.NOTEBOOKS)}}
    client = NotebookClient(
        content,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources=folder,
        coalesce_streams=True,
        store_widget_state=False,
        extra_arguments=QUIET,
    )
    marks: list[float] = []

    async def cell_started(cell: Any, cell_index: int) -> None:
        on_cell(len(marks), total)
        marks.append(time.monotonic())

    async def cell_done(cell: Any, cell_index: int, execute_reply: Any) -> None:
        outcome.cell_seconds.append(time.monotonic() - marks[-1])

    client.on_cell_execute = cell_started
    client.on_cell_executed = cell_done
    started = time.monotonic()
    try:
        client.execute(env=kernel_environment())
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        outcome.error = str(error)
    outcome.seconds = time.monotonic() - started
    _keep_static(content)
    return outcome


def save(outcome: Outcome, path: Path) -> None:
    """Write the executed notebook, without what differs from run to run and teaches nothing (timestamps)."""
    for cell in outcome.content.cells:
        cell.metadata.pop("execution", None)
    outcome.content.metadata.get("language_info", {}).pop("version", None)
    nbformat.write(outcome.content, path)


def _keep_static(content: nbformat.NotebookNode) -> None:
    """Of a widget only its static form stays: it ended with the kernel, and a view without its model is an error on the page."""
    for cell in content.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_MIME, None)
