"""``scripts/bench``: the figures of this machine, beside the most each may be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import click

from labs import errors
from labs.clusters.console import ConsoleProgress
from labs.clusters.embedded import Embedded
from labs.course.catchup import notebooks_before, run_steps
from labs.course.notebooks import Notebook, find
from labs.embedded import control, usage
from labs.paths import Paths
from scripts.benchmarks import fleet, gpus, mesh, programs

if TYPE_CHECKING:
    from labs.lab import Lab

TARGETS = {
    "up_seconds": 20.0,
    "idle_cores": 0.4,
    "idle_pss_gigabytes": 3.0,
    "chat_way_p50_ms": 10.0,
    "down_seconds": 5.0,
    "load_send_error_p99_ms": 5.0,
    "gpu_percent_of_a_core": 2.0,
    "gpu_scrape_8_gpus_ms": 20.0,
    "fleet_scrape_seconds": 2.0,
    "fleet_rss_gigabytes": 1.5,
    "fleet_nodes_scrape_seconds": 2.0,
    "fleet_nodes_gigabytes": 1.5,
    "mesh_meshed_added_p50_ms": 1.0,
    "mesh_proxy_own_mean_mib": 25.0,
    "mesh_policy_change_seconds": 0.3,
    "mesh_new_pod_ready_seconds": 3.0,
    "mesh_linkerd_check_seconds": 5.0,
    "mesh_rollout_failed": 0.0,
}
"""The most each figure may be, on 2 cores. The way of a chat's question: its latency less the model server's own time."""
AT_LEAST = {"model_server_tokens_per_second": 3000.0, "load_achieved_rps": 490.0, "mesh_rollout_requests": 10_000.0}
SETTLE = 20.0
"""Seconds between the last step and the first look at the idle lab: rollouts have ended by then."""


@click.command()
@click.option("--idle", default=30.0, show_default=True, help="Seconds to watch the idle lab.")
@click.argument("part", required=False, type=click.Choice(["programs", "gpus", "fleet", "mesh"]))
def bench(idle: float, part: str | None) -> None:
    """Bring a fresh lab up, take it to the end of notebook 05, watch it idle, ask the chat, remove it; prints JSON.

    \b
    With PART only that is measured:
      programs  the model server and the load generator, as processes without a lab
      gpus      the GPU simulator: one node's GPUs, and 1,000 nodes in one process
      fleet     1,000 GPU nodes as API objects: until Ready, memory, processors, a scrape
      mesh      what the mesh adds to a call, its proxies, changes of policy, a rollout
    """
    if part == "programs":
        figures = programs.measure()
    elif part == "gpus":
        figures = gpus.measure()
    else:
        figures = _of_a_lab(idle, only_fleet=part == "fleet", only_mesh=part == "mesh")
    click.echo(json.dumps(table(figures), indent=2))


def _of_a_lab(idle: float, *, only_fleet: bool, only_mesh: bool) -> dict[str, float]:
    """The figures that need a lab; it is removed afterwards, and kept where something failed, to be looked at."""
    if control.identity() or Paths.current().state.exists():
        raise errors.UsageError("a lab is up already, and the figures are those of a fresh one", fix="lab down")
    backend, progress = Embedded(), ConsoleProgress()
    figures = {"up_seconds": _seconds(lambda: backend.up(progress))}
    if only_fleet:
        figures |= fleet.measure()
        backend.down()
        return figures
    figures["goto_06_seconds"] = _seconds(lambda: _catch_up(notebooks_before("06"), progress))
    if only_mesh:
        _catch_up([find("13")], progress)
        figures |= mesh.measure(_lab())
        backend.down()
        return figures
    progress.note("waiting for the lab to settle")
    time.sleep(SETTLE)
    found = usage.measure(idle)
    figures |= {"idle_cores": found.cores, "idle_pss_gigabytes": found.pss_bytes / 1e9, "idle_processes": found.processes}
    figures["chat_way_p50_ms"] = _chat_way()
    figures |= fleet.measure()
    figures["down_seconds"] = _seconds(backend.down)
    return figures | programs.measure() | gpus.measure()


def table(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Each figure with its target, where it has one."""
    rows = {name: {"found": round(value, 3)} for name, value in figures.items()}
    for limit, targets in (("at_most", TARGETS), ("at_least", AT_LEAST)):
        rows = {name: row | ({limit: targets[name]} if name in targets else {}) for name, row in rows.items()}
    return rows


def _catch_up(notebooks: Iterable[Notebook], progress: ConsoleProgress) -> None:
    for notebook in notebooks:
        progress.begin(notebook.title)
        outcome = run_steps(notebook, lambda index, count: progress.advance(index / count, f"step {index + 1} of {count}"))
        progress.end(outcome.seconds, outcome.error or None)
        if outcome.error:
            raise errors.StepFailed(notebook.title, outcome.error, fix="lab status")


def _lab() -> Lab:
    import labs

    return labs.open()


def _chat_way() -> float:
    """Milliseconds of half of the questions, from the app cluster through mesh, link and back, without the model's time."""
    records = _lab().load("chat", rps=5, seconds=20).records
    return 1000 * float((records["latency"] - records["model_seconds"]).median())


def _seconds(action: Callable[[], None]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
