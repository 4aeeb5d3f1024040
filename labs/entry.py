"""The environment's command ``lab``: restarts itself, isolated, before anything else is imported."""

from __future__ import annotations

import os
import sys

from labs.wire import isolated


def main() -> None:
    """Become ``lab ARGUMENTS``. A foreign ``PYTHONPATH`` applies to this program, which therefore imports next to nothing."""
    os.execve(sys.executable, isolated.command("labs.cli", *sys.argv[1:]), isolated.environment(os.environ))
