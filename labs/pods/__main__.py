"""The one image's entry point: ``python -m labs.pods PROGRAM [ARG …]``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

PROGRAMS = {
    "gpu-simulator": "labs.pods.gpu_simulator.main",
    "model-server": "labs.pods.model_server.main",
    "chat": "labs.pods.chat.main",
    "loadgen": "labs.pods.loadgen.main",
    "http-status": "labs.pods.http_status",
    "roundtrip": "labs.pods.roundtrip.main",
    "load-balancer": "labs.pods.load_balancer.main",
    "mesh-standin": "labs.pods.mesh_standin.main",
}


def main(argv: list[str]) -> int:
    """Run the program named by the first argument with the rest; its ``main(argv)`` returns the exit code."""
    if not argv or argv[0] not in PROGRAMS:
        print(f"usage: python -m labs.pods PROGRAM [ARG …]; the programs are: {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    main: Callable[[list[str]], int] = importlib.import_module(PROGRAMS[argv[0]]).main
    return main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
