"""The ``lab`` command: arguments only. Verbs are imported when they are used, so that ``lab --help`` is quick."""

from __future__ import annotations

import importlib
import sys

import click

from labs import errors

VERBS = {
    "doctor": ("labs.setup.commands", "Look whether this machine is ready; nothing is changed."),
    "image": ("labs.setup.commands", "Build the image of the lab's programs, for this machine or a registry."),
    "tools": ("labs.setup.commands", "Fetch the pinned command-line programs into .lab/bin."),
    "start": ("labs.course.commands", "Open JupyterLab on the notebooks (loopback only, token kept)."),
    "run": ("labs.course.commands", "Run the whole workshop headless and write report/index.html."),
    "goto": ("labs.course.commands", "Catch up: run the steps of every notebook before NN."),
    "check": ("labs.course.commands", "Look whether a notebook's steps were really done."),
    "up": ("labs.clusters.commands", "Bring both clusters up."),
    "stop": ("labs.clusters.commands", "Stop the clusters; 'lab up' continues where they were."),
    "down": ("labs.clusters.commands", "Remove the lab; the cache and the notebooks stay."),
    "status": ("labs.clusters.commands", "What runs, and how it fares."),
    "logs": ("labs.clusters.commands", "Show the log of one of the lab's processes."),
    "url": ("labs.clusters.commands", "A URL this machine can open for a Service."),
    "gpu": ("labs.faults.gpu_commands", "The simulated GPUs: list, show, and faults of a card."),
    "fault": ("labs.faults.commands", "Failures on demand: list, show, inject, heal."),
    "reset": ("labs.clusters.commands", "Begin afresh: remove the lab and bring it up again."),
    "parity": ("labs.parity.commands", "Ask this lab what a real Linkerd and a real kubelet were asked, and compare."),
    "bench": ("labs.course.bench", "Measure a fresh lab: time up, idle cost, the way of a question, time down."),
    "preload": ("labs.setup.preload.commands", "Everything a lab would fetch, in one file: for rooms without a network."),
    "build": ("labs.clusters.commands", "Get the embedded backend's programs (downloaded or compiled) into the cache."),
}
"""Verb → module that has a click command of that name, and its one line of help."""

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""


class Verbs(click.Group):
    """A group whose commands live in the modules of ``VERBS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return getattr(importlib.import_module(VERBS[name][0]), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A workshop lab for AI/ML on Kubernetes: two clusters, simulated GPUs, a mesh, failures on demand."""


def main() -> None:
    """Run the command; exit code 0 done, 1 failed (the message says what to type next), 2 wrong usage, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run ``lab ARGUMENTS`` and return its exit code; errors go to stderr."""
    try:
        return cli.main(arguments, prog_name="lab", standalone_mode=False) or 0
    except errors.LabError as error:
        click.echo(f"lab: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("lab: interrupted", err=True)
        return INTERRUPTED


if __name__ == "__main__":
    main()
