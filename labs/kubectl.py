"""kubectl as a program: which one, its link in ``.lab/bin``, and running it against one of the lab's clusters."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from labs import errors, shell
from labs.paths import Paths


def program() -> str:
    """The path of this environment's ``kubectl``.

    Raises:
        NotFound: neither the environment nor the PATH has one.
    """
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        raise errors.NotFound("program", "kubectl", fix="./scripts/lab doctor")
    return found


def write_link() -> None:
    """``.lab/bin/kubectl``: the environment's kubectl, for a learner's shell."""
    link = Paths.current().bin / "kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(program())


def run(context: str, *args: str, timeout: float = 30) -> str:
    """Run kubectl against the cluster ``context`` and return what it printed; ``timeout`` in seconds.

    Raises:
        CommandFailed: with kubectl's own words.
    """
    command = [program(), f"--kubeconfig={Paths.current().kubeconfig}", f"--context={context}", *args]
    return shell.run(command, timeout=timeout)
