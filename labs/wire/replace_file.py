"""Files that are either the old ones or the new ones: whoever reads meanwhile, and whatever is killed meanwhile, sees no half."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Put ``text`` into ``path`` in one rename; ``mode`` (for instance 0o600) holds from the first byte on."""
    draft = path.with_name(path.name + ".tmp")
    if mode is not None:
        draft.touch(mode=mode)
    draft.write_text(text)
    os.replace(draft, path)
