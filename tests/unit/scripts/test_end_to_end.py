"""Two halves of the end-to-end tests: side by side or not, their outputs apart, and a failure of either is a failure."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import end_to_end, own_network
from scripts.end_to_end import Job, Result
from tests.support.waiting import eventually

needs_namespaces = pytest.mark.skipif(not own_network.possible(), reason="this machine allows no network namespaces")


def job(name: str, program: str, **env: str) -> Job:
    return Job(name, [sys.executable, "-c", program], env)


def run(*jobs: Job, together: bool = False, beat: float = 60) -> tuple[list[Result], list[str]]:
    said: list[str] = []
    return end_to_end.run(jobs, said.append, together=together, beat=beat), said


TOGETHER = [pytest.param(True, marks=needs_namespaces, id="together"), pytest.param(False, id="in turn")]


@pytest.mark.parametrize("together", TOGETHER)
@pytest.mark.parametrize(("codes", "whole"), [((0, 0), 0), ((0, 3), 3), ((4, 0), 4), ((1, 2), 1)])
def test_a_failure_of_either_is_a_failure_and_both_are_run(together: bool, codes: tuple[int, int], whole: int) -> None:
    results, said = run(*(job(f"job{n}", f"print('ran'); exit({code})") for n, code in enumerate(codes)), together=together)
    assert sorted((result.job.name, result.code) for result in results) == [("job0", codes[0]), ("job1", codes[1])]
    assert end_to_end.exit_code(sorted(results, key=lambda result: result.job.name)) == whole
    assert sorted(said) == ["=== job0\nran", "=== job1\nran"]


def test_a_job_that_a_signal_ended_has_failed() -> None:
    results, _ = run(job("killed", "import os; os.kill(os.getpid(), 9)"))
    assert results[0].code == -signal.SIGKILL
    assert end_to_end.exit_code(results) == 1


@pytest.mark.parametrize("together", TOGETHER)
def test_outputs_do_not_mix(together: bool) -> None:
    program = "import sys\nfor n in range(200): print({name!r}, n, flush=True)"
    _, said = run(job("a", program.format(name="a")), job("b", program.format(name="b")), together=together)
    assert len(said) == 2
    for text in said:
        assert len({line.split()[0] for line in text.splitlines()[1:]}) == 1 and len(text.splitlines()) == 201


@needs_namespaces
def test_side_by_side_means_at_the_same_time_with_the_same_address(tmp_path: Path) -> None:
    """Each listens on one port and waits until the other says, through the file system, that it listens too."""
    program = (
        "import os, pathlib, socket, time\n"
        "here = pathlib.Path(os.environ['HERE'])\n"
        "listener = socket.create_server(('127.0.0.1', 9999))\n"
        "(here / os.environ['ME']).touch()\n"
        "deadline = time.monotonic() + 60\n"
        "while len(list(here.iterdir())) < 2: assert time.monotonic() < deadline; time.sleep(0.05)\n"
    )
    results, said = run(*(job(me, program, HERE=str(tmp_path), ME=me) for me in "ab"), together=True)
    assert [result.code for result in results] == [0, 0], said


def test_progress_is_told_while_a_job_runs() -> None:
    _, said = run(job("slow", "import time; print('half way', flush=True); time.sleep(1.5)"), beat=0.4)
    assert any(re.fullmatch(r"slow, \d+ s: half way", line) for line in said)


@pytest.mark.parametrize("together", TOGETHER)
def test_an_interrupted_run_leaves_no_job_behind(together: bool, tmp_path: Path) -> None:
    """Ctrl-C: each job gets it, cleans up, and has ended before the run has."""
    waits = (
        "import pathlib, time\n"
        "pathlib.Path({file!r}).touch()\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: pathlib.Path({file!r}).unlink()\n"
    )
    marker = tmp_path / "runs"
    main = (
        "import signal, sys; from scripts import end_to_end\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"end_to_end.jobs = lambda *_, **__: [end_to_end.Job('a', [sys.executable, '-c', {waits.format(file=str(marker))!r}])]\n"
        f"end_to_end.own_network.possible = lambda: {together}\n"
        "sys.exit(end_to_end.main('any'))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", main], cwd=end_to_end.ROOT, stdout=subprocess.PIPE, text=True)
    eventually(lambda: marker.exists() or process.poll() is not None, every=0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == end_to_end.INTERRUPTED and "interrupted" in output
    assert not marker.exists()


@pytest.mark.parametrize("together", TOGETHER)
@pytest.mark.parametrize("code", [0, 3])
def test_the_lab_of_a_job_that_failed_is_removed(together: bool, code: int, tmp_path: Path) -> None:
    remove = [sys.executable, "-c", "import os, pathlib; pathlib.Path(os.environ['HERE'], 'removed').touch()"]
    results, _ = run(Job("a", [sys.executable, "-c", f"exit({code})"], {"HERE": str(tmp_path)}, remove), together=together)
    assert results[0].code == code
    assert (tmp_path / "removed").exists() == (code != 0)


def test_each_half_names_what_removes_its_lab() -> None:
    for half in end_to_end.jobs("not docker", together=True):
        assert half.clean_up[1:] == ["down"] and Path(half.clean_up[0]).is_file()


def test_side_by_side_the_halves_share_no_state_folder() -> None:
    tests, notebooks = end_to_end.jobs("not docker", together=True)
    assert tests.env["LAB_STATE"] != str(end_to_end.ROOT / ".lab") and "LAB_STATE" not in notebooks.env
    assert tests.command[-2:] == ["-m", "not docker"]
    alone = end_to_end.jobs("not docker", together=False)
    assert [job.env for job in alone] == [{}, {}]


def test_where_the_kernel_forbids_it_the_command_is_not_run(tmp_path: Path) -> None:
    main = (
        "from scripts import own_network\n"
        "def refused(flags): raise PermissionError(1, 'unshare: Operation not permitted')\n"
        "own_network._unshare = refused\n"
        f"own_network.main(['touch', {str(tmp_path / 'ran')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", main], cwd=end_to_end.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == own_network.REFUSED and "not permitted" in done.stderr
    assert not (tmp_path / "ran").exists()


@needs_namespaces
def test_a_network_of_its_own_has_loopback_and_nothing_else() -> None:
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(*(n for _, n in socket.if_nameindex()))"
    command = own_network.command([sys.executable, "-c", script])
    done = subprocess.run(command, cwd=end_to_end.ROOT, capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert "lo" in names and not any(name.startswith(("eth", "ens", "enp", "wl")) for name in names)
