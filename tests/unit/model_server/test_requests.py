"""What people's clients send, held to OpenAI and vLLM: lists of prompts, token ids, formats, lengths, ids of requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
from pydantic import BaseModel

from labs.pods.model_server import tokens
from labs.wire.sse import Decoder

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Running, Start

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
QUESTION = [{"role": "user", "content": "XID 79?"}]


@pytest.fixture
async def running(start: Start) -> AsyncIterator[Running]:
    yield await start()


async def good(running: Running, path: str, **body: object) -> Any:
    response = await running.post(path, **body)
    assert response.status == 200, await response.text()
    return await response.json()


async def chunks(running: Running, path: str, **body: object) -> list[Any]:
    response = await running.post(path, stream=True, **body)
    assert response.status == 200, await response.text()
    *data, done = [event.data for event in Decoder().feed(await response.read())]
    assert done == "[DONE]"
    return [json.loads(text) for text in data]


def joined(parts: list[Any], index: int) -> str:
    """The text of one choice of a stream of completions."""
    return "".join(row["text"] for part in parts for row in part["choices"] if row["index"] == index)


async def test_each_prompt_of_a_list_gets_its_choices(running: Running) -> None:
    body = await good(running, COMPLETIONS, prompt=["XID 79?", "What is p95?"], n=2, max_tokens=200)
    texts = [choice["text"] for choice in body["choices"]]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert texts[0] == texts[1] != texts[2] == texts[3] and "gpu-xid-79" in texts[0]
    one = await good(running, COMPLETIONS, prompt="XID 79?", max_tokens=200)
    two = await good(running, COMPLETIONS, prompt="What is p95?", max_tokens=200)
    counts = [answer["usage"] for answer in (body, one, two)]
    assert counts[0]["prompt_tokens"] == counts[1]["prompt_tokens"] + counts[2]["prompt_tokens"], "each prompt once"
    assert counts[0]["completion_tokens"] == 2 * (counts[1]["completion_tokens"] + counts[2]["completion_tokens"])


async def test_a_stream_of_several_choices_is_the_same_text(running: Running) -> None:
    asked: dict[str, Any] = {"prompt": ["XID 79?", "What is p95?"], "max_tokens": 30}
    whole = await good(running, COMPLETIONS, **asked)
    parts = await chunks(running, COMPLETIONS, **asked, stream_options={"include_usage": True})
    assert [joined(parts, index) for index in (0, 1)] == [choice["text"] for choice in whole["choices"]]
    ends = {row["index"]: row["finish_reason"] for part in parts for row in part["choices"] if row["finish_reason"]}
    assert ends == {0: "length", 1: "length"} and parts[-1]["usage"]["completion_tokens"] == 60


async def test_a_request_takes_all_its_places_or_none(start: Start) -> None:
    running = await start("--max-num-seqs=2", "--max-waiting=1", "--tokens-per-second=20")
    response = await running.post(COMPLETIONS, prompt=["a", "b", "c", "d"])
    error = (await response.json())["error"]
    assert (response.status, error["param"]) == (400, "prompt") and "at most 3 answers" in error["message"]
    stream = await running.post(COMPLETIONS, prompt=["a", "b"], stream=True)
    await stream.content.readany()
    refused = await running.post(COMPLETIONS, prompt=["a", "b"])
    assert refused.status == 429 and len(running.server.engine.waiting) == 0
    stream.close()


async def test_token_ids_are_taken_as_prompts(running: Running) -> None:
    ids = (await good(running, "/tokenize", prompt="What does XID 79 mean?"))["tokens"]
    by_ids = await good(running, COMPLETIONS, prompt=ids, max_tokens=200)
    by_text = await good(running, COMPLETIONS, prompt="What does XID 79 mean?", max_tokens=200)
    assert by_ids["choices"] == by_text["choices"] and by_ids["usage"]["prompt_tokens"] == by_text["usage"]["prompt_tokens"]
    assert len((await good(running, COMPLETIONS, prompt=[[1, 2, 3], ids]))["choices"]) == 2
    assert len((await good(running, COMPLETIONS, prompt=[1, 2, 3]))["choices"]) == 1


@pytest.mark.parametrize("prompt", [None, "", [], [[]], ["a", ""], ["a", 1], [True], [-1], [10**18], [1.5], {"a": 1}, 7])
async def test_what_is_no_prompt_is_refused(running: Running, prompt: object) -> None:
    for path, field in ((COMPLETIONS, "prompt"), (EMBEDDINGS, "input")):
        response = await running.post(path, **{field: prompt})
        assert response.status == 400 and (await response.json())["error"]["param"].startswith(field)


async def test_embeddings_of_token_ids_as_langchain_sends_them(running: Running) -> None:
    """LangChain sends ids of OpenAI's tokenizer: equal texts must be near, others not."""
    ids = [[2028, 374, 279, 1176], [2028, 374, 279, 1176], [9906, 1917, 3923, 527]]
    body = await good(running, EMBEDDINGS, input=ids)
    same, again, other = (row["embedding"] for row in body["data"])
    assert same == again and sum(a * b for a, b in zip(same, other, strict=True)) < 0.5
    assert sum(x * x for x in same) == pytest.approx(1) and body["usage"]["prompt_tokens"] == 12
    assert (await good(running, EMBEDDINGS, input=[5, 6]))["data"][0]["index"] == 0


async def test_a_very_long_prompt_is_told_that_it_is_too_long(running: Running) -> None:
    long = "word " * 240_000  # 1.2 MB
    bodies: list[tuple[str, dict[str, object], str]] = [
        (CHAT, {"messages": [{"role": "user", "content": long}]}, "messages"),
        (COMPLETIONS, {"prompt": long}, "prompt"),
        (COMPLETIONS, {"prompt": ["short", long]}, "prompt"),
        (EMBEDDINGS, {"input": ["short", long]}, "input"),
        (EMBEDDINGS, {"input": [[7] * 3000]}, "input"),
    ]
    for path, body, param in bodies:
        response = await running.post(path, **body)
        error = (await response.json())["error"]
        assert (response.status, error["code"], error["param"]) == (400, "context_length_exceeded", param)
    assert (await running.post(EMBEDDINGS, input=["x"] * 2049)).status == 400


async def test_a_long_prompt_may_be_cut(running: Running) -> None:
    long = "never mind " * 2000 + "What does XID 79 mean?"
    for keep in (30, -1):
        body = await good(running, COMPLETIONS, prompt=long, truncate_prompt_tokens=keep, max_tokens=60)
        assert "gpu-xid-79" in body["choices"][0]["text"] and body["usage"]["prompt_tokens"] <= 2048 - 60
    right = await good(running, COMPLETIONS, prompt=long, truncate_prompt_tokens=30, truncation_side="right", max_tokens=60)
    assert "gpu-xid-79" not in right["choices"][0]["text"]
    assert (await good(running, EMBEDDINGS, input=long, truncate_prompt_tokens=8))["usage"]["prompt_tokens"] == 8


async def test_only_a_system_message(running: Running) -> None:
    body = await good(running, CHAT, messages=[{"role": "system", "content": "What does XID 79 mean?"}])
    assert "gpu-xid-79" in body["choices"][0]["message"]["content"]


async def test_a_conversation_with_calls_of_tools_and_parts(running: Running) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "name": "ada",
            "content": [{"type": "text", "text": "What does"}, {"type": "text", "text": "XID 79 mean?"}],
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "c", "content": "nothing"},
    ]
    body = await good(running, CHAT, messages=messages, return_prompt_text=True)
    assert "gpu-xid-79" in body["choices"][0]["message"]["content"]
    assert "user (ada): What does XID 79 mean?" in body["prompt_text"] and '"name":"look"' in body["prompt_text"]


async def test_tools_that_may_not_be_called_are_allowed(running: Running) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    await good(running, CHAT, messages=QUESTION, tools=tools, tool_choice="none")
    await good(running, CHAT, messages=QUESTION, tool_choice="none")


async def test_an_answer_as_a_json_object(running: Running) -> None:
    body = await good(running, CHAT, messages=QUESTION, response_format={"type": "json_object"})
    made = json.loads(body["choices"][0]["message"]["content"])
    assert made["entry"] == "gpu-xid-79" and body["choices"][0]["finish_reason"] == "stop"
    cut = await good(running, CHAT, messages=QUESTION, response_format={"type": "json_object"}, max_tokens=3)
    assert cut["choices"][0]["finish_reason"] == "length"
    plain = await good(running, CHAT, messages=QUESTION, response_format={"type": "text"})
    assert plain["choices"][0]["message"]["content"].startswith("[runbook: ")


class Finding(BaseModel):
    """What a client wants to know."""

    entry: str
    command: str
    urgent: bool


async def test_an_answer_in_a_clients_own_shape(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        answer = await client.chat.completions.parse(
            model="boring-runbook", messages=[{"role": "user", "content": "XID 79?"}], response_format=Finding
        )
    found = answer.choices[0].message.parsed
    assert found is not None and (found.entry, found.urgent) == ("gpu-xid-79", True)
    refused = await running.ask(
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "string", "pattern": "(a+)+$"}}}
    )
    assert refused.status == 400 and (await refused.json())["error"]["param"] == "response_format"


async def test_stops_say_what_stopped_the_answer(running: Running) -> None:
    whole = (await good(running, CHAT, messages=QUESTION))["choices"][0]
    assert whole["stop_reason"] is None
    (cut,) = (await good(running, CHAT, messages=QUESTION, stop=["never", " Type:"]))["choices"]
    assert (cut["finish_reason"], cut["stop_reason"]) == ("stop", " Type:") and " Type:" not in cut["message"]["content"]
    (kept,) = (await good(running, CHAT, messages=QUESTION, stop=" Type:", include_stop_str_in_output=True))["choices"]
    assert kept["message"]["content"].endswith(" Type:")
    id = tokens.encode(" Type")
    (by_id,) = (await good(running, CHAT, messages=QUESTION, stop_token_ids=[id]))["choices"]
    assert by_id["stop_reason"] == id and by_id["message"]["content"] == cut["message"]["content"]


async def test_lengths(running: Running) -> None:
    default = await good(running, COMPLETIONS, prompt="XID 79?")
    assert default["usage"]["completion_tokens"] == 16 and default["choices"][0]["finish_reason"] == "length"
    longer = await good(running, COMPLETIONS, prompt="XID 79?", max_tokens=500, min_tokens=300)
    assert longer["usage"]["completion_tokens"] == 300 and longer["choices"][0]["finish_reason"] == "stop"
    assert (await running.post(COMPLETIONS, prompt="x", max_tokens=0)).status == 400
    both = await good(running, CHAT, messages=QUESTION, max_tokens=9, max_completion_tokens=3)
    assert both["usage"]["completion_tokens"] == 3


async def test_an_echo_comes_before_the_answer(running: Running) -> None:
    body = await good(running, COMPLETIONS, prompt="XID 79?", echo=True, max_tokens=5)
    assert body["choices"][0]["text"].startswith("XID 79?[runbook")
    parts = await chunks(running, COMPLETIONS, prompt="XID 79?", echo=True, max_tokens=5)
    assert joined(parts, 0) == body["choices"][0]["text"]
    alone = await good(running, COMPLETIONS, prompt="XID 79?", echo=True, max_tokens=0)
    assert alone["choices"][0]["text"] == "XID 79?" and alone["usage"]["completion_tokens"] == 0
    assert joined(await chunks(running, COMPLETIONS, prompt="XID 79?", echo=True, max_tokens=0), 0) == "XID 79?"


async def test_a_stream_in_larger_pieces_and_with_counts(running: Running) -> None:
    asked: dict[str, Any] = {"prompt": "p95", "max_tokens": 9, "stream_interval": 4, "return_token_ids": True}
    parts = await chunks(running, COMPLETIONS, **asked, stream_options={"continuous_usage_stats": True})
    sizes = [len(part["choices"][0].get("token_ids", [])) for part in parts]
    assert sizes == [0, 1, 4, 4, 0] and [part["usage"]["completion_tokens"] for part in parts][1::2] == [1, 9]
    assert len(parts[0]["choices"][0]["prompt_token_ids"]) == parts[-1]["usage"]["prompt_tokens"]


async def test_ids_of_tokens_spell_the_answer(running: Running) -> None:
    body = await good(running, CHAT, messages=QUESTION, return_token_ids=True)
    choice = body["choices"][0]
    spelled = await good(running, "/detokenize", tokens=choice["token_ids"])
    assert spelled["prompt"] == choice["message"]["content"] and len(choice["token_ids"]) == body["usage"]["completion_tokens"]
    made = await good(running, "/tokenize", messages=QUESTION, return_token_strs=True)
    assert made["tokens"] == body["prompt_token_ids"] and made["count"] == body["usage"]["prompt_tokens"] == len(
        made["token_strs"]
    )
    assert made["max_model_len"] == 2048
    refused = await running.post("/detokenize", tokens=[10**17])
    assert refused.status == 400 and (await refused.json())["error"]["param"] == "tokens"


async def test_salted_prompts_share_their_cache_only_with_their_own(running: Running) -> None:
    long = [{"role": "user", "content": "What does XID 79 mean for the pod that holds the GPU, and what do I type then?"}]

    async def cached(**more: object) -> int:
        body = await good(running, CHAT, messages=long, max_tokens=1, **more)
        return int(body["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert await cached(cache_salt="a") == 0 and await cached(cache_salt="b") == 0 and await cached() == 0
    assert await cached(cache_salt="a") > 0 and await cached() > 0


async def test_a_requests_id_is_carried_through(running: Running) -> None:
    headers = {"X-Request-Id": "trace-7"}
    async with running.http.post(running.url + CHAT, json={"messages": QUESTION}, headers=headers) as response:
        assert response.headers["X-Request-Id"] == "trace-7" and (await response.json())["id"] == "chatcmpl-trace-7"
    async with running.http.post(running.url + CHAT, json={"messages": []}, headers=headers) as refused:
        assert (refused.status, refused.headers["X-Request-Id"]) == (400, "trace-7")
    async with running.http.get(running.url + "/health", headers={"X-Request-Id": "two words"}) as made_up:
        assert made_up.headers["X-Request-Id"] not in ("", "two words")
    assert (await good(running, CHAT, messages=QUESTION, request_id="mine"))["id"] == "chatcmpl-mine"
    assert (await good(running, EMBEDDINGS, input="x", request_id="mine"))["id"] == "embd-mine"
    assert (await running.ask(request_id="new\nline")).status == 400


async def test_metrics_are_on_the_apis_port_too(running: Running) -> None:
    await good(running, COMPLETIONS, prompt=["a", "b"], n=3)
    async with running.http.get(running.url + "/metrics") as page:
        text = await page.text()
    assert page.headers["Content-Type"].startswith("text/plain") and "vllm:num_requests_running" in text
    assert 'vllm:request_params_n_bucket{engine="0",le="2.0",model_name="boring-runbook"} 0.0' in text
    assert 'vllm:request_params_n_count{engine="0",model_name="boring-runbook"} 2.0' in text


async def test_a_model_that_is_not_there(running: Running) -> None:
    async with running.http.get(running.url + "/v1/models/gpt-4/turbo") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (404, "model_not_found", "model")
