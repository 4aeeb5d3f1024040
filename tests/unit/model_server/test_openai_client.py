"""OpenAI's own Python client works against the server unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Running, Start

MODEL = "boring-runbook"


@pytest.fixture
async def running(start: Start) -> Running:
    return await start()


def connect(running: Running, max_retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="none", max_retries=max_retries)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield


@pytest.fixture
async def client(running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with connect(running) as client:
        yield client


async def test_chat(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "XID 79?"}])
    assert "[runbook: gpu-xid-79]" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_chat_stream_with_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "XID 79?"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    usage = chunks[-1].usage
    assert "[runbook: gpu-xid-79]" in text and chunks[0].choices[0].delta.role == "assistant"
    assert usage and usage.completion_tokens == sum(bool(c.choices and c.choices[0].delta.content) for c in chunks)


async def test_the_second_turn_of_a_conversation_is_partly_cached(client: openai.AsyncOpenAI) -> None:
    cached = []
    for turn in range(2):
        said = "A question long enough for some blocks of sixteen tokens: what does XID 79 mean for the pod that holds the GPU?"
        more = "And what do I type then?" if turn else ""
        answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": said + more}])
        assert answer.usage and answer.usage.prompt_tokens_details
        cached.append(answer.usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == 0 and (cached[1] or 0) >= 32


async def test_completions(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model=MODEL, prompt="What is p95?", max_tokens=5)
    assert answer.choices[0].finish_reason == "length" and answer.usage and answer.usage.completion_tokens == 5
    stream = await client.completions.create(model=MODEL, prompt="What is p95?", max_tokens=5, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == answer.choices[0].text


async def test_an_answer_of_a_given_length_as_load_generators_ask_for(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model=MODEL, prompt="p95", max_tokens=700, extra_body={"ignore_eos": True})
    assert answer.usage and answer.usage.completion_tokens == 700 and answer.choices[0].finish_reason == "length"


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).owned_by == "boring-ops-lab"


async def test_embeddings_find_what_they_are_about(client: openai.AsyncOpenAI, running: Running) -> None:
    index = running.server.openai.answers.index
    made = await client.embeddings.create(model=MODEL, input=[entry.text() for entry in index.entries])
    questions = ["the GPU is hot and its clocks fall", "429 too many requests", "my container was OOMKilled with exit code 137"]
    asked = await client.embeddings.create(model=MODEL, input=questions)
    ids = ["gpu-throttling", "model-queue-full", "pod-oomkilled"]
    for question, id in zip(asked.data, ids, strict=True):
        near = max(made.data, key=lambda e: sum(a * b for a, b in zip(e.embedding, question.embedding, strict=True)))
        assert index.entries[near.index].id == id
    assert asked.usage.prompt_tokens > 10 and abs(sum(x * x for x in asked.data[0].embedding) - 1) < 1e-5


async def test_embeddings_as_floats_and_shorter(client: openai.AsyncOpenAI) -> None:
    packed = await client.embeddings.create(model=MODEL, input="GPU", dimensions=8)
    plain = await client.embeddings.create(model=MODEL, input="GPU", dimensions=8, encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6) and len(plain.data[0].embedding) == 8


async def test_errors_are_the_clients_own(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "x"}])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        await client.completions.create(model=MODEL, prompt="x", max_tokens=100_000)
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError):
        await client.embeddings.create(model=MODEL, input="")


async def test_a_full_queue_is_a_rate_limit_and_the_client_comes_back(start: Start) -> None:
    running = await start("--max-num-seqs=1", "--max-waiting=1", "--tokens-per-second=100")

    async def ask(client: openai.AsyncOpenAI) -> int:
        answer = await client.completions.create(model=MODEL, prompt="p95", max_tokens=20)
        return answer.usage.completion_tokens if answer.usage else 0

    async with connect(running) as hasty, connect(running, max_retries=5) as patient:
        busy = [asyncio.create_task(ask(patient)) for _ in range(2)]
        while len(running.server.engine.running) + len(running.server.engine.waiting) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(hasty)
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert await ask(patient) == 20
        await asyncio.gather(*busy)


async def test_a_deadline_in_the_stream_is_an_error_event(start: Start) -> None:
    running = await start("--tokens-per-second=20")
    async with connect(running) as client:
        stream = await client.completions.create(
            model=MODEL, prompt="p95", max_tokens=100, stream=True, extra_headers={"x-request-timeout-seconds": "1"}
        )
        texts = []
        with pytest.raises(openai.APIError) as late:
            async for chunk in stream:
                texts.append(chunk.choices[0].text)
        assert texts and late.value.code == "deadline_exceeded"
        assert running.server.engine.running == []
        with pytest.raises(openai.InternalServerError) as whole:
            await client.completions.create(model=MODEL, prompt="p95", extra_headers={"x-request-timeout-seconds": "0.2"})
        assert whole.value.status_code == 504
        with pytest.raises(openai.BadRequestError):
            await client.completions.create(model=MODEL, prompt="p95", extra_headers={"x-request-timeout-seconds": "soon"})


async def test_breaking_off_a_stream_frees_the_slot(start: Start) -> None:
    running = await start("--tokens-per-second=20")
    async with connect(running) as client:
        stream = await client.completions.create(model=MODEL, prompt="p95", max_tokens=100, stream=True)
        async for _ in stream:
            break
        await stream.close()
        async with asyncio.timeout(2):
            while running.server.engine.running:
                await asyncio.sleep(0.02)
    assert running.server.engine.cache.used == 0
