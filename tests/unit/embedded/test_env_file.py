"""Variables from a file in a volume."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node import env_file

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="'\r", exclude_categories=["Cs"]), max_size=20)


def read(folder: Path, text: str) -> dict[str, str]:
    path = folder / "env"
    path.write_text(text, newline="")
    return env_file.read(path)


@given(variables=st.dictionaries(NAMES, VALUES), comment=st.text(st.characters(exclude_characters="\r\n'", codec="utf-8")))
def test_what_is_written_is_read(variables: dict[str, str], comment: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = [f"  {name}='{value}' #{comment}\n" for name, value in variables.items()]
    assert read(tmp_path_factory.mktemp("env"), f"#{comment}\n\n" + "".join(lines)) == variables


def test_as_in_a_shell_a_blank_ends_the_value_and_the_first_value_counts(tmp_path: Path) -> None:
    assert read(tmp_path, "A= 'x'\nB='1'\nB='2'\n") == {"A": "", "B": "1"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A='1'\nB\n", "expected NAME='value' in line 2; found 'B'"),
        ("='1'", "expected NAME='value' in line 1"),
        ("A ='1'", "expected NAME='value' in line 1"),
        ("A=1", "expected a value in single quotes in line 1; found 'A=1'"),
        ("A='1\n2", "expected a closing quote for the value in line 1; found the end of the file"),
        ("A='1' B", "expected nothing but a comment after the value in line 1; found ' B'"),
    ],
)
def test_what_is_wrong_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(env_file.EnvFileError) as caught:
        read(tmp_path, text)
    assert complaint in str(caught.value)
