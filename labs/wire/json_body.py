"""JSON bodies of requests: whatever a client sends, the worst result is a 4xx."""

from __future__ import annotations

from aiohttp import web
from pydantic_core import from_json

MEDIA_TYPE = "application/json"


class BadBody(Exception):
    """The body cannot be read. ``status`` is 400 (not JSON), 413 (too long) or 415 (its Content-Type is not JSON)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_json(request: web.Request, *, typed: bool = True) -> object:
    """The decoded body. JSON is UTF-8 (RFC 8259); more than 200 levels of nesting are rejected.

    With ``typed``, its Content-Type must be ``application/json``.

    Raises:
        BadBody: it cannot be read.
    """
    if typed and request.content_type != MEDIA_TYPE:
        raise BadBody(415, f"expected the Content-Type {MEDIA_TYPE}; found {request.headers.get('Content-Type', 'none')!r}"[:300])
    try:
        return from_json(await request.read(), allow_inf_nan=False)
    except web.HTTPRequestEntityTooLarge as error:
        raise BadBody(413, f"the body is too long: {error.text}") from error
    except web.RequestPayloadError as error:
        raise BadBody(400, f"the body cannot be decoded: {error}") from error
    except ValueError as error:
        raise BadBody(400, f"expected the body to be JSON: {error}") from error
