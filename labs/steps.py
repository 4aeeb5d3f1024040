"""Bring-up and tear-down as lists of named steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from labs import errors


class Progress(Protocol):
    """Receives the progress of a running step."""

    def begin(self, title: str) -> None:
        """A step with this title starts."""

    def note(self, text: str) -> None:
        """What the step is doing now; called at least every few seconds."""

    def advance(self, share: float, text: str) -> None:
        """Like ``note``, for a step that knows its progress: ``share`` is between 0 and 1."""

    def end(self, seconds: float, failure: str | None = None) -> None:
        """The step ended after ``seconds``; ``failure`` is None if it succeeded."""


class Step(Protocol):
    """One named step. ``undo`` removes what a failed or interrupted ``run`` created."""

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
        if isinstance(error, OSError) and (known := errors.of_this_machine(error)):
            raise known from error
        raise errors.StepFailed(step.title, f"{type(error).__name__}: {error}", fix="lab status; lab logs") from error
    except KeyboardInterrupt:
        progress.end(time.monotonic() - started, "interrupted")
        raise
    progress.end(time.monotonic() - started)
