"""No field is silently ignored: each of OpenAI's and vLLM's is in the document, and does what the document says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from labs.config import ROOT
from labs.pods.model_server.prompts import Message
from labs.pods.model_server.request_body import NoEffect, NotOffered
from tests.unit.model_server.schema_names import CHAT, COMPLETIONS, EMBEDDINGS, KINDS, OPENAI, VLLM

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Start

DOCUMENT = ROOT / "docs" / "openai-api.md"
ROW = re.compile(r"^\| `(\w+)` \| (honoured|no effect|refused)( except [^|]+)? \| (.+) \|$", re.MULTILINE)
VALID: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "XID 79?"}]},
    COMPLETIONS: {"prompt": "XID 79?"},
    EMBEDDINGS: {"input": "XID 79?"},
    "/tokenize": {"prompt": "XID 79?"},
    "/detokenize": {"tokens": [1]},
}
NO_EFFECT: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.1,
    "seed": 7,
    "frequency_penalty": 1,
    "presence_penalty": -1,
    "repetition_penalty": 1.2,
    "length_penalty": 2,
    "skip_special_tokens": False,
    "spaces_between_special_tokens": False,
    "add_special_tokens": True,
    "return_token_offsets": True,
    "return_mm_kwargs": False,
    "session_id": "s",
    "user": "u",
    "parallel_tool_calls": False,
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"ttl": "1h"},
    "prompt_cache_retention": "24h",
    "include_reasoning": False,
    "safety_identifier": "s",
}
"""A value for each field that has no effect."""


def section(path: str) -> str:
    """The part of the document about one path, or about messages."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.split(r"^##", text.partition(f" `POST {path}`\n" if "/" in path else f" {path}\n")[2], flags=re.MULTILINE)[0]


def documented(path: str) -> dict[str, tuple[str, str]]:
    """Field → how it is handled, and why."""
    return {name: (handling, text) for name, handling, _, text in ROW.findall(section(path))}


def marked(kind: Any) -> dict[str, NoEffect | NotOffered | None]:
    """Field → its mark; None for one that is honoured."""
    marks = (NoEffect, NotOffered)
    return {
        field.alias or name: next((mark for mark in field.metadata if isinstance(mark, marks)), None)
        for name, field in kind.model_fields.items()
    }


@pytest.mark.parametrize("path", KINDS)
def test_every_field_of_both_schemas_is_documented(path: str) -> None:
    names = OPENAI.get(path, set()) | VLLM[path]
    assert len(names) >= 2 and names - documented(path).keys() == set()


@pytest.mark.parametrize(("path", "kind"), [*KINDS.items(), ("A message", Message)])
def test_the_document_says_what_the_models_say(path: str, kind: Any) -> None:
    rows, found = documented(path), {}
    for name, mark in marked(kind).items():
        handling = {NoEffect: "no effect", NotOffered: "refused"}.get(type(mark), "honoured")
        found[name] = (handling, mark.reason if mark else rows.get(name, ("", "missing"))[1])
        if isinstance(mark, NotOffered):
            neutral = ", ".join(f"`{json.dumps(value)}`" for value in mark.neutral)
            assert (f"| `{name}` | refused except {neutral} |" if neutral else f"| `{name}` | refused |") in section(path)
    assert found == rows


@pytest.mark.parametrize("path", KINDS)
async def test_what_is_refused_names_the_field_and_its_exceptions_are_taken(start: Start, path: str) -> None:
    running = await start()
    for name, mark in marked(KINDS[path]).items():
        if not isinstance(mark, NotOffered):
            continue
        for value in ({"lab": 1}, [1], "lab", 77, -77.5, *({True, False} - {v for v in mark.neutral if isinstance(v, bool)})):
            response = await running.post(path, **VALID[path] | {name: value})
            error = (await response.json())["error"]
            assert (response.status, error["param"], error["code"]) == (400, name, "unsupported_value"), (name, value)
            assert mark.reason in error["message"]
        for value in (None, *mark.neutral):
            response = await running.post(path, **VALID[path] | {name: value})
            assert response.status == 200, (name, value, await response.text())


@pytest.mark.parametrize("path", KINDS)
async def test_what_has_no_effect_has_none_but_is_checked(start: Start, path: str) -> None:
    running = await start()

    async def answer(**more: object) -> Any:
        response = await running.post(path, **VALID[path] | more)
        body = await response.json()
        assert response.status == 200, (more, body)
        if "usage" in body:
            body["usage"].pop("prompt_tokens_details", None)  # what the cache has depends on the request before
        return {name: value for name, value in body.items() if name not in ("id", "created")}

    plain = await answer()
    for name, mark in marked(KINDS[path]).items():
        if isinstance(mark, NoEffect):
            assert await answer(**{name: NO_EFFECT[name]}) == plain, name
            response = await running.post(path, **VALID[path] | {name: [["wrong"]]})
            assert response.status == 400 and (await response.json())["error"]["param"] == name
    assert await answer(model=None) == await answer(model="") == plain


async def test_a_field_in_no_table_is_refused(start: Start) -> None:
    running = await start()
    for path, body in VALID.items():
        response = await running.post(path, **body, no_such_field=1)
        error = (await response.json())["error"]
        assert (response.status, error["param"]) == (400, "no_such_field")
        assert error["message"] == "Unrecognized request argument supplied: no_such_field."
