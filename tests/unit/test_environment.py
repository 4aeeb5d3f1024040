"""The lists of pyproject.toml: packages, as requirements.lock and environment.yml have them; modules not strictly typed yet."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from labs.config import ROOT

PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9_.-]+")


def pins_of_lock() -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for name, version in PIN.findall((ROOT / "requirements.lock").read_text()):
        pins.setdefault(name, set()).add(version)
    return pins


def names_of_pyproject() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["test"]
    return {match[0].lower() for match in map(NAME.match, wanted) if match}


def pins_of_environment(text: str) -> dict[str, str]:
    rows = yaml.safe_load(text)["dependencies"][-1]["pip"]
    return {name: version for row in rows for name, version in PIN.findall(row)}


def mismatches(environment: str) -> list[str]:
    """What differs between the conda file and the other two."""
    pins, locked, wanted = pins_of_environment(environment), pins_of_lock(), names_of_pyproject()
    problems = [f"{name}: not in environment.yml" for name in sorted(wanted - pins.keys())]
    problems += [f"{name}: not in pyproject.toml" for name in sorted(pins.keys() - wanted)]
    problems += [f"{name}: {pins[name]} is not locked" for name in sorted(pins) if pins[name] not in locked.get(name, set())]
    return problems


def test_environment_has_the_pins_of_the_lock() -> None:
    assert mismatches((ROOT / "environment.yml").read_text()) == []


@pytest.mark.parametrize(("old", "new"), [('"pandas==', '"pandas==0.'), ('      - "nbval', '      - "nbval2')])
def test_a_drifted_environment_is_seen(old: str, new: str) -> None:
    text = (ROOT / "environment.yml").read_text()
    assert old in text
    assert mismatches(text.replace(old, new))


def test_every_locked_package_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[a-z])", (ROOT / "requirements.lock").read_text().strip())
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


NOT_STRICT_AT_MOST = 11
"""Entries of the list when it was begun: lower this as the list gets shorter, never raise it."""


def not_strict() -> list[str]:
    """The modules that mypy does not check strictly."""
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    return [name for row in overrides if row.get("warn_return_any") is False for name in row["module"]]


def exists(module: str) -> bool:
    path = ROOT.joinpath(*module.removesuffix(".*").split("."))
    return path.is_dir() if module.endswith(".*") else path.with_suffix(".py").is_file()


def test_types_are_checked_strictly_but_for_a_list_that_gets_shorter() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["strict"] is True
    assert 0 <= len(not_strict()) <= NOT_STRICT_AT_MOST
    assert [name for name in not_strict() if not exists(name)] == []


@pytest.mark.parametrize(
    ("module", "found"), [("labs.kube", True), ("labs.pods.*", True), ("labs.gone", False), ("labs.kube.*", False)]
)
def test_a_module_that_is_gone_is_seen(module: str, found: bool) -> None:
    assert exists(module) is found
