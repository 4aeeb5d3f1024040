"""``response_format``: how to write an answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextFormat(BaseModel):
    """Plain text."""

    model_config = STRICT

    type: Literal["text"]


class JsonObjectFormat(BaseModel):
    """A JSON object, its fields up to the model."""

    model_config = STRICT

    type: Literal["json_object"]


class JsonSchema(BaseModel):
    """A schema with a name. Answers always follow it, whether ``strict`` or not."""

    model_config = STRICT

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class JsonSchemaFormat(BaseModel):
    """A JSON value that a schema allows."""

    model_config = STRICT

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat
