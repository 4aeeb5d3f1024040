"""The mesh's figures: the arithmetic between what was changed and what a caller saw."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from labs import config
from labs.errors import LabError
from labs.telemetry.mesh_cost import PROXIES, WAYS
from scripts.benchmarks import commands, mesh

CHANGED = [(10.0, "403"), (12.0, "200"), (14.0, "403")]


def seen(*rows: tuple[float, str], connections: int = 1) -> list[dict[str, Any]]:
    return [*({"time": time, "status": status} for time, status in rows), {"requests": 99, "connections": connections}]


def test_a_change_is_as_late_as_its_status_and_never_early() -> None:
    found = mesh.delays(CHANGED, seen((1.0, "200"), (10.25, "403"), (11.99, "200"), (14.5, "403")))
    assert found == [0.25, 0.0, 0.5]


@pytest.mark.parametrize(
    ("rows", "connections", "words"),
    [
        ([(1.0, "200"), (10.2, "403"), (12.1, "200")], 1, "expected the statuses"),
        ([(1.0, "200"), (10.2, "403"), (10.9, "none"), (12.1, "200"), (14.1, "403")], 1, "none"),
        ([(1.0, "200"), (10.2, "403"), (12.1, "200"), (14.1, "403")], 2, "expected one connection"),
    ],
)
def test_a_change_that_did_not_show_or_cost_the_connection_is_no_figure(
    rows: list[tuple[float, str]], connections: int, words: str
) -> None:
    with pytest.raises(LabError, match=words):
        mesh.delays(CHANGED, seen(*rows, connections=connections))


def test_names_of_figures_are_words() -> None:
    names = [mesh._word(name) for name in (*WAYS, *PROXIES)]
    assert names == ["direct", "meshed", "gateway", "flat", "caller", "server", "server_other_cluster", "gateway"]


def test_a_proxys_memory_is_what_it_and_its_child_hold_alone() -> None:
    child = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", child, "mesh-standin", "proxy"]) as launcher:
        try:
            families = [family for family in mesh._proxies() if family[0].pid == launcher.pid]
            assert len(families) == 1
            figures = mesh._memory()
            assert figures["mesh_proxies"] >= 1 and figures["mesh_proxy_own_max_mib"] >= figures["mesh_proxy_own_mean_mib"] > 1
        finally:
            for process in (*families[0][1:], families[0][0]):
                process.kill()


def test_every_figure_of_the_issue_has_a_target() -> None:
    for name in ("mesh_policy_change_seconds", "mesh_new_pod_ready_seconds", "mesh_linkerd_check_seconds", "mesh_rollout_failed"):
        assert commands.table({name: 0.0})[name] == {"found": 0.0, "at_most": commands.TARGETS[name]}


@pytest.mark.parametrize("words", [["mesh", "--help"], ["--help"]])
def test_the_script_takes_a_part_as_a_word(words: list[str]) -> None:
    done = subprocess.run([config.ROOT / "scripts" / "bench", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "mesh  " in done.stdout
