"""Sends one request and records what happened. Never raises: a failure is a result."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp

from labs.pods.loadgen.prompts import Prompt
from labs.pods.loadgen.record import Record
from labs.pods.loadgen.target import StreamError, Target
from labs.wire.sse import Decoder

ERROR_TEXT = 200
"""Characters kept of an error: records go through `kubectl logs`."""


@dataclass
class Clock:
    """Unix time that never jumps: the monotonic clock, anchored once."""

    _offset: float = field(default_factory=lambda: time.time() - time.monotonic())

    def now(self) -> float:
        return time.monotonic() + self._offset


@dataclass(frozen=True)
class LoadClient:
    """How to reach the target. ``timeout`` is in seconds from the intended time."""

    http: aiohttp.ClientSession
    url: str
    target: Target
    timeout: float
    stream: bool
    clock: Clock

    async def send(self, id: int, intended: float, prompt: Prompt) -> Record:
        record = Record(id, intended, self.clock.now(), intended, streamed=self.stream)
        try:
            async with asyncio.timeout(max(0.0, intended + self.timeout - record.sent)):
                await self._exchange(prompt, record)
            record.end = self.clock.now()
        except TimeoutError:
            record.error, record.end = "timeout", intended + self.timeout
        except (aiohttp.ClientError, OSError, StreamError, ValueError, KeyError, TypeError) as error:
            record.error, record.end = _describe(error, record), self.clock.now()
        return record

    async def _exchange(self, prompt: Prompt, record: Record) -> None:
        headers = {"Accept": "text/event-stream"} if self.stream else {}
        async with self.http.post(self.url + self.target.path, json=self.target.body(prompt), headers=headers) as response:
            record.status = response.status
            self.target.read_headers(response.headers, record)
            if response.status != 200:
                record.error = _http_error(response, await response.text())
            elif self.stream:
                await self._read_stream(response, record)
            else:
                text = await response.content.readany()
                record.first_byte = self.clock.now()
                self.target.read_json(json.loads(text + await response.read()), record)

    async def _read_stream(self, response: aiohttp.ClientResponse, record: Record) -> None:
        decoder, last, pieces = Decoder(), None, 0
        async for chunk in response.content.iter_any():
            now = self.clock.now()
            for event in decoder.feed(chunk):
                if not self.target.read_event(event, record):
                    continue
                pieces += 1
                if last is not None:
                    record.itl.append(now - last)
                record.first_byte, last = record.first_byte or now, now
        record.tokens = record.tokens or pieces
        if not pieces:
            raise StreamError("ended without a token")


def _describe(error: Exception, record: Record) -> str:
    answered = "stream" if record.streamed else "body"
    kind = answered if record.status else "connect"
    return f"{kind}: {error or type(error).__name__}"[:ERROR_TEXT]


def _http_error(response: aiohttp.ClientResponse, text: str) -> str:
    """``http 503: MESSAGE``; the message is the mesh's, if there is one, else the body's."""
    message = response.headers.get("l5d-proxy-error") or _message(text)
    return f"http {response.status}: {message}"[:ERROR_TEXT].rstrip(": ")


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip().partition("\n")[0]
