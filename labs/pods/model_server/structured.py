"""Answers in JSON: the runbook's entry as an object, or as any value that a JSON schema allows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from labs.pods.model_server.response_format import JsonSchemaFormat, ResponseFormat
from labs.pods.model_server.retrieval import NOTHING_FOUND, Entry

DEEPEST = 16
"""Most levels of a schema that are followed; one that refers to itself goes deeper."""
MOST_VALUES = 300
"""Most values in one answer."""
REFUSED_KEYWORDS = {
    # A regular expression can take very long to match, and a text for it cannot be looked up.
    "pattern": "texts are looked up, not made to match a pattern",
    "patternProperties": "texts are looked up, not made to match a pattern",
    "format": "texts are looked up, not made to have a format",
}
OTHER_NAMES = {"id": "entry", "source": "entry", "fix": "command", "reason": "cause", "summary": "title"}
"""Other property names for a field of the entry."""


class NotWritable(ValueError):
    """No answer fits the schema, or the schema is invalid."""


def facts(entry: Entry | None) -> dict[str, str]:
    """The facts an answer can use, by name."""
    if entry is None:
        return {"answer": NOTHING_FOUND, "entry": "", "title": "", "cause": "", "command": ""}
    return {"answer": entry.answer(), "entry": entry.id, "title": entry.title, "cause": entry.cause, "command": entry.command}


def write(form: ResponseFormat, entry: Entry | None) -> str:
    """The answer as JSON text.

    Raises:
        NotWritable: the schema is invalid, or asks for more than the runbook can say.
    """
    known = facts(entry)
    if isinstance(form, JsonSchemaFormat):
        return _dumps(_by_schema(form.json_schema.schema_, known))
    return _dumps({name: text for name, text in known.items() if name != "answer" or entry is None})


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _by_schema(schema: dict[str, Any], known: Mapping[str, str]) -> object:
    # Imported here: with the format checkers that Jupyter installs it takes two seconds, and few requests need it.
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
        for keyword in _keywords(schema):
            if keyword in REFUSED_KEYWORDS:
                raise NotWritable(f"the keyword {keyword} is not offered: {REFUSED_KEYWORDS[keyword]}")
        value = _Writer(schema, known).value(schema, "answer", 0)
        # An empty registry: nothing is fetched, wherever a schema points.
        error = next(Draft202012Validator(schema, registry=Registry()).iter_errors(value), None)
    except (SchemaError, RecursionError) as wrong:
        raise NotWritable(f"it is no JSON schema: {getattr(wrong, 'message', wrong)}"[:300]) from wrong
    if error:
        raise NotWritable(f"the runbook has no answer of that shape: {error.message}"[:300])
    return value


def _keywords(schema: object) -> Iterator[str]:
    """All keywords in a schema; names of properties and of definitions do not count."""
    if isinstance(schema, list):
        for item in schema:
            yield from _keywords(item)
    if not isinstance(schema, dict):
        return
    for name, below in schema.items():
        yield name
        if name in ("properties", "$defs", "definitions", "dependentSchemas") and isinstance(below, dict):
            yield from _keywords(list(below.values()))
        elif name not in ("const", "enum", "default", "examples"):
            yield from _keywords(below)


class _Writer:
    """Writes a value for a schema; whether it fits in every respect is checked afterwards."""

    def __init__(self, root: dict[str, Any], known: Mapping[str, str]) -> None:
        self._root = root
        self._known = known
        self._left = MOST_VALUES

    def value(self, schema: Any, name: str, depth: int) -> object:
        """A value for the property ``name``."""
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            raise NotWritable("the schema asks for too much, or refers to itself without an end")
        if not isinstance(schema, dict):
            return self._text(name)
        if "$ref" in schema:
            return self.value(self._resolve(schema["$ref"]), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            wanted = self._text(name)
            return wanted if wanted in schema["enum"] else schema["enum"][0]
        for keyword in ("anyOf", "oneOf", "allOf"):
            if schema.get(keyword):
                return self.value(_without_null(schema[keyword]), name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> object:
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = next((k for k in kinds if k != "null"), "null") if isinstance(kinds, list) else kinds
        match kind:
            case "object":
                properties = schema.get("properties", {})
                return {key: self.value(below, key, depth + 1) for key, below in properties.items()}
            case "array":
                return self._list(schema, name, depth)
            case "number" | "integer":
                return _number(schema)
            case "boolean":
                return bool(self._known["entry"])
            case "null":
                return None
        text = self._text(name)
        return text[: int(schema.get("maxLength", len(text)))]

    def _list(self, schema: dict[str, Any], name: str, depth: int) -> list[object]:
        first = [self.value(below, name, depth + 1) for below in schema.get("prefixItems", [])]
        wanted = min(max(1, schema.get("minItems", 1)), schema.get("maxItems", MOST_VALUES), MOST_VALUES)
        return first + [self.value(schema.get("items"), name, depth + 1) for _ in range(int(wanted) - len(first))]

    def _text(self, name: str) -> str:
        return self._known.get(OTHER_NAMES.get(name, name), self._known["answer"])

    def _resolve(self, reference: object) -> object:
        """What ``#/$defs/NAME`` points at."""
        at: Any = self._root
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise NotWritable(f"expected $ref to point into the schema; found {reference!r}"[:300])
        for step in reference.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(at, dict) or key not in at:
                raise NotWritable(f"$ref points at nothing: {reference}"[:300])
            at = at[key]
        return at


def _without_null(options: list[Any]) -> Any:
    return next((option for option in options if option != {"type": "null"}), options[0])


def _number(schema: dict[str, Any]) -> object:
    """The number nearest to 0 that the limits allow."""
    low = schema.get("minimum", schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else None)
    if low is not None and low > 0:
        return low
    return high if high is not None and high < 0 else 0
