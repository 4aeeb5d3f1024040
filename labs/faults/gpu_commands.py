"""``lab gpu list|show|fault``: the simulated GPUs themselves, one level below the failures of ``lab fault``."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from labs.faults.simulators import Simulators
from labs.session import Session

node_option = click.option("--node", help="The node; optional if only one has GPUs.")
gpu_option = click.option("--gpu", type=int, help="The GPU's index on its node.")


def simulators(node: str | None = None) -> Simulators:
    return Simulators.of(Session.of_checkout().primary("gpus")).on(node)


def _one(node: str | None) -> tuple[Simulators, str]:
    """The simulator of ``node``, or the only one."""
    found = simulators(node)
    if len(found.pods) != 1:
        raise click.UsageError(f"several nodes have GPUs: choose one with --node ({', '.join(found.pods)})")
    return found, next(iter(found.pods))


@click.group()
def gpu() -> None:
    """Inspect the simulated GPUs, break and heal them."""


@gpu.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List all GPUs."""
    gpus = simulators().gpus()
    if as_json:
        print(json.dumps([{"node": node, **state} for node, state in gpus]))
        return
    table = Table("node", "gpu", "state", "util", "memory", "power", "temp", "clock", "faults", "pods", box=None)
    for node, state in gpus:
        table.add_row(node, *_cells(state))
    Console().print(table)


def _cells(state: dict[str, Any]) -> list[str]:
    return [
        str(state["index"]),
        state["state"],
        f"{state['utilization_percent']}%",
        f"{state['memory_used_bytes'] / 2**30:.1f}GiB",
        f"{state['power_w']:.0f}W",
        f"{state['temperature_c']:.0f}C",
        f"{state['sm_clock_mhz']}MHz",
        " ".join(state["faults"]) or "-",
        " ".join(state["pods"]) or "-",
    ]


@gpu.command()
@node_option
@click.option("--gpu", type=int, required=True, help="The GPU's index on its node.")
def show(node: str | None, gpu: int) -> None:
    """Show everything about one GPU, as JSON."""
    found, name = _one(node)
    click.echo(found.ctl(name, "show", "--gpu", str(gpu)))


@gpu.group()
def fault() -> None:
    """Break GPUs and heal them."""


@fault.command("list")
@node_option
def fault_list(node: str | None) -> None:
    """List the faults a GPU can have, and those that are active."""
    found = simulators(node)
    answers = {name: json.loads(found.ctl(name, "fault", "list")) for name in found.pods}
    table = Table("fault", "xid", "description", "active", box=None)
    for name, known in next(iter(answers.values()))["known"].items():
        here = [f"{node}/{gpu['gpu']}" for node, answer in answers.items() for gpu in answer["gpus"] if name in gpu["faults"]]
        table.add_row(name, str(known["xid"] or "-"), known["summary"], " ".join(here) or "-")
    Console().print(table)


def _change(action: str, name: str, node: str | None, gpu: int | None) -> None:
    found, chosen = _one(node)
    index = () if gpu is None else ("--gpu", str(gpu))
    click.echo(found.ctl(chosen, "fault", action, *index, "--fault", name))


@fault.command()
@click.argument("name")
@node_option
@gpu_option
def inject(name: str, node: str | None, gpu: int | None) -> None:
    """Break a GPU. Example: lab gpu fault inject xid79 --node gpu-worker --gpu 0"""
    _change("inject", name, node, gpu)


@fault.command()
@click.argument("name")
@node_option
@gpu_option
def heal(name: str, node: str | None, gpu: int | None) -> None:
    """Heal a GPU."""
    _change("heal", name, node, gpu)
