"""Answers in JSON."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.pods.model_server import structured
from labs.pods.model_server.response_format import JsonObjectFormat, JsonSchema, JsonSchemaFormat
from labs.pods.model_server.retrieval import Index

INDEX = Index.of_file()
(ENTRY, *_) = INDEX.search("XID 79")


def by_schema(schema: dict[str, Any]) -> Any:
    form = JsonSchemaFormat(type="json_schema", json_schema=JsonSchema.model_validate({"name": "s", "schema": schema}))
    return json.loads(structured.write(form, ENTRY))


def test_an_object_of_the_entry() -> None:
    made = json.loads(structured.write(JsonObjectFormat(type="json_object"), ENTRY))
    assert made == {"entry": "gpu-xid-79", "title": ENTRY.title, "cause": ENTRY.cause, "command": ENTRY.command}
    assert "no entry" in json.loads(structured.write(JsonObjectFormat(type="json_object"), None))["answer"]


def test_properties_get_what_their_names_mean() -> None:
    schema = {
        "type": "object",
        "properties": {
            "source": {"type": "string"},
            "fix": {"type": "string"},
            "found": {"type": "boolean"},
            "severity": {"enum": ["low", "high"]},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 2},
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 10}]},
            "score": {"type": "number", "exclusiveMinimum": 2},
        },
        "required": ["source", "fix"],
        "additionalProperties": False,
        "$defs": {"step": {"type": "object", "properties": {"command": {"type": "string"}}}},
    }
    made = by_schema(schema)
    assert (made["source"], made["fix"], made["found"]) == (ENTRY.id, ENTRY.command, True)
    assert made["steps"] == [{"command": ENTRY.command}] * 2 and made["severity"] == "low"
    assert len(made["note"]) == 10 and made["score"] > 2


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strange"}, "no JSON schema"),
        ({"type": "string", "pattern": "(a+)+$"}, "the keyword pattern is not offered"),
        ({"type": "object", "properties": {"when": {"type": "string", "format": "date"}}}, "the keyword format"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$ref": "#/$defs/none"}, "points at nothing"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "expected $ref to point into the schema"),
        ({"type": "array", "minItems": 10**9}, "too much"),
        ({"type": "string", "minLength": 10**9}, "no answer of that shape"),
        ({"not": {}}, "no answer of that shape"),
        ({"enum": []}, "no answer of that shape"),
        ({"type": "object", "properties": {"x": {"type": "object", "properties": {"x": {"$ref": "#"}}}}}, "refers to itself"),
    ],
)
def test_what_cannot_be_written_is_refused(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(structured.NotWritable) as refused:
        by_schema(schema)
    assert message in str(refused.value)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert len(by_schema({"type": "string", "maxLength": 3.0})) == 3
    assert len(by_schema({"type": "array", "minItems": 2.0})) == 2


def test_a_property_may_be_named_like_a_refused_keyword() -> None:
    assert by_schema({"type": "object", "properties": {"pattern": {"type": "string"}}})["pattern"]


_KEYWORDS = """
type properties items enum const anyOf allOf minItems maxItems maxLength minimum maximum required $ref prefixItems
exclusiveMaximum not additionalProperties
"""
KEYWORDS = _KEYWORDS.split()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9)
    | st.just(2.0)
    | st.sampled_from(["object", "string", "array", "number", "#", "x"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from([*KEYWORDS, "x"]), below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON, max_size=5))
def test_whatever_the_schema_the_answer_fits_it_or_there_is_none(schema: dict[str, Any]) -> None:
    try:
        made = by_schema(schema)
    except structured.NotWritable:
        return
    jsonschema.Draft202012Validator(schema).validate(made)
