"""What all request bodies have in common: typed fields, none silently ignored.

A field is one of three kinds. Most are honoured. ``NoEffect`` marks those that are read and checked and change nothing;
``NotOffered`` those that are refused, unless they ask for what the server does anyway. docs/openai-api.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from labs.pods.model_server.api_errors import ApiError, Json

MOST_SHOWN = 60
"""Most characters of an invalid value, or of a field's name, in a message."""
CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter", "not_offered": "unsupported_value"}
WRONG_TYPE = "invalid_type"
WRONG_VALUE = "invalid_value"

RequestId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
"""What names a request in headers, logs and answers: printable ASCII without spaces."""
Tokens = Annotated[int, Field(ge=0, le=2**31 - 1)]


@dataclass(frozen=True)
class NoEffect:
    """A field that is read and checked and changes nothing, for this reason."""

    reason: str


class NotOffered:
    """A field that is refused for ``reason``, unless it is null or one of the ``neutral`` values, which change nothing."""

    def __init__(self, reason: str, *neutral: object) -> None:
        self.reason = reason
        self.neutral = neutral

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def _check(self, value: object) -> object:
        # True equals 1, but means something else.
        if value is None or any(type(value) is type(neutral) and value == neutral for neutral in self.neutral):
            return value
        raise PydanticCustomError("not_offered", "{reason}", {"reason": self.reason})


class Body(BaseModel):
    """A request. An unknown field is refused, and a value of another type is not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    model: str | None = None

    def check(self) -> None:
        """Check fields against each other.

        Raises:
            ApiError: 400, naming the field that conflicts with the others.
        """


B = TypeVar("B", bound=Body)


def parse(kind: type[B], body: object, served: str) -> B:
    """The request in a decoded ``body``; ``served`` is the one model on offer.

    Raises:
        ApiError: 400 or 404, naming the invalid field.
    """
    if not isinstance(body, dict):
        raise ApiError(400, f"expected a JSON object; found {shown(body)}", code=WRONG_TYPE)
    try:
        request = kind.model_validate(body)
    except ValidationError as error:
        raise _bad_request(error.errors(include_url=False)[0], body) from error
    if request.model and request.model != served:
        message = f"The model `{request.model[:MOST_SHOWN]}` does not exist; there is: `{served}`."
        raise ApiError(404, message, param="model", code="model_not_found")
    request.check()
    return request


def conflict(param: str, reason: str) -> ApiError:
    """The error for a field that conflicts with the others."""
    return ApiError(400, f"Invalid '{param}': {reason}.", param=param, code=WRONG_VALUE)


def _bad_request(error: ErrorDetails, body: Json) -> ApiError:
    kind, param = error["type"], _path(error["loc"], body)
    code = CODES.get(kind) or (WRONG_TYPE if kind.endswith("_type") else WRONG_VALUE)
    if kind == "missing":
        message = f"Missing required parameter: '{param}'."
    elif kind == "extra_forbidden":
        message = f"Unrecognized request argument supplied: {param}."
    elif kind == "not_offered":
        message = f"'{param}' is not offered here: {error['msg']}; found {shown(error['input'])}."
    else:
        message = f"Invalid '{param}': {error['msg']}; found {shown(error['input'])}."
    return ApiError(400, message, param=param, code=code)


def _path(location: tuple[int | str, ...], body: object) -> str:
    """Where an error is, in OpenAI's way: ``messages[0].content``. Steps that are not part of the body (the names that pydantic
    gives to the alternatives of a type) are left out; the last one may be missing from it."""
    path, at = "", body
    for number, step in enumerate(location):
        inside = _step(at, step)
        if inside is None and number < len(location) - 1:
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
        at = inside[0] if inside else None
    return path[:MOST_SHOWN]


def _step(at: object, step: int | str) -> tuple[object] | None:
    """What is at ``step`` of ``at``, if there is anything."""
    if isinstance(step, str) and isinstance(at, Mapping) and step in at:
        return (at[step],)
    if isinstance(step, int) and isinstance(at, list) and step < len(at):
        return (at[step],)
    return None


def shown(value: object) -> str:
    """An invalid value, abbreviated."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}"
    try:
        text = repr(value)
    except ValueError:  # Python does not print a number of thousands of digits
        return "a very large number"
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"
