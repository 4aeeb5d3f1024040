"""The leaderboard: one line of JSON per game, in a file that an instructor can collect from every machine in the room."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from labs.errors import NotFound
from labs.paths import REPORT

FILE = REPORT / "leaderboard.jsonl"
COLUMNS = ["player", "level", "points", "seconds", "hints", "layer", "object", "repair", "fault", "seed", "when"]


@dataclass(frozen=True)
class Entry:
    """One game. ``layer``, ``object`` and ``repair`` say which parts were right; ``when`` is Unix time in seconds."""

    player: str
    level: int
    points: int
    seconds: float
    hints: int
    layer: bool
    object: bool
    repair: bool
    fault: str
    seed: int
    when: float


def append(entry: Entry, file: Path | None = None) -> Path:
    """Append a game to the file and return its path."""
    target = file or FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(entry)) + "\n")
    return target


def read(files: Iterable[Path | str] = ()) -> pd.DataFrame:
    """All games in the given files (by default this machine's), the best first: by points, then by time.

    Raises:
        NotFound: a file does not exist.
    """
    named = [Path(file) for file in files]
    for file in named:
        if not file.exists():
            raise NotFound("leaderboard file", str(file), fix="ls report")
    sources = named or [FILE] * FILE.exists()
    rows = [json.loads(line) for file in sources for line in file.read_text(encoding="utf-8").splitlines()]
    board = pd.DataFrame(rows, columns=COLUMNS)
    return board.sort_values(["points", "seconds"], ascending=[False, True], ignore_index=True)
