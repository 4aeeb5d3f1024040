"""``python -m scripts.wording``, which ``scripts/terms`` runs."""

from __future__ import annotations

import sys

from labs import cli
from scripts.wording.commands import terms

if __name__ == "__main__":
    sys.exit(cli.run(sys.argv[1:], terms, "scripts/terms"))
