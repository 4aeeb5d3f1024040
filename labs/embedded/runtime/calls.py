"""A gRPC call on the server's side: its context, and how errors become statuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

import grpc

from labs.embedded.runtime.node import OutOfAddresses
from labs.embedded.runtime.shim_client import ShimError
from labs.embedded.runtime.streaming import StreamingError
from labs.embedded.runtime.translate import Unsupported

log = logging.getLogger(__name__)
T = TypeVar("T")
CODES: dict[type[Exception], grpc.StatusCode] = {
    OutOfAddresses: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unsupported: grpc.StatusCode.INVALID_ARGUMENT,
    ShimError: grpc.StatusCode.UNKNOWN,
    StreamingError: grpc.StatusCode.UNAVAILABLE,
    OSError: grpc.StatusCode.INTERNAL,
}
"""The status a call ends with, by the error it raised."""


class Context(Protocol):
    """The part of ``grpc.ServicerContext`` that is used."""

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn: ...


def fail(context: Context, error: Exception) -> NoReturn:
    """End the call with the error's status and message."""
    code = next(code for kind, code in CODES.items() if isinstance(error, kind))
    log.warning("%s: %s", type(error).__name__, error)
    context.abort(code, str(error))


def attempt(context: Context, call: Callable[[], T]) -> T:
    """The result of ``call()``; a known error ends the gRPC call with its status."""
    try:
        return call()
    except tuple(CODES) as error:
        fail(context, error)
