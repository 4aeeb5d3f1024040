"""pip's own configuration may say where packages come from, never how they are installed. Asked of pip itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labs.setup import pip_settings

HARMFUL = {
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PIP_PREFIX": "/elsewhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_CONSTRAINT": "/none.txt",
    "PYTHONPATH": "/foreign",
    "PYTHONUSERBASE": "/foreign",
}


def settings(environment: dict[str, str]) -> dict[str, str]:
    """What pip would go by in ``environment``."""
    command = [sys.executable, "-I", "-m", "pip", "config", "list"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rows = (line.partition("=") for line in said.splitlines())
    return {name.partition(".")[2]: value.strip("'") for name, _, value in rows}


def test_variables_say_where_not_how(tmp_path: Path) -> None:
    found = pip_settings.environment(
        sys.executable, HARMFUL | {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://mirror.corp/simple", "PIP_CERT": "/corp.pem"}
    )
    assert not HARMFUL.keys() & found.keys()
    assert {"index-url": "https://mirror.corp/simple", "cert": "/corp.pem"}.items() <= settings(found).items()
    assert not {"user", "target", "prefix", "require-virtualenv", "no-binary", "constraint"} & settings(found).keys()


@pytest.mark.parametrize("home", [".config/pip/pip.conf", ".pip/pip.conf"])
def test_files_say_where_not_how(tmp_path: Path, home: str) -> None:
    file = tmp_path / home
    file.parent.mkdir(parents=True)
    file.write_text(
        "[global]\nuser = true\nindex-url = https://mirror.corp/simple\n[install]\ntarget = /elsewhere\nproxy = http://p:1\n"
    )
    source = {"HOME": str(tmp_path)}
    assert settings(source)["user"] == "true", "otherwise this test would pass without a mend"
    found = pip_settings.environment(sys.executable, source)
    assert settings(found).keys() & {"user", "target"} == set()
    assert {"index-url": "https://mirror.corp/simple", "proxy": "http://p:1"}.items() <= settings(found).items()


def test_the_environment_is_stronger_than_a_file_and_several_indexes_stay() -> None:
    listing = (
        "global.extra-index-url='https://a\\nhttps://b'\nglobal.index-url='https://file'\n"
        ":env:.index-url='https://variable'\ninstall.index-url='https://section'\nfreeze.timeout='10'\n"
    )
    assert pip_settings.places_of(listing) == {"extra-index-url": "https://a\nhttps://b", "index-url": "https://variable"}


def test_a_configuration_that_pip_cannot_read_leaves_the_defaults(tmp_path: Path) -> None:
    broken = tmp_path / "pip.conf"
    broken.write_text("no section\n")
    found = pip_settings.environment(sys.executable, {"PIP_CONFIG_FILE": str(broken), "HOME": str(tmp_path)})
    assert found["PIP_CONFIG_FILE"] == "/dev/null" and "index-url" not in settings(found)
