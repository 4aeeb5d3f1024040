"""Turns a request into what the engine computes: what the model reads, and what it will say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from labs.pods.model_server import structured, tokens
from labs.pods.model_server.api_errors import ApiError
from labs.pods.model_server.generation_request import GenerationRequest
from labs.pods.model_server.prompts import Prompt
from labs.pods.model_server.retrieval import NOTHING_FOUND, Entry, Index
from labs.pods.model_server.sequence import Finish, Sequence

SYSTEM_PROMPT = (
    "You answer questions about this lab from the runbook entries below, in two sentences, and name the entry you used."
)


@dataclass(frozen=True)
class Choice:
    """One answer of a request. ``index`` counts them from 0: first all answers to the first prompt, then the next one's."""

    index: int
    sequence: Sequence
    echo: str
    """What the answer's text begins with."""
    stop_reason: str | int | None
    """The text or the token id of ``stop`` that ended the answer; None if it ended on its own."""


@dataclass(frozen=True)
class _Text:
    """An answer's tokens, and why it ends."""

    pieces: list[str]
    finish: Finish
    stop_reason: str | int | None = None


@dataclass(frozen=True)
class Answers:
    """Answers from the runbook. ``max_model_len`` is the most tokens a prompt and its answer may have together."""

    index: Index
    max_model_len: int

    def choices(self, request: GenerationRequest) -> list[Choice]:
        """The answers to ``request``, none of them computed yet.

        Raises:
            ApiError: 400, prompt and answer do not fit the model, or the answer cannot be written in the requested format.
        """
        prompts = list(request.prompts)
        return [
            choice for number, prompt in enumerate(prompts) for choice in self._answers(request, prompt, number * request.choices)
        ]

    def _answers(self, request: GenerationRequest, prompt: Prompt, first: int) -> Iterator[Choice]:
        read, entries = self.read(prompt, request)
        wanted = self.max_model_len - len(read) if request.limit is None else request.limit
        if len(read) + max(wanted, 1) > self.max_model_len:
            raise self._too_long(request.prompt_param, f"{len(read)} tokens", request.limit)
        text = self._text(request, entries, wanted)
        for index in range(first, first + request.choices):
            sequence = Sequence(read, text.pieces, text.finish, wanted, n=request.choices if index == first else None)
            sequence.salt = request.cache_salt or ""
            yield Choice(index, sequence, prompt.text if request.echoed else "", text.stop_reason)

    def read(self, prompt: Prompt, request: GenerationRequest | None = None) -> tuple[list[str], list[Entry]]:
        """All tokens the model reads for ``prompt``, and the entries among them.

        The conversation comes before the entries, which change with every question: its beginning stays the same from turn to
        turn, and the prefix cache holds it.

        Raises:
            ApiError: 400, the prompt alone does not fit the model.
        """
        param = request.prompt_param if request else "prompt"
        pieces, cut = self._pieces(prompt, request)
        if len(pieces) > self.max_model_len:
            raise self._too_long(param, f"more than {self.max_model_len} tokens", None)
        question = "".join(pieces) if cut or prompt.question is None else prompt.question
        entries = self.index.search(question)
        above = tokens.split(SYSTEM_PROMPT + "\n")
        below = tokens.split("".join("\n" + entry.text() for entry in entries))
        if request and request.truncate_prompt_tokens == -1:
            room = self.max_model_len - len(above) - len(below) - (request.limit or 1)
            pieces = _cut(pieces, max(0, room), request.truncation_side)
        return [*above, *pieces, *below], entries

    def _pieces(self, prompt: Prompt, request: GenerationRequest | None) -> tuple[list[str], bool]:
        """The tokens of what the client sent, little more than there is room for, and whether any were left out."""
        if request is None or request.truncate_prompt_tokens is None:
            return prompt.pieces(self.max_model_len + 1), False
        pieces, keep = prompt.pieces(), request.truncate_prompt_tokens
        kept = _cut(pieces, self.max_model_len if keep < 0 else keep, request.truncation_side)
        return kept, len(kept) < len(pieces)

    def _too_long(self, param: str, found: str, limit: int | None) -> ApiError:
        message = (
            f"This model's maximum context length is {self.max_model_len} tokens; "
            f"the prompt has {found} and {limit or 1} more were asked for."
        )
        return ApiError(400, message, param=param, code="context_length_exceeded")

    def _text(self, request: GenerationRequest, entries: list[Entry], wanted: int) -> _Text:
        """The answer's text, at most ``wanted`` tokens."""
        if not wanted:
            return _Text([], Finish.LENGTH)
        if request.ignore_eos:
            return _Text(self._endless(entries, wanted), Finish.LENGTH)
        whole = _stopped(request, self._words(request, entries))
        if len(whole.pieces) < (request.min_tokens or 0):
            whole = _Text(self._endless(entries, request.min_tokens or 0), Finish.STOP)
        return whole if len(whole.pieces) <= wanted else _Text(whole.pieces[:wanted], Finish.LENGTH)

    def _words(self, request: GenerationRequest, entries: list[Entry]) -> str:
        if request.response_format is None or not request.writes_json:
            return entries[0].answer() if entries else NOTHING_FOUND
        try:
            return structured.write(request.response_format, entries[0] if entries else None)
        except structured.NotWritable as error:
            message = f"Invalid 'response_format': {error}."
            raise ApiError(400, message, param="response_format", code="unsupported_value") from error

    def _endless(self, entries: list[Entry], wanted: int) -> list[str]:
        """``wanted`` tokens, for load generators that want answers of a given length: more entries, over and over."""
        answer: list[str] = []
        more = cycle(entries or self.index.entries)
        while len(answer) < wanted:
            answer += tokens.split(next(more).answer() + "\n")
        return answer[:wanted]


def _cut(pieces: list[str], room: int, side: str | None) -> list[str]:
    """At most ``room`` of ``pieces``; cut from the left, as vLLM does unless told otherwise."""
    return pieces[:room] if side == "right" else pieces[max(0, len(pieces) - room) :]


def _stopped(request: GenerationRequest, text: str) -> _Text:
    """``text`` up to the first of the request's stops, and at least one token, even an empty one."""
    found = [(at, stop) for stop in request.stop if (at := text.find(stop)) >= 0]
    reason: str | int | None = None
    if found:
        at, reason = min(found)
        text = text[: at + len(reason) if request.include_stop_str_in_output else at]
    pieces = tokens.split(text)
    ids = set(request.stop_token_ids or ())
    for number, piece in enumerate(pieces if ids else ()):
        if (id := tokens.encode(piece)) in ids:
            pieces, reason = pieces[: number + bool(request.include_stop_str_in_output)], id
            break
    return _Text(pieces or [""], Finish.STOP, reason)
