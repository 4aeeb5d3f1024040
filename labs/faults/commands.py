"""``lab fault list|show|inject|heal``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from labs.errors import NotFound, UsageError
from labs.faults import lifecycle
from labs.faults.catalogue import Fault, catalogue, find
from labs.faults.injectors import injector
from labs.journal import Injection
from labs.session import Session


@click.group()
def fault() -> None:
    """Inject failures and heal them."""


@fault.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the failures the lab knows, and those that are active."""
    lab = Session.of_checkout()
    active = lab.journal.active()
    if as_json:
        rows = [_row(known, lab) for known in catalogue().values()]
        print(json.dumps({"faults": rows, "active": [_public(injection) for injection in active]}))
        return
    table = Table("name", "layer", "failure", "parameters", "active", box=None)
    for known in catalogue().values():
        parameters = " ".join(f"{name}=" for name in known.parameters)
        table.add_row(known.name, known.layer, known.title, parameters, _state(known, lab, active))
    Console().print(table)
    hidden = sum(injection.hidden for injection in active)
    if hidden:
        click.echo(f"active and secret: {hidden}")


def _row(known: Fault, lab: Session) -> dict[str, object]:
    return {
        "name": known.name,
        "title": known.title,
        "layer": known.layer,
        "parameters": known.parameters,
        "unsupported_reason": injector(known).unsupported_reason(lab),
    }


def _state(known: Fault, lab: Session, active: Iterable[Injection]) -> str:
    """What the table says under ``active``."""
    if reason := injector(known).unsupported_reason(lab):
        return f"unsupported: {reason}"
    here = [injection.details or "yes" for injection in active if injection.name == known.name and not injection.hidden]
    return "; ".join(here) or "-"


def _public(injection: Injection) -> dict[str, object]:
    """An injection without its saved state, which may contain a key."""
    if injection.hidden:
        return {"id": injection.id, "name": injection.label, "parameters": {}, "start": injection.start}
    return {key: value for key, value in asdict(injection).items() if key not in ("saved_state", "secret")}


@fault.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Explain a failure: what causes it, where it shows, where to look, how to repair it."""
    known = find(name)
    click.echo(json.dumps(asdict(known)) if as_json else _page(known))


def _page(known: Fault) -> str:
    lines = [f"{known.name}: {known.title}", "", known.production, f"({known.source})", ""]
    lines += [f"Blast radius: {known.blast_radius}", "", "Shows on"]
    lines += [f"  {layer:11} {seen}" for layer, seen in known.shows.items()]
    lines += ["", "Look at", *(f"  {number}. {place}" for number, place in enumerate(known.look, 1))]
    lines += ["", f"Repair:  {known.repair}", f"Prevent: {known.prevent}"]
    lines += ["", f"In the lab: {known.how}"] if known.how else []
    return "\n".join(lines)


@fault.command()
@click.argument("name")
@click.argument("parameters", nargs=-1, metavar="[PARAMETER=VALUE]...")
def inject(name: str, parameters: tuple[str, ...]) -> None:
    """Inject a failure until 'lab fault heal'. Example: lab fault inject gpu-overheat gpu=0 node=gpu-worker"""
    session = Session.of_checkout()
    known, complete = lifecycle.prepare(session, name, parse_parameters(parameters))
    injection = lifecycle.inject(session, known, complete)
    click.echo(f"injected: {injection.title}; heal it with: lab fault heal {name}")


@fault.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Heal everything that is active.")
def heal(name: str | None, everything: bool) -> None:
    """Heal one failure, or all."""
    if (name is None) != everything:
        raise UsageError("expected the name of a fault, or --all", fix="lab fault list")
    if name is not None:
        find(name)
    session = Session.of_checkout()
    healed = lifecycle.heal_all(session, name)
    if name is not None and not healed:
        raise NotFound("active fault", name, [injection.label for injection in session.journal.active()])
    for injection in healed:
        click.echo(f"healed: {injection.title}")
    if not healed:
        click.echo("no fault is active", file=sys.stderr)


def parse_parameters(arguments: Iterable[str]) -> dict[str, str]:
    """``("gpu=0", "node=gpu-worker")`` as a mapping.

    Raises:
        UsageError: an argument is not PARAMETER=VALUE.
    """
    pairs = [argument.partition("=") for argument in arguments]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise UsageError(
                f"expected PARAMETER=VALUE; found {name + equals + value!r}", fix="lab fault inject gpu-overheat gpu=0"
            )
    return {name: value for name, _, value in pairs}
