"""OpenAI's shapes over real HTTP: answers, streams, errors, and what a client that leaves or a full queue does."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from labs.wire.sse import Decoder

if TYPE_CHECKING:
    from tests.unit.model_server.conftest import Running, Start


async def events(response: aiohttp.ClientResponse) -> list[str]:
    return [event.data for event in Decoder().feed(await response.read())]


async def test_a_chat_answer_has_openais_shape_and_names_its_source(start: Start) -> None:
    running = await start()
    response = await running.ask(model="boring-runbook")
    body = await response.json()
    assert response.status == 200 and body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-")
    (choice,) = body["choices"]
    assert choice["index"] == 0 and choice["finish_reason"] == "stop" and choice["message"]["role"] == "assistant"
    assert "[runbook: gpu-xid-79]" in choice["message"]["content"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert {name for name in response.headers if name.startswith("x-served-by")} == {
        f"x-served-by-{name}" for name in ("pod", "node", "gpu", "cluster")
    }
    assert float(response.headers["x-inference-seconds"]) > 0


async def test_a_stream_is_the_same_text_in_chunks(start: Start) -> None:
    running = await start()
    whole = (await (await running.ask()).json())["choices"][0]["message"]["content"]
    response = await running.ask(stream=True, stream_options={"include_usage": True})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *data, done = await events(response)
    assert done == "[DONE]"
    *chunks, usage = [json.loads(text) for text in data]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == whole
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == len(chunks) - 2


async def test_completions_and_models(start: Start) -> None:
    running = await start()
    body = await (await running.post("/v1/completions", prompt="What is p95?", max_tokens=5)).json()
    assert body["object"] == "text_completion" and body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5
    *data, _ = await events(await running.post("/v1/completions", prompt="What is p95?", max_tokens=5, stream=True))
    assert "".join(json.loads(text)["choices"][0]["text"] for text in data) == body["choices"][0]["text"]
    models = await (await running.http.get(running.url + "/v1/models")).json()
    assert [model["id"] for model in models["data"]] == ["boring-runbook"]


async def test_stop_cuts_the_answer(start: Start) -> None:
    running = await start()
    body = await (await running.ask(stop=[" Type:"])).json()
    assert " Type:" not in body["choices"][0]["message"]["content"] and body["choices"][0]["finish_reason"] == "stop"


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "gpt-4"}, 404, "model_not_found", "model"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"messages": ["x"]}, 400, "invalid_type", "messages[0]"),
        ({"messages": None}, 400, "invalid_type", "messages"),
        ({"messages": [{"role": "user", "content": 7}]}, 400, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user"}]}, 400, "invalid_value", "messages[0]"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x", "mood": 1}]}, 400, "unknown_parameter", "messages[0].mood"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400,
            "unsupported_value",
            "messages[0].content",
        ),
        ({"max_tokens": 0}, 400, "invalid_value", "max_tokens"),
        ({"max_completion_tokens": 0, "max_tokens": 1}, 400, "invalid_value", "max_completion_tokens"),
        ({"max_completion_tokens": "many"}, 400, "invalid_type", "max_completion_tokens"),
        ({"max_tokens": 5000}, 400, "context_length_exceeded", "messages"),
        ({"n": 0}, 400, "invalid_value", "n"),
        ({"n": 2, "temperature": 0}, 400, "invalid_value", "n"),
        ({"n": 100}, 400, "invalid_value", "n"),
        ({"temperature": "hot"}, 400, "invalid_type", "temperature"),
        ({"stream": "yes"}, 400, "invalid_type", "stream"),
        ({"stream_options": {"include_usage": True}}, 400, "invalid_value", "stream_options"),
        ({"stream": True, "stream_options": {"include_mood": True}}, 400, "unknown_parameter", "stream_options.include_mood"),
        ({"stop": [1]}, 400, "invalid_type", "stop"),
        ({"stop": ""}, 400, "invalid_type", "stop"),
        ({"ignore_eos": 1}, 400, "invalid_type", "ignore_eos"),
        ({"min_tokens": 9, "max_tokens": 8}, 400, "invalid_value", "min_tokens"),
        ({"mood": "good"}, 400, "unknown_parameter", "mood"),
        ({"tools": TOOLS}, 400, "unsupported_value", "tools"),
        ({"tools": TOOLS, "tool_choice": "auto"}, 400, "unsupported_value", "tools"),
        ({"tools": TOOLS, "tool_choice": "required"}, 400, "unsupported_value", "tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, 400, "unsupported_value", "tools"),
        ({"tools": TOOLS, "tool_choice": "maybe"}, 400, "invalid_value", "tool_choice"),
        ({"tools": []}, 400, "invalid_value", "tools"),
        ({"tool_choice": "auto"}, 400, "invalid_value", "tool_choice"),
        ({"logprobs": True}, 400, "unsupported_value", "logprobs"),
        ({"response_format": {"type": "yaml"}}, 400, "invalid_value", "response_format"),
        ({"response_format": {"type": "json_schema"}}, 400, "missing_required_parameter", "response_format.json_schema"),
        ({"response_format": {"type": "json_object"}, "ignore_eos": True, "max_tokens": 9}, 400, "invalid_value", "ignore_eos"),
    ],
)
async def test_bad_requests_name_what_is_off(
    start: Start, change: dict[str, Any], status: int, code: str | None, param: str
) -> None:
    running = await start()
    response = await running.ask(**change)
    error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error" and error["message"]


async def test_what_is_not_json_and_unknown_paths_get_the_same_shape(start: Start) -> None:
    running = await start()
    typed = {"Content-Type": "application/json"}
    for response, status in (
        (await running.http.post(running.url + "/v1/chat/completions", data=b"{", headers=typed), 400),
        (await running.http.post(running.url + "/v1/chat/completions", data=b"{}"), 415),
        (await running.http.post(running.url + "/v1/images", json={}), 404),
        (await running.http.get(running.url + "/v1/chat/completions"), 405),
    ):
        assert response.status == status
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


async def test_a_full_queue_says_429_and_when_to_come_back(start: Start) -> None:
    running = await start("--max-num-seqs=1", "--max-waiting=1", "--tokens-per-second=100")
    answers = await asyncio.gather(*(running.ask() for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    (refused, _) = [answer for answer in answers if answer.status == 429]
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await refused.json())["error"]["type"] == "rate_limit_error"


async def test_a_client_that_hangs_up_frees_its_slot(start: Start) -> None:
    running = await start("--tokens-per-second=20")
    response = await running.ask(stream=True)
    await response.content.readany()
    assert len(running.server.engine.running) == 1
    response.close()
    async with asyncio.timeout(2):
        while running.server.engine.running:
            await asyncio.sleep(0.02)
    assert running.server.engine.cache.used == 0


async def test_metrics_have_vllms_names_types_and_buckets(start: Start) -> None:
    running = await start()
    await (await running.ask(stream=True)).read()
    text = await (await running.http.get(running.metrics + "/metrics")).text()
    for line in (
        "# TYPE vllm:num_requests_running gauge",
        "# TYPE vllm:kv_cache_usage_perc gauge",
        "# TYPE vllm:generation_tokens_total counter",
        "# TYPE vllm:inter_token_latency_seconds histogram",
        'vllm:num_requests_waiting{engine="0",model_name="boring-runbook"} 0.0',
        'vllm:request_success_total{engine="0",finished_reason="stop",model_name="boring-runbook"} 1.0',
        'vllm:time_to_first_token_seconds_count{engine="0",model_name="boring-runbook"} 1.0',
        'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.06",model_name="boring-runbook"}',
        'vllm:e2e_request_latency_seconds_bucket{engine="0",le="7680.0",model_name="boring-runbook"} 1.0',
    ):
        assert line in text, line
    assert "_created" not in text


async def test_while_loading_health_and_requests_say_so(start: Start) -> None:
    running: Running = await start("--load-seconds=0.6", wait=False)
    health = await running.http.get(running.url + "/health")
    assert health.status == 503 and "loading weights" in await health.text()
    response = await running.ask()
    assert response.status == 503 and (await response.json())["error"]["code"] == "model_loading"
    await running.ready()
    assert (await running.ask()).status == 200


VLLM = {
    "gauge": ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "cache_config_info"],
    "counter": [
        *("prompt_tokens_total", "prompt_tokens_cached_total", "prompt_tokens_by_source_total", "generation_tokens_total"),
        *("prefix_cache_queries_total", "prefix_cache_hits_total", "num_preemptions_total", "request_success_total"),
    ],
    "histogram": [
        *("time_to_first_token_seconds", "inter_token_latency_seconds", "request_time_per_output_token_seconds"),
        *("e2e_request_latency_seconds", "request_queue_time_seconds", "request_inference_time_seconds"),
        *("request_prefill_time_seconds", "request_decode_time_seconds", "request_prompt_tokens"),
        *("request_generation_tokens", "request_max_num_generation_tokens", "request_params_max_tokens", "request_params_n"),
        *("request_prefill_kv_computed_tokens", "iteration_tokens_total"),
    ],
}
"""The names of https://docs.vllm.ai/en/stable/usage/metrics/ that a server without LoRA, speculation and connectors has."""


async def test_every_metric_of_vllm_exists_from_the_first_scrape_on(start: Start) -> None:
    running = await start()
    text = await (await running.http.get(running.metrics + "/metrics")).text()
    found = dict(re.findall(r"^# TYPE (vllm:\S+) (\w+)$", text, re.MULTILINE))
    assert found == {f"vllm:{name}": kind for kind, names in VLLM.items() for name in names}
    reasons = re.findall(r'vllm:request_success_total\{.*finished_reason="(\w+)"', text)
    assert sorted(reasons) == ["abort", "error", "length", "stop"]
