"""What a stranger reads first: links lead somewhere, and the hooks fetch nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from labs.config import ROOT

LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("labs/**/*.md"), *ROOT.glob("clusters/**/*.md")})


def broken(document: Path, text: str) -> list[str]:
    """Links of a text to files that do not exist; addresses of the web and places within a page are not followed."""
    targets = [target.partition("#")[0] for target in LINK.findall(text) if not re.match(r"[a-z]+:", target)]
    return [target for target in targets if target and not (document.parent / target).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken(document, document.read_text()) == []


def test_a_broken_link_is_seen() -> None:
    text = "[here](README.md), [gone](docs/no-such.md#part), [web](https://example.invalid/x), [below](#part)"
    assert broken(ROOT / "README.md", text) == ["docs/no-such.md"]


def test_hooks_run_what_is_installed() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    programs = {hook["entry"].split()[0] for hook in repos[0]["hooks"]}
    environment = Path(sys.executable).parent
    assert {program for program in programs if not (environment / Path(program).name).exists()} == set()
    assert {hook["language"] for hook in repos[0]["hooks"]} == {"system"}
