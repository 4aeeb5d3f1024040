"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error", 504: "server_error"}
"""The ``type`` of an error by its status; any other status is the client's mistake."""


class ApiError(Exception):
    """An answer with an error status, in OpenAI's shape. ``param`` names the invalid field."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = error_body(status, message, param, code)


def error_body(status: int, message: str, param: str | None = None, code: str | None = None) -> Json:
    """``{"error": {message, type, param, code}}``; the type follows from the status."""
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
