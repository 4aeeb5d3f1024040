"""Whatever a client sends, the model server does not fail: hypothesis looks for a body that is answered with 5xx."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.pods.model_server.inference_protocol import MODEL as CLASSIFIER
from tests.unit.model_server.schema_names import KINDS

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Running, Start

INFER = f"/v2/models/{CLASSIFIER}/infer"
PATHS = [*KINDS, INFER]
TYPED = {"Content-Type": "application/json"}
MANY = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20) | st.sampled_from([0, 1, 2, 16])
)
JSON = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4), max_leaves=12
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": st.text(max_size=30)},
        optional={"name": st.text(max_size=5), "tool_calls": st.lists(JSON, max_size=2), "refusal": st.text(max_size=5)},
    ),
    min_size=1,
    max_size=3,
)
PROMPTS = (
    st.text(min_size=1, max_size=30)
    | st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3)
    | st.lists(st.integers(0, 2**46), min_size=1, max_size=5)
    | st.lists(st.lists(st.integers(0, 10**5), min_size=1, max_size=3), min_size=1, max_size=3)
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "messages": MESSAGES,
    "prompt": PROMPTS,
    "input": PROMPTS,
    "tokens": st.lists(st.integers(-1, 2**46), max_size=5),
    "model": st.sampled_from([None, "", "boring-runbook", "other"]),
    "n": st.integers(1, 3),
    "max_tokens": st.integers(0, 40),
    "min_tokens": st.integers(0, 40),
    "stop": st.text(max_size=2) | st.lists(st.text(max_size=2), max_size=3),
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries(
        {}, optional={"include_usage": st.booleans(), "continuous_usage_stats": st.booleans()}
    ),
    "stream_interval": st.integers(1, 9),
    "truncate_prompt_tokens": st.integers(-1, 30),
    "truncation_side": st.sampled_from(["left", "right"]),
    "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}])
    | st.builds(lambda s: {"type": "json_schema", "json_schema": {"name": "s", "schema": s}}, st.dictionaries(st.text(), JSON)),
    "dimensions": st.integers(1, 300),
    "encoding_format": st.sampled_from(["float", "base64"]),
    "return_token_ids": st.booleans(),
    "cache_salt": st.text(max_size=3),
    "request_id": st.text(max_size=3),
    "echo": st.booleans(),
    "ignore_eos": st.just(False),
}
"""Values that a field may well have; any other JSON is tried, too."""


NEEDED = {
    "/v1/chat/completions": ["messages"],
    "/v1/completions": ["prompt"],
    "/v1/embeddings": ["input"],
    "/tokenize": ["prompt"],
    "/detokenize": ["tokens"],
}


def bodies(path: str) -> st.SearchStrategy[Any]:
    """Objects with the path's fields, their values likely ones or any; and any JSON at all."""
    names = (
        [field.alias or name for name, field in KINDS[path].model_fields.items()]
        if path in KINDS
        else ["inputs", "outputs", "id"]
    )
    needed = {name: LIKELY[name] for name in NEEDED.get(path, ())}
    likely = {name: LIKELY[name] for name in names if name in LIKELY and name not in needed}
    valid = st.fixed_dictionaries(needed, optional=likely)
    wild = st.dictionaries(st.sampled_from(names), JSON, max_size=3)
    return JSON | st.fixed_dictionaries(needed) | valid | st.builds(lambda a, b: {**a, **b}, valid, wild)


def send(running: Running, loop: asyncio.AbstractEventLoop, path: str, data: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request from the thread that hypothesis runs in."""

    async def post() -> tuple[int, bytes]:
        async with running.http.post(running.url + path, data=data, headers=headers) as response:
            return response.status, await response.read()

    return asyncio.run_coroutine_threadsafe(post(), loop).result(30)


def looks_right(status: int, body: bytes, path: str) -> None:
    """No 5xx; an error has the API's shape, and a stream no error in it."""
    assert status < 500, body
    if status >= 400:
        error = json.loads(body)["error"]
        assert (
            isinstance(error, str) if path == INFER else error["message"] and set(error) == {"message", "type", "param", "code"}
        )
    elif body.startswith(b"data: "):
        assert b'data: {"error"' not in body and body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", PATHS)
async def test_any_json(start: Start, path: str) -> None:
    running, loop = await start("--max-num-seqs=64", "--max-waiting=200"), asyncio.get_running_loop()
    seen: set[int] = set()

    @MANY
    @given(body=bodies(path))
    def ask(body: Any) -> None:
        status, text = send(running, loop, path, json.dumps(body).encode(), TYPED)
        looks_right(status, text, path)
        seen.add(status)

    await asyncio.to_thread(ask)
    assert 400 in seen and (200 in seen or path == INFER), "both sides of the line were tried"


@pytest.mark.parametrize("path", PATHS)
async def test_any_bytes_under_any_type_and_encoding(start: Start, path: str) -> None:
    running, loop = await start(), asyncio.get_running_loop()
    types = st.sampled_from(["application/json", "application/json; charset=latin-9000", "text/plain", ";;", 'a/b; c="', ""])
    encodings = st.sampled_from(["", "gzip", "deflate", "br", "nonsense"])

    @MANY
    @given(data=st.binary(max_size=60), kind=types, encoding=encodings)
    def ask(data: bytes, kind: str, encoding: str) -> None:
        headers = {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
        status, text = send(running, loop, path, data, headers)
        assert 400 <= status < 500, text

    await asyncio.to_thread(ask)


NESTED = b"[" * 100_000 + b"]" * 100_000
ODD = {
    "nested lists": NESTED,
    "nested objects": b'{"messages":' * 50_000,
    "nested in a field": b'{"messages": [{"role": "user", "content": "x"}], "metadata": ' + NESTED + b"}",
    "no UTF-8": b'{"prompt": "\xff\xfe"}',
    "UTF-16": '{"prompt": "x"}'.encode("utf-16"),
    "half a surrogate": b'{"prompt": "\\ud800"}',
    "a number of thousands of digits": b'{"max_tokens": ' + b"9" * 5000 + b"}",
    "a number of a thousand digits": b'{"max_tokens": ' + b"9" * 1000 + b"}",
    "infinite": b'{"temperature": 1e999}',
    "not a number": b'{"temperature": NaN}',
    "empty": b"",
    "a word": b'"hello"',
    "null": b"null",
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
@pytest.mark.parametrize("path", PATHS)
async def test_odd_json_is_a_bad_request(start: Start, path: str, data: bytes) -> None:
    running = await start()
    async with running.http.post(running.url + path, data=data, headers=TYPED) as response:
        assert response.status == 400 and (await response.json())["error"]


async def test_what_is_packed_is_unpacked_and_what_is_not_json_by_name_is_refused(start: Start) -> None:
    running = await start()
    url, body = running.url + "/v1/completions", b'{"prompt": "p95"}'

    async def status(data: bytes, **headers: str) -> int:
        async with running.http.post(url, data=data, headers={k.replace("_", "-"): v for k, v in headers.items()}) as response:
            return response.status

    packed = gzip.compress(body)
    assert await status(packed, Content_Type="application/json; charset=utf-8", Content_Encoding="gzip") == 200
    assert await status(packed[:12], Content_Type="application/json", Content_Encoding="gzip") == 400
    assert await status(body, Content_Type="application/json", Content_Encoding="gzip") == 400
    for other in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        assert await status(body, Content_Type=other) == 415


async def test_a_body_without_an_end_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.pods.model_server.server.MOST_BYTES", 1000)
    running = await start()
    async with running.http.post(running.url + "/v1/completions", data=b" " * 2000, headers=TYPED) as response:
        assert response.status == 413 and "too long" in (await response.json())["error"]["message"]
