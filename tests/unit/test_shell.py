"""Commands that end well, badly, too late, and that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs import errors, shell


def test_what_goes_in_and_comes_out(tmp_path: Path) -> None:
    text = "a line\n" * 50_000
    assert shell.run(["cat"], input=text) == text
    assert shell.run(["sh", "-c", "pwd; echo $WORD"], cwd=tmp_path, env={"WORD": "said"}) == f"{tmp_path}\nsaid\n"


def test_an_error_holds_the_exit_code_and_both_outputs() -> None:
    with pytest.raises(errors.CommandFailed, match=r"exited with 3: no\s+yes"):
        shell.run(["sh", "-c", "echo yes; echo no >&2; exit 3"])
    with pytest.raises(errors.NotFound, match="nosuchprogram"):
        shell.run(["nosuchprogram"])


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    late = tmp_path / "late"
    with pytest.raises(errors.TimedOut, match="took longer than 1 s"):
        shell.run(["sh", "-c", f"echo $$ > {late}; exec sleep 600"], timeout=1)
    assert not Path(f"/proc/{late.read_text().strip()}").exists()


def test_a_command_that_kills_itself_did_not_take_too_long() -> None:
    with pytest.raises(errors.CommandFailed):
        shell.run(["sh", "-c", "kill -KILL $$"], timeout=60)


def test_commands_that_are_ended_have_ended_when_the_error_comes(tmp_path: Path) -> None:
    """Their caller removes what they made: nothing may be made after that."""
    last = tmp_path / "last"
    script = f"trap 'sleep 0.4; echo made > {last}; exit' TERM; echo ready; while :; do sleep 0.05; done"
    with pytest.raises(errors.TimedOut):
        shell.run_together({"one": ["sh", "-c", script]}, lambda name, line: None, timeout=1)
    assert last.exists()


def test_programs_are_given_pipes_since_they_draw_for_terminals() -> None:
    look = "test -t 1 && echo drawn || echo plain"
    assert shell.run(["sh", "-c", look]) == "plain\n"
    lines: list[str] = []
    shell.run_together({"one": ["sh", "-c", look]}, lambda name, line: lines.append(line), timeout=20)
    assert lines == ["plain\n"]


def test_what_a_tool_writes_in_another_encoding_is_no_traceback() -> None:
    words = r"printf 'lat\351\n'; printf 'lat\351 is closed\n' >&2"
    assert shell.run(["sh", "-c", words]) == "lat\ufffd\n"
    with pytest.raises(errors.CommandFailed, match="lat\ufffd is closed"):
        shell.run(["sh", "-c", f"{words}; exit 3"])
    seen: list[str] = []
    shell.run_together({"one": ["sh", "-c", words]}, lambda name, line: seen.append(line), timeout=10)
    assert "lat\ufffd\n" in seen
