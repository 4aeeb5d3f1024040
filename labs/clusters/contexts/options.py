"""What ``lab up`` takes on the backend ``contexts``, and the question it asks before it installs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import click

from labs import config, errors, topology
from labs.clusters.contexts.plan import Options

OPTIONS: Sequence[click.Option] = (
    click.Option(
        ["--context"],
        metavar="CLUSTER=CONTEXT",
        multiple=True,
        help="contexts: the kubeconfig context for one of the lab's clusters (app=…, gpu=…); repeat for each.",
    ),
    click.Option(["--image"], metavar="IMAGE", help="contexts: where nodes pull the lab's image."),
    click.Option(
        ["--model-server-url"], metavar="URL", help="contexts: an OpenAI API (vLLM) that the chat asks instead of the lab's."
    ),
    click.Option(["--model-name"], metavar="NAME", help="contexts: the model that the chat asks for."),
    click.Option(["--yes"], is_flag=True, help="contexts: do not ask before installing."),
)
EXAMPLE = "lab up --backend contexts --context app=CONTEXT --context gpu=CONTEXT"


def parse(
    context: Sequence[str] = (),
    image: str | None = None,
    model_server_url: str | None = None,
    model_name: str | None = None,
) -> Options | None:
    """The options as the backend takes them; None if they name no clusters (the record of ``lab up`` does, then).

    Raises:
        UsageError, NotFound: a context is not of the form, a cluster is missing or unknown, or a URL is none.
    """
    if not context:
        return None
    chosen = dict(_pair(text) for text in context)
    if len(chosen) < len(context):
        raise errors.UsageError(f"expected one context for each cluster; found {' '.join(context)}", fix=EXAMPLE)
    roles = {topology.find(name).role for name in chosen}
    for role in ("users", "gpus"):
        if role not in roles:
            known = [spec.name for spec in topology.declared() if spec.role == role]
            raise errors.UsageError(
                f"expected a context for a cluster with the role {role!r} ({' or '.join(known)})", fix=EXAMPLE
            )
    if model_server_url and not re.fullmatch(r"https?://[^/\s]+\S*", model_server_url):
        raise errors.UsageError(
            f"expected --model-server-url http(s)://HOST[:PORT]; found {model_server_url!r}",
            fix="--model-server-url http://vllm.serving.svc.cluster.local:8000",
        )
    return Options(chosen, image or config.LAB_IMAGE, model_server_url, model_name)


def _pair(text: str) -> tuple[str, str]:
    name, equals, context = text.partition("=")
    if not (name and equals and context):
        raise errors.UsageError(f"expected --context CLUSTER=CONTEXT; found {text!r}", fix=EXAMPLE)
    return name, context


def agree(yes: bool, text: str) -> bool:
    """Show what would be made and ask, unless the answer was given with --yes."""
    click.echo(text, err=True)
    if not yes and not sys.stdin.isatty():
        raise errors.UsageError(
            "cannot ask for confirmation: standard input is not a terminal", fix="the same command with --yes"
        )
    return yes or click.confirm("Continue?", err=True)
