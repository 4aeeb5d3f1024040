"""Programs inside namespaces, run as a child: a test's own process must not move."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from labs.embedded.namespaces import detect

Inside = Callable[[str], str]
NOT_HERE = detect.unsupported_reason()
needs_namespaces = pytest.mark.skipif(NOT_HERE is not None, reason=str(NOT_HERE))


@pytest.fixture
def python() -> Inside:
    """Run a program in a Python of its own; gives what it printed, fails with its errors."""

    def run(program: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(program)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run
