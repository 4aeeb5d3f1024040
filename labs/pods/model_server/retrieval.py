"""Answers from the lab's own runbook: BM25 over its entries."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).with_name("runbook.md")
K1, B = 1.2, 0.75
"""BM25's usual constants (Robertson, Zaragoza 2009): how soon repeats stop counting, and how much length counts against."""
TITLE_WEIGHT = 3
"""A word of the title or the id counts as often as this many in the body."""
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can do does for from has have how i if in is it its me my no not of on or our so that the "
        "their them then there these they this to was we what when where which who why will with you your",
    )
)
NOTHING_FOUND = (
    "The runbook has no entry on that. It covers this lab: GPUs, pods that stay Pending or crash, probes, the model server's "
    "queue, Linkerd's identity, gateway and policy, and latency."
)


@dataclass(frozen=True)
class Entry:
    """One runbook entry: the symptom, the cause, and what to type."""

    id: str
    title: str
    symptom: str
    cause: str
    command: str

    def answer(self) -> str:
        """The entry as an answer, 35 to 90 tokens. Its source comes first, so that a short ``max_tokens`` does not cut it off."""
        return f"[runbook: {self.id}] {self.cause} Type: {self.command}"

    def text(self) -> str:
        return f"{self.title}. {self.symptom} {self.cause} {self.command}"


def parse(markdown: str) -> list[Entry]:
    """The entries of a runbook: ``## id: title``, then lines ``Symptom:``, ``Cause:``, ``Type:``.

    Raises:
        ValueError: an entry lacks one of them, or two have the same id.
    """
    entries = [_entry(section) for section in re.split(r"^## ", markdown, flags=re.MULTILINE)[1:]]
    doubles = [id for id, count in Counter(entry.id for entry in entries).items() if count > 1]
    if doubles:
        raise ValueError(f"runbook: expected ids to be unique; found more than once: {', '.join(doubles)}")
    return entries


def _entry(section: str) -> Entry:
    head, *lines = section.strip().splitlines()
    id, _, title = head.partition(": ")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    missing = [name for name in ("Symptom", "Cause", "Type") if name not in fields]
    if missing or not title:
        raise ValueError(
            f"runbook entry {head!r}: expected a title and the lines Symptom, Cause, Type; missing: {missing or 'title'}"
        )
    return Entry(id, title, fields["Symptom"], fields["Cause"], fields["Type"])


def words(text: str) -> list[str]:
    """The meaningful words of ``text``, in lower case, without plural endings."""
    found = re.findall(r"[a-z]+|\d+", text.lower())
    return [_stem(word) for word in found if word not in STOP_WORDS]


def _stem(word: str) -> str:
    """Enough stemming for one runbook: ``throttling``, ``throttled`` and ``throttles`` become one word."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 4 else word


class Index:
    """BM25 over runbook entries."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self._counts = [Counter(words(f"{e.id} {e.title} ") * TITLE_WEIGHT + words(e.text())) for e in entries]
        self._lengths = [count.total() for count in self._counts]
        self._mean = sum(self._lengths) / len(entries)
        appears = Counter(word for count in self._counts for word in count)
        self._idf = {word: self._rarity(n) for word, n in appears.items()}

    def _rarity(self, entries: int) -> float:
        return math.log(1 + (len(self.entries) - entries + 0.5) / (entries + 0.5))

    def rarity(self, word: str) -> float:
        """A word's weight: its inverse document frequency; a word in no entry counts as the rarest."""
        return self._idf.get(word, self._rarity(0))

    @classmethod
    def of_file(cls, path: Path = RUNBOOK) -> Index:
        return cls(parse(path.read_text(encoding="utf-8")))

    def search(self, question: str, limit: int = 3) -> list[Entry]:
        """The best entries for ``question``, best first; none if no word of it is in the runbook."""
        query = set(words(question))
        scores = [(self._score(query, i), i) for i in range(len(self.entries))]
        best = sorted((-score, i) for score, i in scores if score > 0)[:limit]
        return [self.entries[i] for _, i in best]

    def _score(self, query: set[str], i: int) -> float:
        count = self._counts[i]
        norm = K1 * (1 - B + B * self._lengths[i] / self._mean)
        return sum(self._idf[word] * count[word] * (K1 + 1) / (count[word] + norm) for word in query if word in count)
