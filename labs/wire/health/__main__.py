"""Write the ``*_pb2*`` modules from the ``.proto`` files: ``python -m labs.wire.health``."""

from __future__ import annotations

from pathlib import Path

from labs.wire import stubs

if __name__ == "__main__":
    stubs.main(Path(__file__).resolve().parent)
