"""The user's own kubeconfig: which contexts it has, and what it says of the chosen ones."""

from __future__ import annotations

import os
from collections.abc import Mapping

from labs import errors, kubectl, shell
from labs.paths import Paths


def contexts() -> list[str]:
    """The contexts of the user's kubeconfig ($KUBECONFIG, else the default file)."""
    return _kubectl("config", "get-contexts", "--output=name").split()


def require(chosen: Mapping[str, str]) -> None:
    """Raise NotFound for the first of the chosen contexts that the user's kubeconfig does not have."""
    known = contexts()
    for context in chosen.values():
        if context not in known:
            raise errors.NotFound("kubeconfig context", context, known, fix="kubectl config get-contexts")


def kubeconfigs(chosen: Mapping[str, str]) -> dict[str, str]:
    """A kubeconfig for each of the chosen contexts (lab's name → user's context), files in line: lab's name → its text."""
    view = ["config", "view", "--raw", "--flatten", "--minify"]
    return {name: _kubectl(*view, f"--context={context}") for name, context in chosen.items()}


def _kubectl(*args: str) -> str:
    # Inside a notebook KUBECONFIG names the lab's own file.
    mine = os.environ.get("KUBECONFIG") == str(Paths.current().kubeconfig)
    return shell.run([kubectl.program(), *args], env={"KUBECONFIG": ""} if mine else {})
