"""Which checks have passed on this machine, in ``work/.progress.json``: it stays when the lab is removed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labs import config
from labs.wire.replace_file import replace_text

FILE = ".progress.json"


@dataclass(frozen=True)
class Progress:
    """The record of one learner."""

    folder: Path = config.WORK

    def passed(self) -> dict[str, str]:
        """Each check that has passed → when it first did (ISO 8601, UTC). A damaged record counts as an empty one."""
        try:
            found = json.loads((self.folder / FILE).read_text())
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def record(self, ids: Iterable[str]) -> bool:
        """Note that these checks pass; True if one of them is new. Without a ``work/`` nobody asked for a record."""
        if not self.folder.is_dir():
            return False
        passed = self.passed()
        new = {id: datetime.now(UTC).isoformat(timespec="seconds") for id in ids if id not in passed}
        if new:
            # A full disk is no reason to fail a step that worked.
            with contextlib.suppress(OSError):
                replace_text(self.folder / FILE, json.dumps(passed | new, indent=1))
        return bool(new)
