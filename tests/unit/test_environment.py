"""The lists of pyproject.toml: packages, as requirements.lock and environment.yml have them; no module is typed less strictly."""

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


GENERATED = re.compile(r"labs\.wire\.[a-z_.]+_pb2(_grpc)?")


def not_strict(pyproject: str) -> list[str]:
    """The modules of ours that mypy checks less than strictly, generated ones aside."""
    relaxed: list[str] = []
    for row in tomllib.loads(pyproject)["tool"]["mypy"]["overrides"]:
        modules = [row["module"]] if isinstance(row["module"], str) else row["module"]
        ours = [name for name in modules if name.split(".")[0] in ("labs", "tests", "scripts", "*")]
        if set(row) - {"module"} == {"ignore_errors"}:
            ours = [name for name in ours if not GENERATED.fullmatch(name)]
        relaxed += ours
    return relaxed


def test_types_are_checked_strictly_everywhere() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    mypy = tomllib.loads(text)["tool"]["mypy"]
    assert mypy["strict"] is True
    assert not_strict(text) == []
    assert [name for name in mypy if name.startswith(("disallow_", "warn_", "strict_", "ignore_"))] == []


@pytest.mark.parametrize(
    ("override", "seen"),
    [
        ('module = ["labs.kube"]\nwarn_return_any = false', ["labs.kube"]),
        ('module = "tests.unit.*"\ndisallow_any_generics = false', ["tests.unit.*"]),
        ('module = ["labs.wire.cri.cri_pb2", "labs.wire.network"]\nignore_errors = true', ["labs.wire.network"]),
        ('module = ["labs.wire.cri.cri_pb2"]\nignore_errors = true', []),
        ('module = ["grpc.*"]\nignore_missing_imports = true', []),
    ],
)
def test_a_module_with_relaxed_strictness_is_seen(override: str, seen: list[str]) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert not_strict(f"{text}\n[[tool.mypy.overrides]]\n{override}\n") == seen
