"""``python -m labs.embedded.background_build``: compile Prometheus without getting in the way; a child of the supervisor."""

from __future__ import annotations

import os
import signal
import sys
import time

from labs import errors
from labs.embedded import programs

NICEST = 19
LINE_EVERY = 10.0
"""Seconds between two lines in the log."""


class LogProgress:
    """Progress as lines of a log."""

    def __init__(self) -> None:
        self._said = 0.0

    def begin(self, title: str) -> None:
        print(title, flush=True)

    def note(self, text: str) -> None:
        if time.monotonic() - self._said > LINE_EVERY:
            self._said = time.monotonic()
            print(text, flush=True)

    def advance(self, share: float, text: str) -> None:
        self.note(f"{share:.0%}, {text}")

    def end(self, seconds: float, failure: str | None = None) -> None:
        print(failure or f"done after {seconds:.0f} s", flush=True)


def main() -> int:
    os.nice(NICEST)
    # The supervisor's SIGTERM must end the compiler too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        programs.ensure_prometheus(LogProgress())
    except errors.LabError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
