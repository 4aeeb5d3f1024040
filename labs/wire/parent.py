"""Makes a process die with its parent.

``python labs/wire/parent.py PID PROGRAM ARG…`` becomes PROGRAM, which is killed when its parent, process PID, dies. It is for
parents that should not load ``ctypes`` (0.2 MB) themselves.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> Callable[[], None]:
    """A function for a new process to call before exec: the kernel then sends it ``number`` when ``parent`` dies (prctl(2))."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def main(argv: list[str]) -> int:
    """Become the program; returns 127 if it is not on the PATH."""
    die_with_parent(int(argv[0]))()
    try:
        os.execvp(argv[1], argv[1:])
    except FileNotFoundError:
        print(f"expected {argv[1]!r} on the PATH; found none", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
