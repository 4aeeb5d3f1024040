"""``lab preload``: save, load, verify, serve."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labs import errors
from labs.clusters import backends
from labs.clusters.console import ConsoleProgress

FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
backend_option = click.option("--backend", type=click.Choice(["auto", *backends.BACKENDS]), default="auto", show_default=True)


@click.group()
def preload() -> None:
    """Pack everything a lab would download or compile into one file, for rooms without a network."""


@preload.command()
@click.argument("bundle", type=FILE)
@backend_option
def save(bundle: Path, backend: str) -> None:
    """Write BUNDLE (lab.tar.zst) on a good network: for machines of this platform, with this Python's version."""
    from labs.embedded.manifest import digest
    from labs.setup.preload import contents
    from labs.setup.preload import save as saving

    chosen, reason = backends.choose(backend)
    click.echo(f"Backend: {chosen.name} ({reason}).", err=True)
    made = saving.save(bundle, chosen.name, contents.parts(chosen), ConsoleProgress())
    click.echo(f"{bundle}: {bundle.stat().st_size / 1e6:.0f} MB for {made.backend} on {made.platform}", err=True)
    click.echo(f"{digest(bundle)}  {bundle}")


@preload.command()
@click.argument("source", metavar="BUNDLE|URL")
@click.option("--sha256", default="", help="The checksum on the instructor's screen; needed with a URL.")
def load(source: str, sha256: str) -> None:
    """Put a bundle's contents into this machine's cache; refuses a damaged or foreign bundle before it changes anything."""
    from labs.setup.preload import contents
    from labs.setup.preload import load as loading

    progress = ConsoleProgress()
    bundle = _fetched(source, sha256, progress) if "://" in source else Path(source)
    if not bundle.is_file():
        raise errors.NotFound("file", str(bundle), fix="ls *.tar.zst")
    backend = backends.choose(loading.read_manifest(bundle).backend)[0]
    progress.begin(f"Loading {bundle.name}")
    found = loading.load(bundle, contents.parts(backend), progress)
    click.echo(f"Loaded for {found.backend}. Nothing is left to download; try: lab up --backend {found.backend}", err=True)


def _fetched(url: str, sha256: str, progress: ConsoleProgress) -> Path:
    from labs.setup.preload import serve as serving

    if len(sha256) != 64:
        fix = f"lab preload load {url} --sha256 …"
        raise errors.UsageError("expected --sha256 for a bundle that comes over the network", fix=fix)
    progress.begin("Downloading")
    return serving.fetch(url, sha256, lambda done, total: progress.advance(done / (total or done or 1), f"{done / 1e6:.0f} MB"))


@preload.command()
@click.argument("bundle", type=EXISTING, required=False)
@backend_option
def verify(bundle: Path | None, backend: str) -> None:
    """Verify every checksum in BUNDLE; without BUNDLE, say what this machine would still have to download."""
    from labs.setup.preload import contents, front, parts
    from labs.setup.preload import load as loading

    if bundle:
        progress = ConsoleProgress()
        progress.begin(f"Reading {bundle.name}")
        found = loading.check(bundle, progress)
        click.echo(
            f"{bundle} is complete: {len(found.members)} files for {found.backend} on {found.platform}, lab {found.version}"
        )
        found.refuse_foreign()
        return
    chosen = backends.choose(backend)[0]
    lacking = parts.missing(contents.parts(chosen))
    if not front.wheel_folder().exists():
        lacking.append(f"Python packages: {front.wheel_folder()} is missing (only a new .venv needs it)")
    click.echo("\n".join(lacking) or f"nothing is missing for {chosen.name}")
    sys.exit(1 if lacking else 0)


@preload.command()
@click.argument("bundle", type=EXISTING)
@click.option(
    "--bind",
    default="127.0.0.1",
    show_default=True,
    help="This machine's address in the classroom network.",
)
@click.option("--port", default=8737, show_default=True)
def serve(bundle: Path, bind: str, port: int) -> None:
    """Let others download BUNDLE over HTTP until Ctrl-C; shows its checksum and the command to type."""
    from labs.setup.preload import load as loading
    from labs.setup.preload import serve as serving

    loading.read_manifest(bundle)
    try:
        serving.serve(bundle, bind, port, click.echo)
    except OSError as error:
        fix = "another --port, or --bind with an address of this machine"
        raise errors.AddressTaken(f"cannot listen on {bind}:{port}: {error}", fix=fix) from error
