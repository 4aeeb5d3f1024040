"""``python -m tests.parity``, which ``scripts/parity`` runs."""

from __future__ import annotations

import sys

from labs import cli
from tests.parity.commands import parity

if __name__ == "__main__":
    sys.exit(cli.run(sys.argv[1:], parity, "scripts/parity"))
