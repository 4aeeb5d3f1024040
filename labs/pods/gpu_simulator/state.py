"""What outlives the simulator's process: faults that are in the GPUs, their drivers or the room, and what the GPUs count."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.errors import ErrorCounts
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.wire.replace_file import replace_text

log = logging.getLogger(__name__)


class StateFile:
    """Keeps the lasting state of ``fleet`` in ``path``: call ``restore`` once; from then on it is written at each change."""

    def __init__(self, fleet: Fleet, path: Path) -> None:
        self._fleet = fleet
        self._path = path

    def restore(self) -> None:
        """Load the file's state, and follow the fleet from now on."""
        rows = self._read()
        for gpu in self._fleet.gpus:
            if gpu.uuid in rows:
                _set(gpu, rows[gpu.uuid])
        self._fleet.on_change.append(self.save)

    def save(self) -> None:
        rows = {gpu.uuid: _row(gpu) for gpu in self._fleet.gpus}
        replace_text(self._path, json.dumps(rows, indent=1))

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        try:
            return dict(json.loads(self._path.read_text() or "{}"))
        except ValueError as error:
            # Edited by hand: healthy GPUs are better than no GPUs.
            log.warning("%s is not a state of simulated GPUs (%s); all GPUs are healthy", self._path, error)
            return {}


def _row(gpu: Gpu) -> dict[str, Any]:
    lasting = [fault.name for fault in gpu.faults.values() if fault.lasting]
    return {"faults": lasting, "errors": asdict(gpu.errors)}


def _set(gpu: Gpu, row: dict[str, Any]) -> None:
    for name in row["faults"]:
        if name in FAULTS:
            gpu.inject(FAULTS[name])
    gpu.errors = ErrorCounts(**row["errors"])
