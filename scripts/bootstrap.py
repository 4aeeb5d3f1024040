"""Make ``.venv`` from ``requirements.lock`` and run the lab in it. Standard library only: nothing is installed yet."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
# Behind the standard library, which no file of the checkout may hide, and before what this Python has installed.
INSTALLED = (index for index, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages")))
sys.path.insert(next(INSTALLED, len(sys.path)), str(ROOT))

from labs.paths import Paths  # noqa: E402 (the checkout's modules that need nothing installed)
from labs.setup import pip_settings, teardown  # noqa: E402
from labs.setup.preload import front  # noqa: E402
from labs.wire import isolated  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / ".boring-ops-lab"
NEED_BYTES = 1_500_000_000
"""What the packages take once installed (1.0 GB measured) and some room."""
HEARTBEAT = 5.0
"""Seconds without a line of output after which we say that we are still at it."""
FIXES = (
    ("ensurepip", "sudo apt install python3-venv (Debian and Ubuntu keep it in a package of its own)"),
    ("No space left on device", "free some space, then the same command again"),
    ("do not match the hashes", "use another index or mirror (pip config list names yours): its files are not those published"),
    ("Permission denied", "look at who owns .venv (sudo leaves files of root's): remove it, then the same command again"),
)
"""What a failed step's output tells, and what helps; the network is to blame only for what none of these explains."""


def fingerprint() -> str:
    """What the environment is made from: the pins, the project's commands, the checkout's place.

    Not the Python that runs this: another shell with another Python must not replace .venv under a running lab.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parts = [LOCK.read_text(), json.dumps(project["scripts"], sort_keys=True), str(ROOT)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_current() -> bool:
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == fingerprint()


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two terminals may type the command at once: the second waits for the first."""
    with (ROOT / ".venv.lock").open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                say("another ./scripts/lab is setting up .venv; waiting for it")
                time.sleep(HEARTBEAT)
        yield


def say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


def run(what: str, command: list[str], environment: Mapping[str, str]) -> None:
    """Run one step; its output goes to a log, and a short line here says that it is still at work."""
    log = ROOT / ".venv.log"
    started = time.monotonic()
    say(f"{what} …")
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            say(f"{what} … {time.monotonic() - started:.0f} s{last_package(log)}")

    with log.open("w") as output:
        threading.Thread(target=beat, daemon=True).start()
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, check=False
            ).returncode
        finally:
            done.set()
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        say(f"{what}: failed with exit code {code}\n{tail}")
        say(f"try: {fix_for(tail)}; the whole output is in {log}")
        sys.exit(1)
    log.unlink()


def fix_for(output: str) -> str:
    """What to type next after a step that wrote ``output`` and failed."""
    known = (fix for words, fix in FIXES if words in output)
    return next(known, "check the network or the proxy, then the same command again")


def last_package(log: Path) -> str:
    """The package pip speaks of at this moment, for the progress line."""
    for line in reversed(log.read_text(errors="replace").splitlines()):
        words = line.split()
        if words and words[0] in ("Collecting", "Downloading"):
            return f", {words[1].rsplit('/', 1)[-1][:60]}"
        if words and words[0] == "Installing":
            return ", unpacking"
    return ""


def require_room() -> None:
    """Exit with what to type unless .venv can be written here and fits."""
    if not os.access(ROOT, os.W_OK):
        say(f"expected a checkout that you may write to, for .venv and .lab; found {ROOT}, which belongs to {owner(ROOT)}")
        say(f"try: git clone '{ROOT}' ~/boring-ops-lab, then ./scripts/lab there")
        sys.exit(1)
    free = shutil.disk_usage(ROOT).free
    if free < NEED_BYTES:
        say(f"expected {NEED_BYTES / 1e9:.1f} GB of free disk for .venv in {ROOT}; found {free / 1e9:.1f} GB")
        say("try: free some space, then the same command again")
        sys.exit(1)


def owner(path: Path) -> str:
    """The user whose ``path`` is, by number where the number has no name (in a container, for instance)."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def works() -> bool:
    """Whether the .venv that is there can be brought up to date in place: clearing it would pull it from under a running lab."""
    pip = [str(PYTHON), "-I", "-m", "pip", "--version"]
    return PYTHON.exists() and subprocess.run(pip, capture_output=True, check=False).returncode == 0


def make_environment() -> None:
    if VENV.is_symlink():
        # Another environment is behind the link: take the link away, never clear what it points to.
        VENV.unlink()
    if not works():
        run("making .venv", [sys.executable, "-I", "-m", "venv", "--clear", str(VENV)], isolated.environment(os.environ))
    environment = pip_settings.environment(str(PYTHON))
    pip = [str(PYTHON), "-I", "-m", "pip", "install", "--progress-bar", "off"]
    if front.wheel_folder().exists():
        pip += ["--no-index", "--find-links", str(front.wheel_folder())]
    packages = [*pip, "--require-hashes", "--no-deps", "-r", str(LOCK)]
    run("installing the pinned packages (about a minute)", packages, environment)
    run("installing this checkout", [*pip, "--no-build-isolation", "--no-deps", "--editable", str(ROOT)], environment)
    STAMP.write_text(fingerprint())


def take_packages_from(source: str) -> None:
    """Before ``lab preload load SOURCE`` there may be no network: the bundle brings the packages that read the rest of it."""
    try:
        front.prepare(source)
    except (front.FrontError, OSError) as error:
        say(f"{source}: {error}")
        say("the packages come from the network, then")


def take_down(verb: str) -> None:
    """``lab stop`` and ``lab down`` make no environment first: the one that is there will do, or none at all.

    Returns if neither will: a lab in containers is removed by its own tools, which the environment knows how to call.
    """
    usable = isolated.command("labs.cli", verb, "--help", python=str(PYTHON))
    if PYTHON.exists() and subprocess.run(usable, capture_output=True, check=False).returncode == 0:
        become_lab()
    state = Paths.current().state
    if teardown.backend(state) not in teardown.EMBEDDED:
        return
    if verb == "stop":
        say("stopped" if teardown.stop(ROOT) else "no lab is up in this checkout")
    else:
        teardown.remove(ROOT)
        say("removed; the cache and the notebooks stay")
    sys.exit(0)


def main() -> None:
    if not is_current() and sys.argv[1:] in (["stop"], ["down"]):
        take_down(sys.argv[1])
    if not is_current():
        if sys.argv[1:3] == ["preload", "load"] and len(sys.argv) > 3:
            take_packages_from(sys.argv[3])
        say(f"setting up with Python {sys.version.split()[0]} in {VENV}")
        require_room()
        with only_one():
            if not is_current():
                make_environment()
    become_lab()


def become_lab() -> NoReturn:
    """Go on as ``lab ARGUMENTS`` in .venv: this checkout's code, in whatever directory and environment we were called."""
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = isolated.environment(os.environ) | {"PATH": path}
    os.execve(PYTHON, isolated.command("labs.cli", *sys.argv[1:], python=str(PYTHON)), environment)


if __name__ == "__main__":
    try:
        isolated.settle_streams()
        main()
    except KeyboardInterrupt:
        say("interrupted; the same command again takes up where this one stopped")
        sys.exit(130)
    except OSError as error:
        say(f"{error.filename or 'setting up'}: {error.strerror or error}")
        say(f"try: look at the free disk and at who owns {ROOT}, then the same command again")
        sys.exit(1)
