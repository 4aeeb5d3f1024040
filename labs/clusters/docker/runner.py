"""Running a cluster tool: its command lines, several at a time, and what it says put plainly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from labs import errors, shell
from labs.clusters import images, programs
from labs.clusters.docker.tool import ClusterTool, Words

LEVEL = re.compile(r"^(\x1b\[\d+m)?(INFO|WARN|ERRO|FATA)(\x1b\[0m)?\[\d+\] ")
"""How k3d begins a line."""
COMPLAINT = re.compile(r"(ERROR|error):|(\x1b\[\d+m)?(ERRO|FATA)")
"""How kind, kubeadm and k3d begin a line about what went wrong."""


class ToolRunner:
    """Runs the program of a tool, once it was found new enough."""

    def __init__(self, tool: ClusterTool) -> None:
        self.tool = tool

    @cached_property
    def program(self) -> str:
        """The tool's path.

        Raises:
            NotFound, WrongVersion: this machine does not have it, or only an older one.
        """
        return programs.require(self.tool.name)

    def command(self, words: Words, **values: Any) -> list[str]:
        """The command line of ``words``, which are a field of the tool."""
        return [self.program, *(word.format(**values) for word in words)]

    def run(self, words: Words, *, seconds: float = 60, **values: Any) -> str:
        """Run it within ``seconds`` and return what it printed."""
        return shell.run(self.command(words, **values), timeout=seconds)

    def together(
        self,
        commands: Mapping[str, Sequence[str]],
        seconds: float,
        tell: Callable[[str, str], None] = lambda name, line: None,
    ) -> None:
        """Run command lines side by side, one per cluster, within ``seconds``; ``tell`` gets each line that says something."""

        def on_line(name: str, line: str) -> None:
            if text := readable(line):
                tell(name, text)

        wrapped = {name: ["env", *self._variables(name), *command] for name, command in commands.items()}
        shell.run_together(wrapped, on_line, timeout=seconds)

    def _variables(self, cluster: str) -> list[str]:
        """``NAME=value`` for the tool's process."""
        return [f"{name}={value}" for name, value in {**programs.environment(cluster), **self.tool.environment}.items()]


def readable(line: str) -> str:
    """What a tool says, without bullets, pictures and log levels: `` • Preparing nodes 📦  ...`` → ``Preparing nodes``."""
    text = LEVEL.sub("", line.strip())
    return "".join(letter for letter in text if letter.isascii()).strip(" .")


def complaints(output: str) -> str:
    """The lines in which a tool says what went wrong: kind prints kubeadm's whole log and a stack trace around them."""
    lines = [readable(line) for line in output.splitlines() if COMPLAINT.match(line)]
    return "; ".join(dict.fromkeys(lines))


def explained(error: errors.CommandFailed) -> errors.LabError:
    """Why a tool could not make a cluster or a node."""
    # k3d says more afterwards, of what it takes back.
    reason = next((line for line in error.output.splitlines() if "failed to pull" in line), None)
    if reason is not None:
        return images.image_pull_error(readable(reason))
    said = complaints(error.output) or error.message
    return errors.StepFailed("Clusters", said, fix="lab up --keep, then look: docker logs NODE; lab down when done")
