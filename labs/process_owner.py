"""Whose something is: a process, told from a later one that got its number."""

from __future__ import annotations

import os

import psutil

Owner = tuple[int, float]
"""A process's number and its start time (Unix time in seconds)."""


def this_process() -> Owner:
    return os.getpid(), psutil.Process().create_time()


def is_gone(owner: Owner) -> bool:
    """Whether that process has ended: a kernel that was restarted."""
    try:
        return psutil.Process(owner[0]).create_time() != owner[1]
    except psutil.NoSuchProcess:
        return True
