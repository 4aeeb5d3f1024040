"""Bring-up and tear-down as lists of named steps that share one context."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from labs import errors


class Progress(Protocol):
    """Where a running step reports what it is doing."""

    def begin(self, title: str) -> None:
        """A step of this title starts."""

    def note(self, text: str) -> None:
        """What the step does at this moment; called at least every few seconds."""

    def advance(self, share: float, text: str) -> None:
        """Like ``note``, for a step that knows how far it is: ``share`` between 0 and 1."""

    def end(self, seconds: float, failure: str | None = None) -> None:
        """It ended, ``seconds`` after it started, well or with a failure."""


class Step(Protocol):
    """One named step. ``undo`` removes what a failed or interrupted ``run`` made."""

    @property
    def title(self) -> str: ...

    def run(self, progress: Progress) -> None: ...

    def undo(self) -> None: ...


@dataclass(frozen=True)
class Action:
    """A step made of two functions."""

    title: str
    action: Callable[[Progress], None]
    cleanup: Callable[[], None] = lambda: None

    def run(self, progress: Progress) -> None:
        self.action(progress)

    def undo(self) -> None:
        self.cleanup()


def run_steps(steps: Sequence[Step], progress: Progress, *, keep: bool = False) -> None:
    """Run ``steps`` in order; if one fails or is interrupted, undo it and those before it in reverse, unless ``keep``.

    Raises:
        LabError: what the failed step raised; an unexpected error comes as StepFailed, with the step's title.
    """
    begun: list[Step] = []
    try:
        for step in steps:
            begun.append(step)
            _run_one(step, progress)
    except BaseException:
        if not keep:
            for step in reversed(begun):
                step.undo()
        raise


def _run_one(step: Step, progress: Progress) -> None:
    started = time.monotonic()
    progress.begin(step.title)
    try:
        step.run(progress)
    except errors.LabError as error:
        progress.end(time.monotonic() - started, error.message)
        raise
    except (OSError, ValueError, RuntimeError) as error:
        progress.end(time.monotonic() - started, str(error))
        raise errors.StepFailed(step.title, f"{type(error).__name__}: {error}", fix="lab status; lab logs") from error
    except KeyboardInterrupt:
        progress.end(time.monotonic() - started, "interrupted")
        raise
    progress.end(time.monotonic() - started)
