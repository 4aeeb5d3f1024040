"""Where one lab keeps its files. Every lab has a state folder; ``Paths`` names what is in it.

Paths are a value, not constants: a second lab, and a test, have another one.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from labs.config import LAB_IMAGE, ROOT
from labs.wire.run_folder import run_folder


def cache_dir() -> Path:
    """The user's cache folder for the lab: below ``$XDG_CACHE_HOME`` or the home, else in the checkout."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(named or Path.home() / ".cache") / "boring-ops-lab"
    except RuntimeError:  # neither $HOME nor an entry in /etc/passwd: a container with a number for a user
        return ROOT / ".cache"


@dataclass(frozen=True)
class Paths:
    """The files of the lab whose state folder is ``state``, an absolute path."""

    state: Path

    @classmethod
    def current(cls) -> Paths:
        """Those of this process's lab: ``$LAB_STATE`` if it is set, otherwise ``.lab`` in the checkout.

        ``$LAB_STATE`` lets one checkout drive a second lab on clusters it did not make (``docs/contexts.md``).
        """
        return cls(Path(os.environ.get("LAB_STATE") or ROOT / ".lab").absolute())

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with one context per cluster."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def bin(self) -> Path:
        """Command-line tools that a learner's shell finds first."""
        return self.state / "bin"

    @property
    def manifests(self) -> Path:
        """This lab's variants of manifests, under names that all backends share."""
        return self.state / "manifests"

    @property
    def certificates(self) -> Path:
        """The mesh's trust anchor and each cluster's issuer, with their keys."""
        return self.state / "certs"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    def log(self, name: str) -> Path:
        """The log file of the process ``name``: ``app/kube-apiserver`` → ``.lab/logs/app-kube-apiserver.log``."""
        return self.logs / f"{name.replace('/', '-')}.log"

    def image(self) -> str:
        """The lab's image as this lab's nodes pull it: ``.lab/image`` names it where it comes from a user's registry."""
        named = self.state / "image"
        return named.read_text().strip() if named.exists() else LAB_IMAGE

    def run_dir(self) -> Path:
        """A short folder for Unix sockets, one per lab (``labs.wire.run_folder``)."""
        return run_folder(cache_dir(), hashlib.sha256(str(self.state).encode()).hexdigest()[:8])

    def plain_state(self) -> Path:
        """``state`` by a path that a shell reads without quotes: a link in ``run_dir`` if its own has spaces or the like."""
        return self.state if re.fullmatch(r"[\w./@+-]+", str(self.state)) else self.run_dir() / "state"


REPORT = ROOT / "report"
"""Where ``lab run`` leaves its report."""
