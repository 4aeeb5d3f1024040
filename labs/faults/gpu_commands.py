"""``lab gpu list|show|fault``: the simulated cards themselves, below the catalogue of failures that ``lab fault`` has."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from labs.clusters import backends
from labs.faults.simulators import Simulators

node_option = click.option("--node", help="The node; may be left out where only one has GPUs.")
gpu_option = click.option("--gpu", type=int, help="The card's index on its node.")


def simulators(node: str | None = None) -> Simulators:
    return Simulators.of(backends.current().clusters()["gpu"]).on(node)


def _one(node: str | None) -> tuple[Simulators, str]:
    """The simulator of ``node``, or the only one."""
    found = simulators(node)
    if len(found.pods) != 1:
        raise click.UsageError(f"several nodes have GPUs: say which with --node ({', '.join(found.pods)})")
    return found, next(iter(found.pods))


@click.group()
def gpu() -> None:
    """Simulated GPUs: look at them, break and mend them."""


@gpu.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """All cards of the gpu cluster."""
    cards = simulators().cards()
    if as_json:
        print(json.dumps([{"node": node, **card} for node, card in cards]))
        return
    table = Table("node", "gpu", "state", "util", "memory", "power", "temp", "clock", "faults", "pods", box=None)
    for node, card in cards:
        memory = f"{card['memory_used_bytes'] / 2**30:.1f}GiB"
        table.add_row(
            node, str(card["index"]), card["state"], f"{card['utilization_percent']}%", memory, f"{card['power_w']:.0f}W",
            f"{card['temperature_c']:.0f}C", f"{card['sm_clock_mhz']}MHz", " ".join(card["faults"]) or "-",
            " ".join(card["pods"]) or "-",
        )  # fmt: skip
    Console().print(table)


@gpu.command()
@node_option
@click.option("--gpu", type=int, required=True, help="The card's index on its node.")
def show(node: str | None, gpu: int) -> None:
    """Everything one card says, as JSON."""
    found, name = _one(node)
    click.echo(found.ctl(name, "show", "--gpu", str(gpu)))


@gpu.group()
def fault() -> None:
    """Faults of the cards."""


@fault.command("list")
@node_option
def fault_list(node: str | None) -> None:
    """The faults a card can have, and which are in force."""
    found = simulators(node)
    told = {name: json.loads(found.ctl(name, "fault", "list")) for name in found.pods}
    table = Table("fault", "xid", "what", "in force", box=None)
    for name, known in next(iter(told.values()))["known"].items():
        here = [f"{node}/{card['gpu']}" for node, said in told.items() for card in said["gpus"] if name in card["faults"]]
        table.add_row(name, str(known["xid"] or "-"), known["summary"], " ".join(here) or "-")
    Console().print(table)


def _change(action: str, name: str, node: str | None, gpu: int | None) -> None:
    found, where = _one(node)
    card = () if gpu is None else ("--gpu", str(gpu))
    click.echo(found.ctl(where, "fault", action, *card, "--fault", name))


@fault.command()
@click.argument("name")
@node_option
@gpu_option
def inject(name: str, node: str | None, gpu: int | None) -> None:
    """Break a card. For instance: lab gpu fault inject xid79 --node gpu-worker --gpu 0"""
    _change("inject", name, node, gpu)


@fault.command()
@click.argument("name")
@node_option
@gpu_option
def heal(name: str, node: str | None, gpu: int | None) -> None:
    """Mend it again."""
    _change("heal", name, node, gpu)
