"""A container that only keeps its pod alive, as Kubernetes' pause image does: the gateway's work is its proxy's."""

from __future__ import annotations

import signal


def main(_: list[str]) -> int:
    """Sleep until SIGTERM or SIGINT."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    return 0
