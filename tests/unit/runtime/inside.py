"""A node's shim and runtime, as a supervisor would keep them: ``python -m tests.unit.runtime.inside CONFIG``, in namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from labs import config
from labs.embedded.namespaces import links

HOST = "10.16.0.11"
ENVIRONMENT = {"PYTHONPATH": str(config.ROOT), "PATH": os.environ["PATH"]}


def keep(name: str, folder: Path, argv: list[str]) -> None:
    """Start the program again whenever it ends; its number is in a file."""
    while True:
        with (folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(argv, env=ENVIRONMENT, stdout=log, stderr=log)
        (folder / f"{name}.pid").write_text(str(process.pid))
        process.wait()


def main(path: Path) -> None:
    folder = path.parent
    links.add_host_addresses([HOST])
    links.forward()
    node = json.loads(path.read_text())["nodes"][0]
    shim = [sys.executable, "-S", "-s", "-m", "labs.embedded.runtime.shim", node["state"]]
    threading.Thread(target=keep, args=["shim", folder, shim], daemon=True).start()
    keep("runtime", folder, [sys.executable, "-m", "labs.embedded.runtime", str(path)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
