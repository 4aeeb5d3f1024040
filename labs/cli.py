"""The ``lab`` command: arguments only. Verbs are imported when they are used, so that ``lab --help`` is quick."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path

import click

from labs import config, errors
from labs.wire import no_proxy, open_files

VERBS = {
    "doctor": ("labs.setup.commands", "Check whether this machine can run the lab. Changes nothing."),
    "image": ("labs.setup.commands", "Build the container image of the lab's programs."),
    "tools": ("labs.setup.commands", "Download the pinned command-line tools into .lab/bin."),
    "start": ("labs.course.commands", "Open JupyterLab on the notebooks, and resume clusters that were stopped."),
    "stop": ("labs.course.commands", "Stop JupyterLab and the clusters; 'lab start' resumes them."),
    "update": ("labs.course.commands", "Bring the latest notebooks into work/; what you have changed is kept."),
    "run": ("labs.course.commands", "Run all notebooks without a browser and write report/index.html."),
    "rehearse": ("labs.course.commands", "Execute a way through the notebooks before you teach it, and report its times."),
    "goto": ("labs.course.commands", "Catch up: run the steps of all notebooks before NN."),
    "check": ("labs.course.commands", "Check that the steps of a notebook took effect."),
    "up": ("labs.clusters.commands", "Create and start the clusters, or add one to a running lab."),
    "down": ("labs.faults.removal_commands", "Remove the lab. The cache and your notebooks stay."),
    "status": ("labs.clusters.commands", "Show what is running and in what state."),
    "node": ("labs.faults.removal_commands", "List, add and remove nodes of the clusters."),
    "logs": ("labs.clusters.commands", "Show the log of one of the lab's processes."),
    "url": ("labs.clusters.commands", "Print a URL for a Service that you can open on this machine."),
    "gpu": ("labs.faults.gpu_commands", "List the simulated GPUs; break and repair them."),
    "fault": ("labs.faults.commands", "List, show, inject and heal failures."),
    "reset": ("labs.clusters.commands", "Start over: remove the lab and create it again."),
    "preload": ("labs.setup.preload.commands", "Pack everything the lab downloads into one file, for a room without a network."),
    "build": ("labs.clusters.commands", "Compile or download the programs of the embedded backend."),
}
"""Verb → module that has a click command of that name, and its one line of help."""

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""
NOT_READ = 141
"""What a shell reports for a program whose reader went away (``lab fault list | head -1``)."""


class Verbs(click.Group):
    """A group whose commands live in the modules of ``VERBS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        require_checkout()
        command: click.Command = getattr(importlib.import_module(VERBS[name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


def require_checkout() -> None:
    """Refuse to work without what no package brings: manifests, notebooks, and a place for ``.lab``.

    Raises:
        MachineError: ``labs`` was installed by itself (``pip install .``).
    """
    if not config.CLUSTERS.is_dir():
        message = f"expected the folder clusters/ of a checkout beside {Path(config.__file__).parent}; found only the package"
        raise errors.MachineError(
            message, fix="clone the repository and run ./scripts/lab there, or: pip install --editable CHECKOUT"
        )


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A workshop lab for AI/ML on Kubernetes: two clusters, simulated GPUs, a mesh, failures on demand."""


def main() -> None:
    """Run the command; exit code 0 done, 1 failed (the message says what to type next), 2 wrong usage, 130 interrupted."""
    no_proxy.exempt_environment()
    open_files.raise_limit()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], command: click.Command = cli, name: str = "lab") -> int:
    """Run ``NAME ARGUMENTS`` and return its exit code; errors go to stderr. The project's other tools end as ``lab`` does."""
    try:
        try:
            return command.main(arguments, prog_name=name, standalone_mode=False) or 0
        finally:
            _flush()
    except errors.LabError as error:
        click.echo(f"{name}: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        return NOT_READ
    except OSError as error:
        if (known := errors.of_this_machine(error)) is None:
            raise
        _drop_output()
        click.echo(f"{name}: {known}", err=True)
        return known.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{name}: interrupted", err=True)
        return INTERRUPTED


def _flush() -> None:
    """Write what is still buffered, while an error can be reported."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        raise


def _drop_output() -> None:
    """What could not be written is not tried again when the program ends."""
    with contextlib.suppress(OSError, ValueError):  # a test's output has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
