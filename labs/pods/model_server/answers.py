"""From a request to a sequence: what the model reads, and what it will say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

from labs.pods.model_server import tokens
from labs.pods.model_server.openai_api import ApiError, Request
from labs.pods.model_server.retrieval import NOTHING_FOUND, Entry, Index
from labs.pods.model_server.sequence import Finish, Sequence

SYSTEM_PROMPT = (
    "You answer questions about this lab from the runbook entries below, in two sentences, and name the entry you used."
)


@dataclass(frozen=True)
class Answers:
    """Answers from the runbook. ``max_model_len`` is the most tokens a prompt and its answer may have together."""

    index: Index
    max_model_len: int

    def sequence(self, request: Request) -> Sequence:
        """Look the answer up and cut it to what the request allows.

        Raises:
            ApiError: 400, prompt and answer do not fit the model.
        """
        entries = self.index.search(request.question)
        # The conversation comes before the entries, which change with every question: its beginning stays the same from turn to
        # turn, and the prefix cache has it.
        prompt = tokens.split("\n".join([SYSTEM_PROMPT, request.prompt, *(entry.text() for entry in entries)]))
        wanted = request.max_tokens or self.max_model_len - len(prompt)
        if wanted < 1 or len(prompt) + wanted > self.max_model_len:
            message = (
                f"This model's maximum context length is {self.max_model_len} tokens; "
                f"the prompt has {len(prompt)} and {request.max_tokens or 1} more were asked for."
            )
            raise ApiError(400, message, param="messages", code="context_length_exceeded")
        answer = self._endless(entries, wanted) if request.ignore_eos else self._answer(entries, request.stop)
        finish = Finish.LENGTH if request.ignore_eos or len(answer) > wanted else Finish.STOP
        return Sequence(prompt, answer[:wanted], finish, wanted)

    def _answer(self, entries: list[Entry], stops: tuple[str, ...]) -> list[str]:
        text = entries[0].answer() if entries else NOTHING_FOUND
        return tokens.split(min((text.partition(stop)[0] for stop in stops), key=len, default=text)) or [""]

    def _endless(self, entries: list[Entry], wanted: int) -> list[str]:
        """``wanted`` tokens, for load generators that want answers of a given length: more entries, over and over."""
        answer: list[str] = []
        more = cycle(entries or self.index.entries)
        while len(answer) < wanted:
            answer += tokens.split(next(more).answer() + "\n")
        return answer[:wanted]
