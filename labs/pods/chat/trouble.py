"""What went wrong with a question, in words for the person who asked, with the facts for whoever fixes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BY_CODE = {
    "queue_full": "The model has more questions than it can take right now.",
    "model_loading": "The model is starting: it is loading its weights onto the GPU.",
    "engine_dead": "The model lost its GPU. It comes back once its server has been restarted on a working one.",
    "deadline_exceeded": "The model did not finish its answer in time.",
    "context_length_exceeded": "The question is too long for the model.",
    "model_not_found": "The chat asks for a model that is not served there: its settings are wrong.",
}
"""By the model server's ``code``."""
BY_HOP = {
    "network": "The chat cannot reach the model server.",
    "mesh": "The service mesh did not let the question through to the model server.",
    "model server": "The model server could not answer.",
    "chat": "The chat itself failed.",
}
"""By where the question failed, if no code says more."""
UNREADABLE = "The chat could not read the question."
NOT_THERE = "The chat has nothing at this address."
FORBIDDEN = "The service mesh's policy does not allow the chat to ask the model server."
TOO_SLOW = "No answer came in time."
AGAIN = frozenset({"queue_full", "model_loading", "engine_dead", "deadline_exceeded"})
"""Codes for which another attempt may succeed."""


def explain(status: int, hop: str, code: str | None) -> str:
    """One or two sentences without jargon: what happened, and whether asking again may help."""
    if code in BY_CODE:
        return f"{BY_CODE[code]} You can ask again in a moment." if code in AGAIN else BY_CODE[code]
    if hop == "mesh" and status == 403:
        return FORBIDDEN
    if hop == "chat" and status < 500:
        return NOT_THERE if status in (404, 405) else UNREADABLE
    return f"{TOO_SLOW if status == 504 else BY_HOP[hop]} You can ask again in a moment."


class ChatError(Exception):
    """A question that got no answer. ``hop`` says where it failed: "chat", "network", "mesh" or "model server"; ``code`` is the
    model server's own word for it; ``headers`` are passed on to the chat's client."""

    def __init__(
        self, status: int, hop: str, message: str, headers: Mapping[str, str] | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.hop = hop
        self.code = code
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> dict[str, Any]:
        """The error in the API's form: ``explanation`` for people, the rest for finding the cause."""
        error: dict[str, Any] = {"message": str(self), "status": self.status, "hop": self.hop, "code": self.code}
        error |= {"explanation": explain(self.status, self.hop, self.code), "request_id": request_id}
        if "l5d-proxy-error" in self.headers:
            error["l5d_proxy_error"] = self.headers["l5d-proxy-error"]
        return {"error": error}
