"""The chat in front of a real model server, and in front of ones that fail in each way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from labs.config import ROOT
from labs.pods.chat.server import PAGE, ChatApi
from labs.pods.chat.trouble import BY_CODE, explain
from labs.pods.chat.upstream import ModelServer
from labs.wire.sse import Decoder, Event, encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Ask = Callable[..., Awaitable[aiohttp.ClientResponse]]
SIGNED = {f"x-served-by-{name}": name.upper() for name in ("cluster", "pod", "node", "gpu")}
SERVER = ROOT / "labs" / "pods" / "model_server"
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def ask() -> AsyncIterator[Callable[[Handler | str], Awaitable[Ask]]]:
    """``ask = await before(handler)``: a chat whose model server is ``handler`` (or a URL); then ``await ask(body, headers)``."""
    runners: list[web.AppRunner] = []
    http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1))

    async def listen(app: web.Application) -> str:
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def before(model: Handler | str) -> Ask:
        if not isinstance(model, str):
            upstream = web.Application()
            upstream.router.add_post("/v1/chat/completions", model)
            model = await listen(upstream)
        url = await listen(ChatApi(ModelServer(http, model, "m")).application())

        async def post(
            body: object = None, headers: dict[str, str] | None = None, data: bytes | None = None
        ) -> aiohttp.ClientResponse:
            sent = json.dumps(body or {"message": "hello"}).encode() if data is None else data
            patient = aiohttp.ClientTimeout(total=5)
            return await http.post(url + "/api/chat", data=sent, headers=headers, timeout=patient)

        return post

    yield before
    for runner in runners:
        await runner.cleanup()
    await http.close()


Before = Callable[[Handler | str], Awaitable[Ask]]


async def answer(request: web.Request) -> web.StreamResponse:
    """A model server that says "one two"."""
    asked = await request.json()
    assert (
        request.headers["X-Request-Id"] and asked["messages"] == [{"role": "user", "content": "hello"}] and asked["model"] == "m"
    )
    if not asked.get("stream"):
        body = {"choices": [{"message": {"content": "one two"}}], "usage": {"completion_tokens": 2}}
        return web.json_response(body, headers=SIGNED | {"x-inference-seconds": "0.25"})
    response = web.StreamResponse(headers=SIGNED)
    await response.prepare(request)
    for text in ("one", " two"):
        await response.write(encode(json.dumps({"choices": [{"delta": {"content": text}}]})))
    await response.write(encode(json.dumps({"choices": [], "usage": {"completion_tokens": 2}})) + encode("[DONE]"))
    return response


async def events(response: aiohttp.ClientResponse) -> list[Event]:
    return Decoder().feed(await response.read())


async def test_json_says_the_answer_who_gave_it_and_how_long_it_took(ask: Before) -> None:
    body = await (await (await ask(answer))()).json()
    assert (body["answer"], body["cluster"], body["pod"], body["node"], body["gpu"]) == (
        "one two",
        "CLUSTER",
        "POD",
        "NODE",
        "GPU",
    )
    assert (
        body["request_id"]
        and body["timings"]["model"] == 0.25
        and body["timings"]["tokens"] == 2
        and body["timings"]["total"] > 0
    )


async def test_a_stream_brings_tokens_then_the_same_body(ask: Before) -> None:
    *tokens, done = await events(await (await ask(answer))(headers=STREAM))
    assert [(event.name, json.loads(event.data)["text"]) for event in tokens] == [("token", "one"), ("token", " two")]
    body = json.loads(done.data)
    assert done.name == "done" and body["answer"] == "one two" and body["pod"] == "POD"
    assert 0 < body["timings"]["first_token"] <= body["timings"]["total"]


@pytest.mark.parametrize("headers", [{}, STREAM])
@pytest.mark.parametrize(
    ("status", "sent", "text", "hop", "message"),
    [
        (403, {"l5d-proxy-error": "unauthorized"}, "", "mesh", "unauthorized"),
        (503, {}, "upstream connect error", "mesh", "upstream connect error"),
        (500, SIGNED, '{"error": {"message": "CUDA error"}}', "model server", "CUDA error"),
        (429, SIGNED | {"Retry-After": "3"}, '{"error": {"message": "full"}}', "model server", "full"),
    ],
)
async def test_refusals_keep_status_and_say_where_it_ended(
    ask: Before, headers: dict[str, str], status: int, sent: dict[str, str], text: str, hop: str, message: str
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=sent, text=text)

    response = await (await ask(refuse))(headers=headers)
    error = (await response.json())["error"]
    assert (response.status, error["status"], error["hop"], error["message"]) == (status, status, hop, message)
    assert response.headers.get("l5d-proxy-error") == sent.get("l5d-proxy-error") == error.get("l5d_proxy_error")
    assert response.headers.get("Retry-After") == sent.get("Retry-After")


async def test_nobody_there_and_too_slow(ask: Before, unused_tcp_port: int) -> None:
    response = await (await ask(f"http://127.0.0.1:{unused_tcp_port}"))()
    assert response.status == 502 and (await response.json())["error"]["hop"] == "network"


@pytest.mark.parametrize("body", [b"[]", b"not json", b'{"choices": []}'])
async def test_an_answer_that_does_not_fit_is_a_bad_gateway(ask: Before, body: bytes) -> None:
    async def wrong(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    response = await (await ask(wrong))()
    assert response.status == 502 and (await response.json())["error"]["hop"] == "model server"


@pytest.mark.parametrize(
    ("rest", "hop"),
    [(encode('{"error": {"message": "CUDA error"}}'), "model server"), (b"", "network"), (b"data: {}\n\n", "model server")],
)
async def test_a_failure_in_the_stream_is_an_error_event(ask: Before, rest: bytes, hop: str) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=SIGNED)
        await response.prepare(request)
        await response.write(encode(json.dumps({"choices": [{"delta": {"content": "one"}}]})) + rest)
        return response

    first, last = await events(await (await ask(broken))(headers=STREAM))
    assert first.name == "token" and last.name == "error"
    assert json.loads(last.data)["error"]["hop"] == hop


@pytest.mark.parametrize("headers", [{}, STREAM])
async def test_the_requests_id_goes_to_the_model_and_comes_back(ask: Before, headers: dict[str, str]) -> None:
    seen: list[str] = []

    async def loses_its_gpu(request: web.Request) -> web.Response:
        seen.append(request.headers["X-Request-Id"])
        error = {"message": "EngineDeadError: gone", "code": "engine_dead"}
        return web.json_response({"error": error}, status=500, headers=SIGNED)

    post = await ask(loses_its_gpu)
    response = await post(headers=headers | {"X-Request-Id": "trace-7"})
    error = (await response.json())["error"]
    assert seen == ["trace-7"] and response.headers["X-Request-Id"] == error["request_id"] == "trace-7"
    assert error["code"] == "engine_dead" and "lost its GPU" in error["explanation"]
    response = await post(headers=headers | {"X-Request-Id": "no good id"})
    assert response.headers["X-Request-Id"] == seen[1] not in ("", "no good id")


@pytest.mark.parametrize(
    ("status", "hop", "code", "words"),
    [
        (429, "model server", "queue_full", "more questions than it can take right now. You can ask again"),
        (503, "model server", "model_loading", "loading its weights onto the GPU. You can ask again"),
        (400, "model server", "context_length_exceeded", "too long for the model."),
        (404, "model server", "model_not_found", "its settings are wrong."),
        (500, "model server", "no such code", "could not answer. You can ask again"),
        (403, "mesh", None, "policy does not allow"),
        (503, "mesh", None, "did not let the question through"),
        (504, "network", None, "No answer came in time."),
        (502, "network", None, "cannot reach the model server. You can ask again"),
        (400, "chat", None, "could not read the question."),
        (405, "chat", None, "nothing at this address."),
        (500, "chat", None, "The chat itself failed."),
    ],
)
def test_trouble_is_told_in_plain_words(status: int, hop: str, code: str | None, words: str) -> None:
    assert words in explain(status, hop, code)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_no_word_of_the_trade_in_an_explanation(code: str) -> None:
    text = explain(500, "model server", code)
    assert not re.search(r"\b(upstream|engine|HTTP|\d{3}|KV|pod|token)\b", text) and text.endswith(".")


def test_every_code_of_the_model_server_is_explained() -> None:
    """The codes that it gives to what is not the client's own mistake are written in its sources."""
    sources = (SERVER / name for name in ("openai_handlers.py", "sequence.py", "answers.py", "request_body.py"))
    codes = {code for path in sources for code in re.findall(r'\bcode ?= ?"(\w+)"', path.read_text())}
    assert codes - {"unsupported_value"} == BY_CODE.keys()


async def test_odd_bodies_are_bad_requests(ask: Before) -> None:
    post = await ask("http://127.0.0.1:9")
    for data in (b"\xff", b"[" * 100_000, b'{"message": "\\ud800"}', b"", '{"message": "x"}'.encode("utf-16")):
        response = await post(data=data, headers={"Content-Type": "application/json; charset=latin-9000"})
        error = (await response.json())["error"]
        assert (response.status, error["hop"], error["explanation"]) == (400, "chat", "The chat could not read the question.")


async def test_a_deadline_in_the_models_stream_is_a_timeout(ask: Before) -> None:
    async def late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=SIGNED)
        await response.prepare(request)
        await response.write(encode('{"error": {"message": "no complete answer within 1 s", "code": "deadline_exceeded"}}'))
        return response

    (event,) = await events(await (await ask(late))(headers=STREAM))
    error = json.loads(event.data)["error"]
    assert (event.name, error["status"], error["code"]) == ("error", 504, "deadline_exceeded")
    assert "did not finish its answer in time" in error["explanation"]


@pytest.mark.parametrize("body", [[], {"message": ""}, {"message": 7}, {"text": "x"}, {"message": "x" * 5000}])
async def test_bad_questions_are_refused_before_anyone_is_asked(ask: Before, body: object) -> None:
    response = await (await ask("http://127.0.0.1:9"))(body or ["x"])
    assert response.status == 400 and (await response.json())["error"]["hop"] == "chat"


def test_the_page_needs_nothing_from_elsewhere_and_can_be_used_by_ear_and_keyboard() -> None:
    page = PAGE.read_text()
    for name in re.findall(r'\$\("([\w-]+)"\)', page):
        assert f'id="{name}"' in page
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    assert '<html lang="en">' in page and 'aria-live="polite"' in page and ":focus-visible" in page
    for field in re.findall(r'<input id="(\w+)"', page):
        assert f'<label for="{field}">' in page
    assert "outline: none" not in page and "tabindex" not in page


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_text_has_enough_contrast_in_both_schemes() -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1; 1.4.11: 3 to 1 for the lines of controls."""
    schemes = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{[^}]*\}", PAGE.read_text())]
    assert len(schemes) == 2
    for scheme in schemes:
        for ink, ground, ratio in (
            ("ink", "paper", 4.5),
            ("ink", "box", 4.5),
            ("soft", "paper", 4.5),
            ("accent", "paper", 4.5),
            ("bad", "paper", 4.5),
            ("line", "paper", 3),
        ):
            light, dark = sorted((_luminance(scheme[ink]), _luminance(scheme[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= ratio, (ink, ground)


async def test_a_model_server_that_dies_or_stalls_in_the_stream_is_told_so(ask: Before) -> None:
    for stall, status in ((False, 502), (True, 504)):

        async def dies(request: web.Request, stall: bool = stall) -> web.StreamResponse:
            response = web.StreamResponse(headers=SIGNED)
            await response.prepare(request)
            await response.write(encode(json.dumps({"choices": [{"delta": {"content": "one"}}]})))
            await asyncio.sleep(2 if stall else 0.1)
            assert request.transport is not None
            request.transport.abort()
            return response

        first, last = await events(await (await ask(dies))(headers=STREAM))
        assert first.name == "token" and last.name == "error"
        error = json.loads(last.data)["error"]
        assert (error["status"], error["hop"]) == (status, "network")
