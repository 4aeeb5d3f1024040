"""The verbs of the clusters: ``lab up``, ``reset``, ``status``, ``logs``, ``url``, ``build``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any, Literal

import click
from click.core import ParameterSource

from labs import errors
from labs.clusters import backends
from labs.clusters.base import Backend
from labs.clusters.console import ConsoleProgress, say, show_status
from labs.paths import Paths


@click.command()
@click.option("--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto", show_default=True)
@click.option("--cluster", "clusters", metavar="NAME", multiple=True, help="Also create this on-demand cluster.")
@click.option("--keep", is_flag=True, help="If a step fails, keep what it created so that you can inspect it.")
@click.option("--timeout", default=120.0, show_default=True, help="Longest time to wait for each step, in seconds.")
@click.pass_context
def up(ctx: click.Context, /, backend: str, clusters: Sequence[str], keep: bool, timeout: float, **options: Any) -> None:
    """Create and start the lab's clusters, or add a cluster to a running lab. Does nothing to clusters that run."""
    given = {name: value for name, value in options.items() if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    chosen, reason = backends.choose(backend, **given)
    say(f"Backend: {chosen.name} ({reason}).")
    _bring_up(chosen, clusters=clusters, keep=keep, timeout=timeout)


for _options in backends.OPTIONS.values():
    up.params.extend(_options)


def _bring_up(chosen: Backend, *, clusters: Sequence[str] = (), keep: bool = False, timeout: float) -> None:
    started = time.monotonic()
    chosen.up(ConsoleProgress(), clusters=clusters, keep=keep, timeout=timeout)
    *most, last = chosen.clusters()
    names = f"{', '.join(most)} and {last}" if most else last
    say(f"Clusters {names} are up after {time.monotonic() - started:.1f} s. Try: lab status")


@click.command()
@click.option("--timeout", default=120.0, show_default=True, help="Longest time to wait for each step, in seconds.")
def reset(timeout: float) -> None:
    """Start over: remove the lab and create it again, as notebook 01 leaves it."""
    backend = backends.to_remove()
    backend.down()
    _bring_up(backend, timeout=timeout)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show what is running and in what state."""
    found = backends.current().status()
    if as_json:
        click.echo(json.dumps(found))
    else:
        show_status(found)


@click.command()
@click.argument("what", required=False)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("--lines", default=50, show_default=True)
def logs(what: str | None, follow: bool, lines: int) -> None:
    """Show the end of a log. Without WHAT, list all logs."""
    known = sorted(path.stem for path in Paths.current().logs.glob("*.log"))
    if what is None:
        click.echo("\n".join(known) or "no logs: no lab is up in this checkout")
        return
    name = what.replace("/", "-")
    if name not in known:
        raise errors.NotFound("log", what, known, fix="lab logs")
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    os.execvp("tail", ["tail", *options, str(Paths.current().logs / f"{name}.log")])


@click.command()
@click.argument("service", metavar="NS/SERVICE[:PORT]")
@click.option("--cluster", required=True, metavar="NAME", help="The cluster that has the Service.")
def url(service: str, cluster: str) -> None:
    """Print a URL for a Service that you can open on this machine."""
    namespace, _, rest = service.partition("/")
    name, _, port = rest.partition(":")
    backend = backends.current()
    if not (namespace and name):
        raise errors.UsageError(f"expected NAMESPACE/SERVICE[:PORT], found {service!r}", fix="lab url shop/chat --cluster app")
    if cluster not in backend.clusters():
        raise errors.NotFound("cluster", cluster, list(backend.clusters()))
    click.echo(backend.service_url(cluster, namespace, name, port or None))


@click.command()
@click.option("--from", "source", type=click.Choice(["auto", "release", "source"]), default="auto", show_default=True)
def build(source: Literal["auto", "release", "source"]) -> None:
    """Compile or download the programs of the embedded backend. Does nothing if the cache has them.

    release: download the binaries that the projects publish. source: compile. auto: download if the sites answer within seconds,
    otherwise compile.
    """
    from labs.clusters.embedded import require_linux
    from labs.embedded import programs

    require_linux()
    programs.ensure_all(ConsoleProgress(), source)
