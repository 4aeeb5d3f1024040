"""Boring Ops Lab: the boring (yet critical) part of running AI/ML on Kubernetes, hands on.

In a notebook: ``import labs; lab = labs.open()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labs.course.notebook_lab import NotebookLab

__all__ = ["open"]


def open() -> NotebookLab:
    """Find the running lab of this checkout and return it.

    Sets ``KUBECONFIG`` and puts ``.lab/bin`` first on ``PATH`` for the ``%%bash`` cells that follow. If an earlier kernel was
    interrupted, a step named "Recover" says what it undid.

    Raises:
        labs.errors.NotRunning: no lab is up; ``.fix`` says what to type.
    """
    from labs.course.notebook_lab import open_lab

    return open_lab()
