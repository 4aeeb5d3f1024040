"""How a node's GPUs are offered: shared, divided, or as they are. The file has the form of the NVIDIA device plugin's.

Besides that plugin's ``flags.migStrategy`` and ``sharing.timeSlicing`` it has ``mig``: how to divide which GPUs, in the form of
one entry of NVIDIA's mig-parted. Documented in README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labs.pods.gpu_simulator.mig import Layout

STRATEGIES = ("none", "single", "mixed")
APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
"""XIDs that an application causes: NVIDIA's plugin does not mark a GPU unhealthy for them."""


class BadSettings(ValueError):
    """The file is invalid; the message names the field, what was expected and what was found."""


@dataclass(frozen=True)
class Slices:
    """``replicas`` of each device of a resource, under the name ``rename`` if that is not empty."""

    replicas: int
    rename: str = ""


@dataclass(frozen=True)
class Settings:
    """What a settings file says. ``shared`` is by resource name."""

    mig_strategy: str = "none"
    shared: Mapping[str, Slices] = field(default_factory=dict)
    one_each: bool = False
    """Refuse a container that asks for more than one replica."""
    divide: tuple[tuple[frozenset[int] | None, tuple[str, ...]], ...] = ()
    """(GPUs, or None for all; names of their MIG instances)."""

    def layout(self, count: int) -> Layout:
        """The MIG instances of a node's ``count`` GPUs; the first entry that names a GPU counts."""
        return {
            index: names
            for indices, names in reversed(self.divide)
            for index in range(count)
            if self.mig_strategy != "none" and (indices is None or index in indices)
        }


def load(folder: Path, name: str) -> Settings:
    """The settings called ``name`` in ``folder``, a mounted ConfigMap: without such a file the GPUs are offered as they are.

    Raises:
        BadSettings: the file is invalid.
    """
    path = folder / name
    return parse(path.read_text()) if path.is_file() else Settings()


def parse(text: str) -> Settings:
    """Settings from YAML.

    Raises:
        BadSettings: it is invalid.
    """
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BadSettings(f"expected YAML; {error}") from error
    _fields("the file", content, {"version", "flags", "sharing", "mig"})
    flags = _fields("flags", content.get("flags", {}), {"migStrategy"})
    strategy = flags.get("migStrategy", "none")
    if strategy not in STRATEGIES:
        raise BadSettings(f"flags.migStrategy: expected one of {', '.join(STRATEGIES)}; found {strategy!r}")
    slicing = _slicing(content)
    return Settings(strategy, _shared(slicing), bool(slicing.get("failRequestsGreaterThanOne", False)), _divide(content))


def _slicing(content: Mapping[str, Any]) -> Mapping[str, Any]:
    sharing = _fields("sharing", content.get("sharing", {}), {"timeSlicing"})
    known = {"renameByDefault", "failRequestsGreaterThanOne", "resources"}
    return _fields("sharing.timeSlicing", sharing.get("timeSlicing", {}), known)


def _shared(slicing: Mapping[str, Any]) -> dict[str, Slices]:
    found = {}
    for row in slicing.get("resources", []):
        row = _fields("sharing.timeSlicing.resources[]", row, {"name", "replicas", "rename"})
        name, replicas = str(row.get("name", "")), row.get("replicas")
        if not name.startswith("nvidia.com/"):
            raise BadSettings(f"sharing.timeSlicing.resources[].name: expected nvidia.com/…; found {name!r}")
        if type(replicas) is not int or replicas < 2:
            raise BadSettings(f"sharing.timeSlicing.resources[].replicas: expected a whole number from 2; found {replicas!r}")
        default = f"{name}.shared" if slicing.get("renameByDefault", False) else ""
        found[name] = Slices(replicas, str(row.get("rename", default)))
    return found


def _divide(content: Mapping[str, Any]) -> tuple[tuple[frozenset[int] | None, tuple[str, ...]], ...]:
    rows = []
    for row in content.get("mig", []):
        row = _fields("mig[]", row, {"devices", "mig-devices"})
        indices, instances = row.get("devices", "all"), row.get("mig-devices", {})
        if indices != "all" and not (isinstance(indices, list) and all(type(index) is int for index in indices)):
            raise BadSettings(f"mig[].devices: expected all or a list of indices; found {indices!r}")
        if not isinstance(instances, Mapping) or not all(type(count) is int and count > 0 for count in instances.values()):
            raise BadSettings(f"mig[].mig-devices: expected PROFILE: COUNT; found {instances!r}")
        names = tuple(str(name) for name, count in instances.items() for _ in range(count))
        rows.append((None if indices == "all" else frozenset(indices), names))
    return tuple(rows)


def _fields(where: str, found: Any, known: set[str]) -> Mapping[str, Any]:
    """``found``, if it is a mapping with no keys other than ``known``."""
    if not isinstance(found, Mapping):
        raise BadSettings(f"{where}: expected a mapping; found {found!r}")
    if unknown := sorted(str(key) for key in found if key not in known):
        raise BadSettings(f"{where}: expected {', '.join(sorted(known))}; found {', '.join(unknown)}")
    return found


def ignored_xids(words: str) -> frozenset[int] | None:
    """XIDs that do not make a GPU Unhealthy, from ``DP_DISABLE_HEALTHCHECKS``: numbers, besides those an application
    causes; None, from ``all`` or ``xids``, if no XID does."""
    if words.strip().lower() in ("all", "xids"):
        return None
    return APPLICATION_XIDS | {int(word) for word in words.replace(",", " ").split() if word.isdecimal()}
