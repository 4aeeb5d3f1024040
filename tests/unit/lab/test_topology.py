"""What a topology file may declare, and how code finds its clusters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from labs import topology
from labs.errors import NotFound, UsageError

GOOD = {
    "app": ("users", "10.10.0.0/16", "10.11.0.0/16", False),
    "gpu": ("gpus", "10.20.0.0/16", "10.21.0.0/16", False),
    "eu": ("gpus", "10.30.0.0/16", "10.31.0.0/16", True),
}


def write(path: Path, **changes: tuple[str, str, str, bool]) -> Path:
    """A topology file with the clusters of ``GOOD``, some of them changed or added."""
    tables = [
        f'[[cluster]]\nname = "{name}"\ntitle = "t"\nrole = "{role}"\nregion = "us"\npods = "{pods}"\nservices = "{services}"\n'
        f'on-demand = {str(on_demand).lower()}\nnode = [{{ name = "{name}-1", control-plane = true }}]\n'
        for name, (role, pods, services, on_demand) in (GOOD | changes).items()
    ]
    path.write_text("\n".join(tables))
    return path


def test_the_good_file_is_read(tmp_path: Path) -> None:
    specs = topology.read(write(tmp_path / "t.toml"))
    assert [(spec.name, spec.role, spec.on_demand) for spec in specs] == [
        ("app", "users", False),
        ("gpu", "gpus", False),
        ("eu", "gpus", True),
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eu": ("gpus", "10.20.128.0/17", "10.31.0.0/16", True)}, r"10\.20\.0\.0/16 of gpu and 10\.20\.128\.0/17 of eu"),
        ({"eu": ("gpus", "10.30.0.0/16", "10.30.0.0/24", True)}, r"10\.30\.0\.0/16 of eu and 10\.30\.0\.0/24 of eu"),
        ({"eu": ("training", "10.30.0.0/16", "10.31.0.0/16", True)}, "users or gpus; found 'training'"),
        ({"eu": ("gpus", "10.30.0.0/16", "10.31.0.0/16", False)}, "exactly one cluster with the role gpus .* found gpu, eu"),
        ({"gpu": ("gpus", "10.20.0.0/16", "10.21.0.0/16", True)}, "exactly one cluster with the role gpus .* found none"),
        ({"eu": ("gpus", "10.30.0.0", "10.31.0.0/99", True)}, "IPv4 ranges of cluster eu"),
        ({"eu": ("", "10.30.0.0/16", "10.31.0.0/16", True)}, "a value for role in the table of cluster 'eu'"),
    ],
    ids=["overlap", "own-overlap", "unknown-role", "two-of-a-role", "none-of-a-role", "no-range", "no-role"],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, tuple[str, str, str, bool]], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        topology.read(write(tmp_path / "t.toml", **changes))
    assert str(tmp_path / "t.toml") in caught.value.fix


def test_two_clusters_of_one_name_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "t.toml")
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(UsageError, match="app twice"):
        topology.read(file)


@pytest.mark.parametrize("ask", [topology.primary, topology.with_role])
def test_an_unknown_role_is_refused_and_the_roles_are_named(ask: Callable[[topology.Role], object]) -> None:
    with pytest.raises(UsageError, match="expected a role: users or gpus; found 'training'") as caught:
        ask(cast(topology.Role, "training"))
    assert caught.value.fix == 'lab.primary("users")'


def test_code_finds_clusters_by_role_and_by_name() -> None:
    assert topology.primary("users").name == "app"
    assert topology.primary("gpus").name == "gpu"
    assert [spec.name for spec in topology.with_role("gpus")] == ["gpu", "gpu-eu"]
    assert topology.find("gpu-eu").region == "eu"
    with pytest.raises(NotFound, match="moon"):
        topology.find("moon")


def test_an_on_demand_cluster_is_no_default() -> None:
    assert [spec.name for spec in topology.defaults()] == ["app", "gpu"]
