"""Starts Python programs of this checkout so that nothing of the caller's Python leaks in.

``python -I -X utf8 …/isolated.py MODULE ARG…`` runs a module of the checkout that this file belongs to. The current directory,
``PYTHONPATH``, ``PYTHONSTARTUP``, ``PYTHONHOME`` and packages below the user's home do not apply, and this checkout is found
before an installed copy of the lab. Standard library only: ``scripts/bootstrap.py`` uses it before anything is installed.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import locale
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FLAGS = ("-I", "-X", "utf8")
"""Isolated mode, and UTF-8 for files whatever the locale is (for the terminal, see ``settle_streams``)."""
STREAM_ENCODING = "PYTHONIOENCODING"
"""The only Python variable that still counts: it describes the terminal, not the program."""
PLAIN = {"✓": "+", "✗": "x", "√": "+", "×": "x", "‼": "!", "…": "...", "→": "->", "–": "-", "≥": ">=", "≤": "<="}
"""Replacements for a terminal that lacks a character: a tick and a cross must not both become a question mark."""
PLAIN_ERRORS = "boring-ops-lab.plain"


def command(module: str, *args: str, python: str | None = None, unbuffered: bool = False) -> list[str]:
    """The command line that runs ``python -m module args`` isolated; ``unbuffered`` for output that goes to a log."""
    return [python or sys.executable, *FLAGS, *(["-u"] if unbuffered else []), str(Path(__file__).resolve()), module, *args]


def environment(source: Mapping[str, str]) -> dict[str, str]:
    """``source`` without Python's own variables: for programs that start a Python themselves."""
    return {name: value for name, value in source.items() if not name.startswith("PYTHON") or name == STREAM_ENCODING}


def settle_streams() -> None:
    """Make standard output and error use the terminal's encoding, with a plainer character in place of any that it lacks."""
    encoding = stream_encoding()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if the caller closed it
            stream.reconfigure(encoding=encoding, errors=PLAIN_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of ``codecs``: a plainer spelling, or a question mark, for each character that cannot be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(character, "?") for character in error.object[error.start : error.end]), error.end


codecs.register_error(PLAIN_ERRORS, _plain)


def stream_encoding() -> str:
    """What ``PYTHONIOENCODING`` says (``ENCODING[:ERRORS]``), else the locale's encoding."""
    named = os.environ.get(STREAM_ENCODING, "").partition(":")[0]
    for name in (named, locale.getencoding()):
        with contextlib.suppress(LookupError):
            return codecs.lookup(name).name
    return "utf-8"


def main() -> None:
    """Run the module that the command line names."""
    settle_streams()
    # At the end, so that no file of the checkout hides a module of the standard library.
    sys.path.append(str(CHECKOUT))
    # The program sees the same arguments as with ``python -m MODULE``.
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
