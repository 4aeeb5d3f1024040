"""The leaderboard: a line of JSON per game, in a file an instructor can collect from every machine of a room."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from labs import config
from labs.errors import NotFound

FILE = config.REPORT / "leaderboard.jsonl"
COLUMNS = ["player", "level", "points", "seconds", "hints", "plane", "object", "repair", "fault", "seed", "when"]


@dataclass(frozen=True)
class Entry:
    """One game. ``plane``, ``object`` and ``repair`` say which parts were right; ``when`` is Unix time in seconds."""

    player: str
    level: int
    points: int
    seconds: float
    hints: int
    plane: bool
    object: bool
    repair: bool
    fault: str
    seed: int
    when: float


def append(entry: Entry, file: Path | None = None) -> Path:
    """Add a game to the file and return its path."""
    target = file or FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(entry)) + "\n")
    return target


def read(files: Iterable[Path | str] = ()) -> pd.DataFrame:
    """All games of the given files (of this machine's, if none is given), the best first: points, then time.

    Raises:
        NotFound: a file that is named is not there.
    """
    named = [Path(file) for file in files]
    for file in named:
        if not file.exists():
            raise NotFound("leaderboard file", str(file), fix="ls report")
    sources = named or [FILE] * FILE.exists()
    rows = [json.loads(line) for file in sources for line in file.read_text(encoding="utf-8").splitlines()]
    board = pd.DataFrame(rows, columns=COLUMNS)
    return board.sort_values(["points", "seconds"], ascending=[False, True], ignore_index=True)
