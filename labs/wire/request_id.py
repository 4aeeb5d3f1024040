"""The ID of a request, which links its traces in different places: the client's, or one generated here."""

from __future__ import annotations

import re
import uuid

from aiohttp import web

HEADER = "X-Request-Id"
KEY = web.RequestKey("request_id", str)
GOOD = re.compile(r"[\x21-\x7e]{1,128}")
"""Printable ASCII without spaces; anything else is not copied into headers and logs."""


def give_id(http: web.Request) -> str:
    """Set a request's ID: the one in its header if that is valid, otherwise a new one."""
    given = http.headers.get(HEADER, "")
    http[KEY] = given if GOOD.fullmatch(given) else uuid.uuid4().hex
    return http[KEY]


def id_of(http: web.Request, wished: str | None = None) -> str:
    """The ID of a request: its header's; without that header, the one that its body asks for; otherwise the generated one."""
    return wished if wished and HEADER not in http.headers else http[KEY]


async def sign(http: web.Request, response: web.StreamResponse) -> None:
    """An ``on_response_prepare`` signal: every response names its request, even one that no handler produced."""
    response.headers[HEADER] = http.get(KEY) or give_id(http)
