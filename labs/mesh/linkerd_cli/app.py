"""The command itself: global flags, the tree of sub-commands, and exit codes (as Linkerd's: 0 for success, otherwise 1)."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from labs.errors import LabError
from labs.mesh.linkerd_cli import real_commands
from labs.mesh.linkerd_cli.cluster import Target

COMMANDS = {
    "authz": "authz",
    "check": "check",
    "diagnostics": "diagnostics",
    "identity": "identity",
    "inject": "inject",
    "install": "install",
    "multicluster": "multicluster",
    "uninject": "inject",
    "uninstall": "install",
    "version": "version",
    "viz": "viz",
}
"""Sub-command → its module, imported only when needed, so that the command answers quickly."""
GLOBAL_FLAGS = {"--context": "context", "--kubeconfig": "kubeconfig"}


class StandinGroup(click.Group):
    """A group whose error for an unknown sub-command says whether the real Linkerd has it, and which ones exist here."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            raise LabError(self._unknown(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> str:
        group, here = ctx.command_path.partition(" ")[2], self.list_commands(ctx)
        missing = real_commands.only_real(group, here)
        why = "only a real Linkerd has it" if name in missing else "neither Linkerd nor the stand-in has it"
        lines = [
            f'unknown command "{name}" for "{ctx.command_path}": {why}',
            f"  the stand-in has: {', '.join(here)}",
            f"  only a real one:  {', '.join(missing)}",
        ]
        return "\n".join(lines)


class _Root(StandinGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*COMMANDS, "help"])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = "multicluster" if name == "mc" else name
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"labs.mesh.linkerd_cli.commands.{COMMANDS[name]}"), name)
        return command


@click.command(cls=_Root, name="linkerd", context_settings={"help_option_names": ["-h", "--help"]})
def linkerd() -> None:
    """The lab's stand-in for Linkerd's command: it speaks Linkerd's API to the embedded clusters. Not Linkerd itself.

    Anywhere on the line: --context NAME (kubeconfig context), --kubeconfig FILE.
    """


def split_global_flags(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--context`` and ``--kubeconfig`` out of a command line; Linkerd allows them before and after the sub-command.

    >>> split_global_flags(["check", "--context=app", "--pre"])
    ({'context': 'app'}, ['check', '--pre'])
    """
    found: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in GLOBAL_FLAGS:
            rest.append(word)
            continue
        if not equals and (value := next(words, "")) == "":
            raise LabError(f"flag needs an argument: {flag}")
        found[GLOBAL_FLAGS[flag]] = value
    return found, rest


def main(argv: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        flags, rest = split_global_flags(argv)
        if rest[:1] == ["help"]:
            rest = [*rest[1:], "--help"]
        target = Target(flags.get("context"), flags.get("kubeconfig"))
        result: Any = linkerd.main(rest, prog_name="linkerd", standalone_mode=False, obj=target)
        return result if isinstance(result, int) else 0
    except LabError as error:
        print(f"Error: {error}", file=sys.stderr)
    except click.ClickException as error:
        print(f"Error: {error.format_message()}", file=sys.stderr)
    except click.Abort:
        print("interrupted", file=sys.stderr)
        return 130
    return 1
