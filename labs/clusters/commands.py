"""The verbs of the clusters: ``lab up``, ``stop``, ``down``, ``status``, ``logs``, ``url``, ``build``."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from functools import partial
from typing import Literal

import click

from labs import config, errors
from labs.clusters import backends
from labs.clusters.base import Backend
from labs.clusters.console import ConsoleProgress, show_status
from labs.clusters.contexts import Contexts
from labs.clusters.contexts.plan import Options


@click.command()
@click.option("--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto", show_default=True)
@click.option("--keep", is_flag=True, help="Keep what a failed step made, to look at it.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds each wait may take.")
@click.option("--app", metavar="CONTEXT", help="contexts: your kubeconfig context for the app cluster.")
@click.option("--gpu", metavar="CONTEXT", help="contexts: the one for the gpu cluster.")
@click.option("--image", default=config.LAB_IMAGE, show_default=True, help="contexts: where nodes pull the lab's image.")
@click.option("--model-server-url", metavar="URL", help="contexts: an OpenAI API (vLLM) that the chat asks instead of the lab's.")
@click.option("--model-name", metavar="NAME", help="contexts: the model that the chat asks it for.")
@click.option("--yes", is_flag=True, help="contexts: do not ask before installing.")
def up(backend: str, keep: bool, timeout: float, yes: bool, **options: str) -> None:
    """Bring both clusters up; harmless when they are."""
    chosen, reason = backends.choose(backend)
    click.echo(f"Backend: {chosen.name} ({reason}).", err=True)
    if isinstance(chosen, Contexts):
        chosen = Contexts(contexts_options(**options), partial(agree, yes))
    elif options["app"] or options["gpu"]:
        raise errors.UsageError(
            "--app and --gpu name clusters that exist already", fix="lab up --backend contexts --app … --gpu …"
        )
    _bring_up(chosen, keep=keep, timeout=timeout)


def _bring_up(chosen: Backend, *, keep: bool, timeout: float) -> None:
    started = time.monotonic()
    backends.remember(chosen)
    try:
        chosen.up(ConsoleProgress(), keep=keep, timeout=timeout)
    except BaseException:
        if not (keep or config.KUBECONFIG.exists()):
            backends.forget()
        raise
    names = " and ".join(chosen.clusters())
    click.echo(f"Clusters {names} are up after {time.monotonic() - started:.1f} s. Try: lab status", err=True)


def contexts_options(
    app: str | None,
    gpu: str | None,
    image: str = config.LAB_IMAGE,
    model_server_url: str | None = None,
    model_name: str | None = None,
) -> Options | None:
    """The options of the backend ``contexts``; None if they name no clusters (the record of ``lab up`` does, then).

    Raises:
        UsageError: one of two contexts is missing, or a URL is none.
    """
    if not app and not gpu:
        return None
    if not (app and gpu):
        raise errors.UsageError("expected both --app and --gpu", fix="kubectl config get-contexts")
    if model_server_url and not re.fullmatch(r"https?://[^/\s]+\S*", model_server_url):
        raise errors.UsageError(
            f"expected --model-server-url http(s)://HOST[:PORT]; found {model_server_url!r}",
            fix="--model-server-url http://vllm.serving.svc.cluster.local:8000",
        )
    return Options({"app": app, "gpu": gpu}, image, model_server_url, model_name)


def agree(yes: bool, text: str) -> bool:
    """Show what would be made and ask, unless the answer was given with --yes."""
    click.echo(text, err=True)
    if not yes and not sys.stdin.isatty():
        raise errors.UsageError("expected an answer, but this is no terminal", fix="the same command with --yes")
    return yes or click.confirm("Go on?", err=True)


@click.command()
def stop() -> None:
    """Stop the clusters; 'lab up' continues where they were."""
    backends.current().stop()


@click.command()
def down() -> None:
    """Remove the lab: processes, state, files. The cache and the notebooks stay."""
    backends.current().down()


@click.command()
@click.option("--timeout", default=120.0, show_default=True, help="Seconds each wait may take.")
def reset(timeout: float) -> None:
    """Begin afresh: remove the lab and bring it up again, as it is after notebook 01."""
    backend = backends.current()
    backend.down()
    _bring_up(backend, keep=False, timeout=timeout)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """What runs, and how it fares."""
    found = backends.current().status()
    if as_json:
        click.echo(json.dumps(found))
    else:
        show_status(found)


@click.command()
@click.argument("what", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows (Ctrl-C ends it).")
@click.option("--lines", default=50, show_default=True)
def logs(what: str | None, follow: bool, lines: int) -> None:
    """Show the end of the log of one of the lab's processes; without WHAT, list them."""
    known = sorted(path.stem for path in config.LOGS.glob("*.log"))
    if what is None:
        click.echo("\n".join(known) or "no logs: no lab is up in this checkout")
        return
    name = what.replace("/", "-")
    if name not in known:
        raise errors.NotFound("log", what, known, fix="lab logs")
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    os.execvp("tail", ["tail", *options, str(config.LOGS / f"{name}.log")])


@click.command()
@click.argument("service", metavar="NS/SERVICE[:PORT]")
@click.option("--cluster", required=True, help="app or gpu.")
def url(service: str, cluster: str) -> None:
    """Print a URL this machine can open for a Service."""
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
    """Get the embedded backend's programs into the cache (harmless when they are there).

    release: the binaries that their projects publish; source: compiled here; auto: release where the sites answer within seconds.
    """
    from labs.clusters.embedded import require_linux
    from labs.embedded import programs

    require_linux()
    programs.ensure_all(ConsoleProgress(), source)
