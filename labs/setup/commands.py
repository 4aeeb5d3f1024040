"""The set-up commands: ``lab doctor``, ``lab tools``, ``lab image``."""

from __future__ import annotations

import json
import sys

import click

from labs.clusters import backends
from labs.setup import findings


@click.command()
@click.option("--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def doctor(backend: str, as_json: bool) -> None:
    """Check whether this machine can run the lab. Changes nothing."""
    from labs.setup import doctor as examination

    found = examination.examine(backend)
    print(json.dumps(findings.as_rows(found)) if as_json else findings.as_lines(found))
    sys.exit(0 if all(finding.ok for finding in found) else 1)


@click.command()
@click.argument("names", nargs=-1, metavar="[kind] [k3d] [linkerd] [kubectl]")
def tools(names: tuple[str, ...]) -> None:
    """Download the pinned command-line tools, verify their checksums and put them into .lab/bin."""
    from labs import errors
    from labs.clusters.console import ConsoleProgress
    from labs.setup import tools as fetching

    unknown = [name for name in names if name not in fetching.TOOLS]
    if unknown:
        raise errors.UsageError(f"no tool named {unknown[0]!r}", fix=f"lab tools {' '.join(fetching.TOOLS)}")
    for path in fetching.install(fetching.wanted(names), ConsoleProgress()):
        click.echo(path)


@click.group()
def image() -> None:
    """Build the container image of the lab's programs."""


@image.command()
@click.option("--base-image", help="Use this base image instead of the Dockerfile's, for example one from your registry.")
@click.option("--push", metavar="REGISTRY", help="Build for amd64 and arm64, and push to REGISTRY/boring-ops-lab/lab.")
@click.option("--load", is_flag=True, help="Also load it into the nodes of the running lab.")
def build(base_image: str | None, push: str | None, load: bool) -> None:
    """Build the image with Docker."""
    from labs.setup import image as building

    print(building.build(base_image, push, load=load))


@image.command()
def lock() -> None:
    """Regenerate clusters/image/requirements.lock after requirements.lock has changed."""
    from labs.setup import image_lock

    image_lock.write()
