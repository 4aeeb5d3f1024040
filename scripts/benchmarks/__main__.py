"""``python -m scripts.benchmarks``, which ``scripts/bench`` runs."""

from __future__ import annotations

import sys

from labs import cli
from scripts.benchmarks.commands import bench

if __name__ == "__main__":
    sys.exit(cli.run(sys.argv[1:], bench, "scripts/bench"))
