"""What to ask: questions about the lab, or prompts and answers of given lengths."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

QUESTIONS = (
    "What does XID 79 mean?",
    "Why is my GPU so hot and slow?",
    "Why does my GPU pod stay Pending?",
    "What is a pod's identity in Linkerd?",
    "The gateway is down, what happens?",
    "Why do I get 403 from the policy?",
    "What does p95 latency mean?",
    "When is the KV cache full?",
    "What is an error budget?",
    "Why is the readiness probe failing?",
)
"""Asked when no --prompt is given: the runbook answers all of them."""
WORDS = ("GPU", "cache", "queue", "token", "probe", "node", "route", "policy", "batch", "clock", "fan", "span", "label", "watch")
"""Words of a single token each, to fill a prompt up to its length."""

Draw = Callable[[random.Random], int]


@dataclass(frozen=True)
class Prompt:
    """A text, and how many tokens the answer should have; None leaves that to the model."""

    text: str
    answer_tokens: int | None = None


def distribution(text: str) -> Draw:
    """How lengths in tokens are drawn: ``200`` (always), ``uniform:50:400``, or ``lognormal:200:0.8`` (median and sigma).

    The lengths of real prompts have a long tail, as ``lognormal`` does.

    Raises:
        ValueError: it has another form.
    """
    kind, *numbers = text.split(":")
    try:
        match kind, [float(number) for number in numbers]:
            case "uniform", [low, high] if 1 <= low <= high < math.inf:
                return lambda chance: chance.randint(round(low), round(high))
            case "lognormal", [median, sigma] if 1 <= median < math.inf and 0 <= sigma < math.inf:
                return lambda chance: max(1, round(median * chance.lognormvariate(0, sigma)))
            case number, [] if int(number) >= 1:
                return lambda chance: int(number)
    except ValueError:
        pass  # not a number where one belongs: said below
    raise ValueError(f"expected a length such as 200, uniform:50:400 or lognormal:200:0.8; found {text!r}")


@dataclass(frozen=True)
class Prompts:
    """Draws one prompt after another: the same ``seed`` always gives the same prompts.

    With ``prompt_tokens`` a question is filled up with words to that length. The first ``shared_tokens`` of them are the same
    in all prompts, like a system prompt, so that a prefix cache can hold them; the rest is different each time.
    """

    texts: Sequence[str] = QUESTIONS
    prompt_tokens: Draw | None = None
    answer_tokens: Draw | None = None
    shared_tokens: int = 0
    seed: int = 1

    def draw(self, index: int) -> Prompt:
        """The prompt of request ``index``."""
        chance = random.Random(f"{self.seed} {index}")
        text = chance.choice(self.texts)
        length = self.prompt_tokens(chance) if self.prompt_tokens else None
        answer = self.answer_tokens(chance) if self.answer_tokens else None
        return Prompt(self.filled(text, length, chance), answer)

    def filled(self, text: str, length: int | None, chance: random.Random) -> str:
        """``text`` after as many words as it takes to reach ``length`` tokens, if given. Its own count as one token each."""
        if length is None:
            return text
        shared = random.Random(self.seed).choices(WORDS, k=min(self.shared_tokens, length))
        more = chance.choices(WORDS, k=max(0, length - len(shared) - len(text.split())))
        return " ".join([*shared, *more, text])
