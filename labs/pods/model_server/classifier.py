"""Which team handles a symptom: naive Bayes over the words of the runbook, trained when the server starts (a few milliseconds).

A small model whose answers can be checked, next to the large one, whose answers are looked up. It runs on the CPU.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from labs.pods.model_server.retrieval import Entry, words

TEAMS = {
    "gpu": "hardware",
    "pod": "kubernetes",
    "rollout": "kubernetes",
    "node": "kubernetes",
    "probe": "kubernetes",
    "dns": "kubernetes",
    "model": "serving",
    "linkerd": "mesh",
    "latency": "observability",
    "slo": "observability",
    "prometheus": "observability",
}
"""The first part of an entry's id, and the team it goes to."""
SMOOTHING = 0.5
"""Lidstone's constant: a word never seen with a team does not rule the team out."""

Example = tuple[str, str]
"""A text and its team."""


def examples(entries: Iterable[Entry]) -> list[Example]:
    """Training data: an entry's title, symptom and cause are three texts of its team.

    Raises:
        KeyError: an entry's id begins with a word that ``TEAMS`` lacks.
    """
    return [(text, TEAMS[e.id.partition("-")[0]]) for e in entries for text in (e.title, e.symptom, e.cause)]


class Classifier:
    """Multinomial naive Bayes (Manning, Raghavan, Schütze 2008, chapter 13)."""

    def __init__(self, data: Iterable[Example]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        texts: Counter[str] = Counter()
        for text, team in data:
            counts[team].update(words(text))
            texts[team] += 1
        vocabulary = set().union(*counts.values())
        self.labels = sorted(texts)
        self._prior = {team: math.log(texts[team] / texts.total()) for team in self.labels}
        self._word = {team: _log_shares(counts[team], vocabulary) for team in self.labels}

    def probabilities(self, text: str) -> dict[str, float]:
        """The probability of each team; they add up to 1. Words missing from the training texts have no influence."""
        found = words(text)
        score = {
            team: self._prior[team] + sum(self._word[team][word] for word in found if word in self._word[team])
            for team in self.labels
        }
        top = max(score.values())
        weight = {team: math.exp(value - top) for team, value in score.items()}
        total = sum(weight.values())
        return {team: value / total for team, value in weight.items()}

    def classify(self, text: str) -> str:
        """The most probable team."""
        found = self.probabilities(text)
        return max(found, key=found.__getitem__)


def _log_shares(counts: Counter[str], vocabulary: set[str]) -> dict[str, float]:
    total = counts.total() + SMOOTHING * len(vocabulary)
    return {word: math.log((counts[word] + SMOOTHING) / total) for word in vocabulary}
