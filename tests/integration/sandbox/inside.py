"""Keeps a sandbox cluster's processes: ``python -m tests.integration.sandbox.inside FOLDER``, run inside its namespaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from labs import config
from labs.embedded.namespaces import links
from labs.wire.parent import die_with_parent

PAUSE = 1.0
"""Seconds before a process that ended is started again."""


def keep(folder: Path, name: str, argv: list[str]) -> None:
    """Start the program again whenever it ends; its number and its output are in files."""
    environment = os.environ | {"PYTHONPATH": str(config.ROOT)}
    while True:
        with (folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        (folder / f"{name}.pid").write_text(str(process.pid))
        process.wait()
        time.sleep(PAUSE)


def main(folder: Path) -> None:
    die_with_parent(os.getppid())()
    links.add_host_addresses(json.loads((folder / "addresses.json").read_text()))
    links.forward()
    commands = json.loads((folder / "commands.json").read_text())
    threads = [threading.Thread(target=keep, args=[folder / "logs", name, argv]) for name, argv in commands]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
