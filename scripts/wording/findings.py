"""Words that should not be there: by the word list, and by codespell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.errors import CommandFailed
from scripts.wording.rules import Rule
from scripts.wording.texts import Line

SPELLED = re.compile(r"^(\d+): .*\n\t(.*) ==> (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """A word in a line and what to write instead."""

    line: Line
    avoid: str
    use: str

    def __str__(self) -> str:
        return (
            f"{self.line.path}:{self.line.number}: write “{self.use}” instead of “{self.avoid}”: {self.line.text.strip()[:100]}"
        )


def words(lines: Iterable[Line], rules: Sequence[Rule]) -> list[Finding]:
    """A finding per occurrence."""
    found = []
    for line in lines:
        small = line.text.lower()
        # Most lines have no unwanted word: a search for plain text is ten times as fast as one for a pattern.
        near = (rule for rule in rules if rule.avoid.lower() in small)
        found += [Finding(line, rule.avoid, rule.use) for rule in near for _ in range(rule.count(line.text))]
    return found


def spelling(lines: Sequence[Line], ignored: Iterable[str]) -> list[Finding]:
    """What codespell takes for a slip; ``ignored`` are words that it does not know.

    Raises:
        CommandFailed: codespell could not be run.
    """
    codespell = Path(sys.executable).parent / "codespell"
    command = [str(codespell), "--ignore-words-list", ",".join(ignored), "-"]
    text = "".join(" ".join(line.text.split()) + "\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    # 65 says that there are findings.
    if done.returncode not in (0, 65):
        raise CommandFailed(command, done.returncode, done.stderr)
    return [Finding(lines[int(number) - 1], word, use) for number, word, use in SPELLED.findall(done.stdout)]


def counted(findings: Iterable[Finding]) -> Counter[str]:
    """How often each word was found."""
    return Counter(finding.avoid for finding in findings)
