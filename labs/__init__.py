"""Boring Ops Lab: the boring (yet critical) part of running AI/ML on Kubernetes, hands on.

In a notebook: ``import labs; lab = labs.open()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.lab import Lab

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


def open() -> Lab:
    """Find the running lab of this checkout and return it.

    Sets ``KUBECONFIG`` and puts ``.lab/bin`` first on ``PATH`` for the ``%%bash`` cells that follow.

    Raises:
        labs.errors.NotRunning: no lab is up; ``.fix`` says what to type.
    """
    from labs.lab import Lab

    return Lab.open()
