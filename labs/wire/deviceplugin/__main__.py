"""Write the ``*_pb2*`` modules from the ``.proto`` files: ``python -m labs.wire.deviceplugin``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def generate(out: Path) -> None:
    """Compile every ``.proto`` of this folder into ``out``, under the path the modules have in the checkout.

    Raises:
        RuntimeError: protoc refused a file; it said why on stderr.
    """
    # A development tool: grpcio-tools is in the test group, not among what a learner installs.
    from grpc_tools import protoc

    sources = [str(path.relative_to(ROOT)) for path in sorted(HERE.glob("*.proto"))]
    # Compiled by their path from the checkout, so that the modules import each other by their full name.
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", f"--proto_path={ROOT}", *outputs, *sources]):
        raise RuntimeError(f"protoc could not compile {' '.join(sources)}")


if __name__ == "__main__":
    generate(ROOT)
    sys.stdout.write(f"wrote {', '.join(sorted(path.name for path in HERE.glob('*_pb2*')))}\n")
