"""Writes ``*_pb2*`` modules from the ``.proto`` files beside them; a tool for developers."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def generate(folder: Path, out: Path) -> None:
    """Compile every ``.proto`` file in ``folder`` into ``out``, under the path that the modules have in the checkout.

    Raises:
        RuntimeError: protoc rejected a file; it printed the reason on stderr.
    """
    # grpcio-tools is in the test group; learners do not install it.
    from grpc_tools import protoc

    sources = [str(path.relative_to(ROOT)) for path in sorted(folder.glob("*.proto"))]
    # Compiled under their path in the checkout, so that the modules import each other by their full names.
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"--proto_path={ROOT}", *outputs, *sources]):
        raise RuntimeError(f"protoc could not compile {' '.join(sources)}")


def main(folder: Path) -> None:
    """Write the modules of ``folder`` in place and print their names."""
    generate(folder, ROOT)
    sys.stdout.write(f"wrote {', '.join(sorted(path.name for path in folder.glob('*_pb2*')))}\n")
