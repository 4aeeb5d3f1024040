"""Whatever Python the caller has set up, and wherever it stands: this checkout's programs run this checkout's code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labs.config import ROOT
from labs.wire import isolated

NAMES = ("json", "yaml", "click", "typing", "labs")
FOREIGN = "raise SystemExit('a foreign module was imported')\n"
LINE = "print('✓ ✗ … 日 ─')"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder whose modules hide those of the standard library, of our packages and of the lab itself."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(FOREIGN)
    return tmp_path


def run(command: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """``command`` in ``cwd`` with these variables beside ours; one that is empty is unset."""
    environment = {name: value for name, value in (os.environ | variables).items() if value}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("name", ["", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"])
def test_a_program_imports_nothing_foreign(foreign: Path, name: str) -> None:
    variables = {name: str(foreign)} if name else {}
    result = run(isolated.command("labs.cli", "fault", "list"), foreign, **variables)
    assert result.returncode == 0 and b"gpu-overheat" in result.stdout, result.stderr.decode()


def test_the_command_of_the_environment_restarts(foreign: Path) -> None:
    """``lab`` is a script that Python starts before we have a say; the standard library is its affair, our packages are ours."""
    for name in ("json", "typing", "labs"):
        (foreign / f"{name}.py").unlink()
    lab = Path(sys.executable).with_name("lab")
    result = run([str(lab), "fault", "list"], foreign, PYTHONPATH=str(foreign))
    assert result.returncode == 0 and b"gpu-overheat" in result.stdout, result.stderr.decode()


def test_the_launcher_of_one_checkout_called_from_another_runs_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "__init__.py").write_text(FOREIGN)
    (tmp_path / "labs" / "cli.py").write_text(FOREIGN)
    launcher = str(ROOT / "scripts" / "lab")
    result = run([launcher, "--help"], tmp_path, PYTHONPATH=str(tmp_path), PIP_USER="1")
    assert result.returncode == 0 and b"Usage: lab" in result.stdout, result.stderr.decode()


def test_children_get_no_variable_of_pythons(tmp_path: Path) -> None:
    source = {"PYTHONPATH": "/x", "PYTHONSTARTUP": "/x", "PYTHONIOENCODING": "ascii", "PATH": "/bin"}
    assert isolated.environment(source) == {"PYTHONIOENCODING": "ascii", "PATH": "/bin"}


def test_no_python_of_ours_is_started_otherwise() -> None:
    """The kind itself: ``[sys.executable, "-m", …]`` puts the current directory and PYTHONPATH before everything."""
    ours = [path for path in (ROOT / "labs").rglob("*.py") if "pods" not in path.parts and not path.name.startswith("bench")]
    assert len(ours) > 100
    careless = re.compile(r'sys\.executable, "-[mc]"')
    assert [path.relative_to(ROOT) for path in ours if careless.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✓ ✗ … 日 ─\n".encode()),
        ("latin-1", b"+ x ... ? ?\n"),
        ("ascii:strict", b"+ x ... ? ?\n"),
        ("cp1252", b"+ x \x85 ? ?\n"),
        ("no-such-encoding", "✓ ✗ … 日 ─\n".encode()),
    ],
)
def test_a_terminal_without_our_characters_gets_plainer_ones(tmp_path: Path, encoding: str, expected: bytes) -> None:
    (tmp_path / "labs.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from labs.wire import isolated; isolated.settle_streams(); {LINE}"
    result = run([sys.executable, *isolated.FLAGS, "-c", script], tmp_path, PYTHONIOENCODING=encoding, LC_ALL="C.UTF-8")
    assert (result.stdout, result.stderr) == (expected, b"")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PYTHONIOENCODING", "latin-1", ["doctor"]),
        ("PYTHONIOENCODING", "ascii", ["check", "03"]),
        ("PYTHONIOENCODING", "ascii", ["fault", "show", "gpu-overheat"]),
        ("LC_ALL", "C", ["gpu", "list"]),
        ("LC_ALL", "C", ["fault", "list"]),
    ],
)
def test_every_verb_speaks_to_every_terminal(tmp_path: Path, variable: str, value: str, words: list[str]) -> None:
    places = {"LAB_STATE": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path)}
    result = run(isolated.command("labs.cli", *words), tmp_path, **{variable: value}, **places)
    said = result.stdout + result.stderr
    assert result.returncode in (0, 1) and said and b"Traceback" not in said, said.decode(errors="replace")
    said.decode(value if variable == "PYTHONIOENCODING" else "ascii")


def test_closed_streams_are_no_error(tmp_path: Path) -> None:
    words = " ".join(f"'{word}'" for word in isolated.command("labs.cli", "--help"))
    assert run(["sh", "-c", f"{words} >&- 2>&-"], tmp_path).returncode == 0
