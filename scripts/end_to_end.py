"""Integration tests and notebooks, each with a lab of its own: side by side where the machine allows it, else in turn.

Side by side each has a network namespace and a state folder. The outputs do not mix: a line every half minute says how far each
is, and the whole output of one follows when it has ended. The exit code is 0 only if both are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts import own_network

ROOT = Path(__file__).resolve().parent.parent
BEAT = 30.0
"""Seconds between two lines of progress."""
LOOK_EVERY = 0.2
STOP_GRACE = 120.0
"""Seconds that an interrupted job may take to remove its lab."""
INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """A command with what it needs in its environment besides ours, and what removes its lab if it fails half-way."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    clean_up: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """How a job ended; ``seconds`` from its start to its end."""

    job: Job
    code: int
    seconds: float


@dataclass
class Running:
    """A started job, its output in a file."""

    job: Job
    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def last_line(self) -> str:
        """The end of what it said, for a line of progress."""
        with self.log.open("rb") as output:
            output.seek(max(0, self.log.stat().st_size - 2000))
            lines = output.read().decode(errors="replace").split("\n")
        return next((line.strip()[-100:] for line in reversed(lines) if line.strip()), "has said nothing yet")


def start(job: Job, folder: Path, *, own: bool) -> Running:
    """Start a job, in a network of its own or in ours."""
    log = folder / f"{job.name}.log"
    command = own_network.command(job.command) if own else job.command
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches it once, through us.
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | job.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Running(job, process, log, time.monotonic())


def wait(running: Sequence[Running], say: Callable[[str], None], beat: float = BEAT) -> list[Result]:
    """Wait for all of them; each one's output is said as a whole when it has ended."""
    results: list[Result] = []
    left, next_beat = list(running), time.monotonic() + beat
    while left:
        for one in [one for one in left if one.process.poll() is not None]:
            left.remove(one)
            results.append(Result(one.job, one.process.returncode, time.monotonic() - one.started))
            say(f"=== {one.job.name}\n{one.log.read_text(errors='replace').rstrip()}")
        if left and time.monotonic() >= next_beat:
            next_beat += beat
            for one in left:
                say(f"{one.job.name}, {time.monotonic() - one.started:.0f} s: {one.last_line()}")
        time.sleep(LOOK_EVERY)
    return results


def stop(running: Sequence[Running]) -> None:
    """Interrupt what still runs, as Ctrl-C would, and wait until it has cleaned up."""
    left = [one for one in running if one.process.poll() is None]
    for one in left:
        os.killpg(one.process.pid, signal.SIGINT)
    for one in left:
        try:
            one.process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def run(jobs: Sequence[Job], say: Callable[[str], None], *, together: bool, beat: float = BEAT) -> list[Result]:
    """Run all jobs, together or one after the other; all of them, whatever becomes of the first."""
    results: list[Result] = []
    batches = [list(jobs)] if together else [[job] for job in jobs]
    with tempfile.TemporaryDirectory() as folder:
        for batch in batches:
            running = [start(job, Path(folder), own=together) for job in batch]
            try:
                results += wait(running, say, beat)
            finally:
                stop(running)
                clean_up(running, say)
    return results


def clean_up(running: Sequence[Running], say: Callable[[str], None]) -> None:
    """Remove the labs of the jobs that failed: one that passed has removed its own."""
    for one in running:
        if one.process.returncode != 0 and one.job.clean_up:
            say(f"{one.job.name}: removing its lab")
            subprocess.run(one.job.clean_up, cwd=ROOT, env=os.environ | one.job.env, check=False)


def exit_code(results: Sequence[Result]) -> int:
    """0 if all ended well, else the code of the first that did not; a job that a signal ended counts as 1."""
    return next((max(result.code, 1) for result in results if result.code != 0), 0)


def jobs(markers: str, *, together: bool) -> list[Job]:
    """The two halves of the end-to-end tests. Side by side the integration tests keep off the notebooks' ``.lab``."""
    python = [sys.executable, "-m", "pytest"]
    integration = [*python, "tests/integration", "-p", "no:nbval", "-m", markers]
    notebooks = [*python, "--nbval-lax", "-x", "--nbval-cell-timeout=240", "--timeout=600", "notebooks"]
    # Two runs of pytest must not write one cache of failed tests.
    caches = ["-o", "cache_dir=.pytest_cache/notebooks"] if together else []
    state = {"LAB_STATE": str(ROOT / ".lab-of-tests")} if together else {}
    lab_down = [str(ROOT / "scripts" / "lab"), "down"]
    return [
        Job("integration tests", integration, state, lab_down),
        Job("notebooks", notebooks + caches, clean_up=lab_down),
    ]


def main(markers: str) -> int:
    """Run both and say how they ended."""
    together = own_network.possible()
    how = "side by side" if together else "one after the other: this machine allows no network namespaces"
    say(f"integration tests and notebooks, {how}")
    try:
        results = run(jobs(markers, together=together), say, together=together)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    for result in results:
        how = "passed" if result.code == 0 else f"failed with exit code {result.code}"
        say(f"{result.job.name}: {how} in {result.seconds:.0f} s")
    return exit_code(results)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
