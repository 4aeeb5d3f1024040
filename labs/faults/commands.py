"""``lab fault list|show|inject|heal``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from labs.clusters import backends
from labs.errors import NotFound, UsageError
from labs.faults import session
from labs.faults.catalogue import catalogue, find
from labs.faults.injectors import injector
from labs.faults.injectors.base import Scene
from labs.faults.journal import Injection, Journal


@click.group()
def fault() -> None:
    """Failures on demand."""


@fault.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """The failures the lab knows, and which are in force."""
    active, lab = Journal().active(), scene()
    if as_json:
        rows = [
            {"name": f.name, "title": f.title, "plane": f.plane, "where": f.where, "refused": injector(f).refusal(lab)}
            for f in catalogue().values()
        ]
        print(json.dumps({"faults": rows, "active": [_told(injection) for injection in active]}))
        return
    table = Table("name", "plane", "what", "words", "in force", box=None)
    for known in catalogue().values():
        here = [injection.place or "yes" for injection in active if injection.name == known.name and not injection.hidden]
        refusal = injector(known).refusal(lab)
        state = f"not on this backend: {refusal}" if refusal else "; ".join(here) or "-"
        table.add_row(known.name, known.plane, known.title, " ".join(f"{word}=" for word in known.where), state)
    Console().print(table)
    hidden = sum(injection.hidden for injection in active)
    if hidden:
        click.echo(f"in force and secret: {hidden}")


def scene() -> Scene:
    """The lab of this checkout."""
    backend = backends.current()
    return Scene(backend, backend.clusters())


def _told(injection: Injection) -> dict[str, object]:
    """What may be told of an injection: not what its heal must know, which may be a key."""
    if injection.hidden:
        return {"id": injection.id, "name": injection.label, "where": {}, "start": injection.start}
    return {key: value for key, value in asdict(injection).items() if key not in ("memory", "secret")}


@fault.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(name: str, as_json: bool) -> None:
    """What a failure is in production, where it shows, where to look, how to repair it."""
    known = find(name)
    if as_json:
        print(json.dumps(asdict(known)))
        return
    lines = [
        f"{known.name}: {known.title}",
        "",
        known.production,
        f"({known.source})",
        "",
        f"Hits: {known.blast_radius}",
        "",
        "Shows on",
    ]
    lines += [f"  {plane:11} {seen}" for plane, seen in known.shows.items()]
    lines += ["", "Look at", *(f"  {number}. {place}" for number, place in enumerate(known.look, 1))]
    lines += ["", f"Repair:  {known.repair}", f"Prevent: {known.prevent}"]
    lines += ["", f"On the embedded backend: {known.embedded}"] if known.embedded else []
    click.echo("\n".join(lines))


@fault.command()
@click.argument("name")
@click.argument("where", nargs=-1, metavar="[WORD=VALUE]...")
def inject(name: str, where: tuple[str, ...]) -> None:
    """Break it, until 'lab fault heal'. For instance: lab fault inject gpu-overheat gpu=0 node=gpu-worker"""
    here, journal = scene(), Journal()
    known, place = session.prepare(here, journal, name, words(where))
    injection = session.inject(here, journal, known, place)
    click.echo(f"in force: {injection.title}; heal it with: lab fault heal {name}")


@fault.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Whatever is in force.")
def heal(name: str | None, everything: bool) -> None:
    """Undo what is in force: of one name, or all."""
    if (name is None) != everything:
        raise UsageError("expected the name of a fault, or --all", fix="lab fault list")
    if name is not None:
        find(name)
    journal = Journal()
    healed = session.heal_all(scene(), journal, name)
    if name is not None and not healed:
        raise NotFound("fault in force", name, [injection.label for injection in journal.active()])
    _tell(healed)


def _tell(healed: list[Injection]) -> None:
    for injection in healed:
        click.echo(f"healed: {injection.title}")
    if not healed:
        click.echo("nothing was in force", file=sys.stderr)


def words(where: tuple[str, ...]) -> dict[str, str]:
    """``("gpu=0", "node=gpu-worker")`` as a mapping.

    Raises:
        UsageError: one is not of the form WORD=VALUE.
    """
    pairs = [word.partition("=") for word in where]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise UsageError(f"expected WORD=VALUE; found {name + sign + value!r}", fix="lab fault inject gpu-overheat gpu=0")
    return {name: value for name, _, value in pairs}
