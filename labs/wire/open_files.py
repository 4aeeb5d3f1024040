"""How many files a process may have open."""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 65536
"""API servers, etcd and Envoys hold a few hundred each. Not more, because some programs size tables by the limit."""


def raise_limit() -> None:
    """Raise this process's soft limit, which its children inherit: a shell often sets 256 or 1024 but allows far more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
