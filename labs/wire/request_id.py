"""The name of a request, by which its traces in different places are found: the client's, or one made up here."""

from __future__ import annotations

import re
import uuid

from aiohttp import web

HEADER = "X-Request-Id"
KEY = web.RequestKey("request_id", str)
GOOD = re.compile(r"[\x21-\x7e]{1,128}")
"""Printable ASCII without spaces; anything else is not repeated in headers and logs."""


def give_id(http: web.Request) -> str:
    """Give a request its id: that of its header, if it is one."""
    given = http.headers.get(HEADER, "")
    http[KEY] = given if GOOD.fullmatch(given) else uuid.uuid4().hex
    return http[KEY]


def id_of(http: web.Request, wished: str | None = None) -> str:
    """The id of a request: its header's, else the one that its body wishes for, else the one made up."""
    return wished if wished and HEADER not in http.headers else http[KEY]


async def sign(http: web.Request, response: web.StreamResponse) -> None:
    """An ``on_response_prepare`` signal: every answer names its request, also one that no handler gave."""
    response.headers[HEADER] = http.get(KEY) or give_id(http)
