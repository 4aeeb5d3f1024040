"""Calls pip so that the user's configuration decides where packages come from, but not how they are installed.

``user = true``, ``target``, ``prefix`` and the like would put packages outside ``.venv``, but a company's network may need an
index, a proxy or a certificate. Standard library only: ``scripts/bootstrap.py`` uses it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Mapping

from labs.wire import isolated

PLACES = {"index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy", "timeout"}
PLACES |= {"default-timeout", "retries", "keyring-provider"}
"""Options that decide where packages come from and how pip gets them (pip's user guide, "Configuration")."""
SECTIONS = ("global", "install", ":env:")
"""The sections that apply to ``pip install``; later ones take precedence. ``:env:`` is the environment."""
_ROW = re.compile(r"(?P<section>global|install|:env:)\.(?P<option>[a-z-]+)=(?P<value>'.*'|\".*\")")


def environment(python: str, source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for ``python -I -m pip``: no configuration files, and of the user's options only those in PLACES."""
    clean = isolated.environment(source)
    listing = subprocess.run(
        [python, "-I", "-m", "pip", "config", "list"], env=clean, capture_output=True, text=True, errors="replace", check=False
    )
    others = {name: value for name, value in clean.items() if not name.startswith("PIP_")}
    places = {f"PIP_{option.replace('-', '_').upper()}": value for option, value in places_of(listing.stdout).items()}
    return {**others, **places, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def places_of(listing: str) -> dict[str, str]:
    """The options in PLACES that ``pip config list`` prints; later SECTIONS take precedence."""
    found: dict[str, tuple[int, str]] = {}
    for row in filter(None, map(_ROW.fullmatch, listing.splitlines())):
        rank, option = SECTIONS.index(row["section"]), row["option"]
        if option in PLACES and rank >= found.get(option, (0, ""))[0]:
            found[option] = rank, str(ast.literal_eval(row["value"]))
    return {option: value for option, (_, value) in found.items()}
