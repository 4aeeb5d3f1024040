"""``NotebookLab``: what ``labs.open()`` gives a notebook, the lab with the course around it."""

from __future__ import annotations

import os

import pandas as pd

from labs import topology
from labs.clusters import backends
from labs.course import display, gpu_room, heartbeat
from labs.course.begin import begin
from labs.course.checking import run_check
from labs.course.checks import Report
from labs.course.control_room.room import ControlRoom
from labs.course.gameday import leaderboard
from labs.course.gameday.game import GameDay
from labs.course.gameday.incident import Incident
from labs.faults import lifecycle
from labs.lab import Lab
from labs.telemetry.job_load import stop_orphans
from labs.wire import no_proxy


class NotebookLab(Lab):
    """``Lab`` with checks, the control room, the game day and the incident."""

    def begin(self, number: str) -> None:
        """Remove what an interrupted run left behind, and check that everything notebook ``number`` builds on exists.

        Raises:
            NotRunning, Taken: something is missing or in the way; the message says what, and what to type.
        """
        begin(self, number)

    def free_gpus(self, needed: int = 0) -> pd.DataFrame:
        """A row per node: its GPUs, how many are free, and who holds the others.

        Raises:
            Taken: fewer than ``needed`` are free.
        """
        return gpu_room.require(self.gpu, needed, "the next step")

    def check(self, id: str) -> Report:
        """Check that the steps of a notebook (``"05"``), or one of them (``"05.2"``), took effect.

        Raises:
            NotRunning: what the notebook builds on is missing; ``.fix`` says what to type.
            CheckFailed: what was expected, what was found, what to try.
        """
        return run_check(self, id)

    def control_room(self) -> ControlRoom:
        """A panel with both clusters live, a tile per GPU, and controls for load and failures; ``.close()`` ends it."""
        return ControlRoom.open(self)

    def game_day(self, level: int = 1, player: str = "anonymous", seed: int | None = None) -> GameDay:
        """A mystery failure to find: ``game.start()``, ``game.page()``, ``game.hint()``, ``game.diagnose(…)``.

        Raises:
            UsageError: there is no such level.
        """
        return GameDay(self, level, player, seed)

    def incident(self) -> Incident:
        """One long incident with two causes to debug: ``incident.start()``, ``incident.page()``, ``incident.close()``."""
        return Incident(self)

    def leaderboard(self, *files: str) -> pd.DataFrame:
        """The games of this machine, or of the files an instructor has collected; the best first."""
        return leaderboard.read(files)

    def recover(self) -> list[str]:
        """Undo what an interrupted kernel left behind, put this mesh's ``linkerd`` into ``.lab/bin``, and say what was done.

        Faults whose notebook is gone are healed, loads whose notebook is gone are stopped.
        """
        done = [f"healed {injection.title}" for injection in lifecycle.heal_orphans(self)]
        done += [f"stopped the load {name}" for name in stop_orphans(self.app.api)]
        program = self.paths.bin / "linkerd"
        before = program.read_bytes() if program.exists() else None
        self.mesh.install_cli(self.paths.bin)
        if program.read_bytes() != before:
            done.append(f"installed {program.name} ({self.mesh.name})")
        return done


def open_lab() -> NotebookLab:
    """Find the running lab, set up this kernel for it, and recover from a kernel that was interrupted.

    Whatever recovery changes is printed under the name of its step.

    Raises:
        NotRunning: no lab is up; ``.fix`` says what to type.
    """
    lab = NotebookLab(backends.current())
    lab.require_running()
    set_environment(lab)
    display.register_tables()
    heartbeat.register()
    for line in lab.recover():
        print(f"Recover: {line}")
    return lab


def set_environment(lab: Lab) -> None:
    """What ``%%bash`` cells need: this lab's kubeconfig, its tools first on the PATH, this backend's manifests, the mesh's keys.

    And ``LAB_GPU_API_SERVER``, at which the users' cluster reaches the API server of the GPUs' (``linkerd multicluster link``).
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    first = str(lab.paths.bin)
    os.environ["PATH"] = os.pathsep.join([first, *(part for part in path if part != first)])
    no_proxy.exempt_environment()
    os.environ["KUBECONFIG"] = str(lab.paths.kubeconfig)
    os.environ["LAB_MANIFESTS"] = str(lab.paths.manifests)
    os.environ["LAB_CERTIFICATES"] = str(lab.paths.certificates)
    os.environ["LAB_GPU_API_SERVER"] = lab.backend.api_server(topology.primary("gpus").name)
