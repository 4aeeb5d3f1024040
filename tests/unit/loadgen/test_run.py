"""The generator against real servers: it never waits for answers, and every failure becomes a record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from labs.pods.loadgen import main as loadgen
from labs.pods.loadgen.options import parser, schedule
from labs.wire.sse import encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
BODY = {"choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": 7}}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server whose every path is the given handler; gives its URL."""
    runners: list[web.AppRunner] = []

    async def run(handler: Handler) -> str:
        app = web.Application()
        app.router.add_post("/{path:.*}", handler)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield run
    for runner in runners:
        await runner.cleanup()


async def measure(capsys: pytest.CaptureFixture[str], url: str, *flags: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    args = parser().parse_args([f"--url={url}", "--rps=50", "--seconds=0.4", *flags])
    await loadgen.run(args, [] if args.users else schedule(args))
    start, *records, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (start["kind"], summary["kind"]) == ("start", "summary")
    assert args.users or start["planned"] == len(records)
    assert {record["kind"] for record in records} == {"request"}
    return sorted(records, key=lambda record: record["id"]), summary


async def test_answers_are_recorded_with_who_gave_them(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"x-served-by-pod": "p", "x-served-by-gpu": "GPU-1", "x-inference-seconds": "0.5"}

    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/v1/chat/completions"
        return web.json_response(BODY, headers=headers)

    records, summary = await measure(capsys, await serve(answer))
    assert len(records) == 20 and all(record["ok"] for record in records)
    assert {(r["pod"], r["gpu"], r["tokens"], r["model_seconds"]) for r in records} == {("p", "GPU-1", 7, 0.5)}
    assert summary["by_pod"] == {"p": 20} and summary["tokens"] == 140 and summary["offered_rps"] == 50


async def test_requests_go_through_the_proxy_that_the_environment_names(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def mesh(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return web.json_response(BODY)

    monkeypatch.setenv("HTTP_PROXY", await serve(mesh))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    records, _ = await measure(capsys, "http://model-server.ml.svc.cluster.local:8000", "--seconds=0.1")
    assert all(record["ok"] for record in records)
    assert set(asked) == {"http://model-server.ml.svc.cluster.local:8000/v1/chat/completions"}


async def test_a_stall_does_not_stop_the_schedule_and_shows_in_the_tail(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole server stands still for 0.6 s: an open loop keeps sending, and each request waits for the rest of the stall."""
    begin = asyncio.get_running_loop().time()

    async def stalled(_: web.Request) -> web.Response:
        await asyncio.sleep(max(0.0, begin + 0.6 - asyncio.get_running_loop().time()))
        return web.json_response(BODY)

    records, summary = await measure(capsys, await serve(stalled))
    assert max(record["lag"] for record in records) < 0.1
    assert records[0]["latency"] > 0.5 and records[10]["latency"] == pytest.approx(records[0]["latency"] - 0.2, abs=0.08)
    assert summary["latency"]["p50"] > 0.3 and summary["achieved_rps"] < 50


async def test_timeouts_count_with_the_timeouts_value(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    records, summary = await measure(capsys, await serve(never), "--timeout=0.3")
    assert {(record["error"], record["status"]) for record in records} == {("timeout", 0)}
    assert all(record["latency"] == pytest.approx(0.3, abs=1e-5) for record in records)
    assert summary["timeouts"] == summary["requests"] == 20 and summary["latency"]["p99"] == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("flags", [[], ["--stream"], ["--chat"]])
async def test_refusals_keep_the_status_and_the_proxys_word(
    serve: Serve, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"l5d-proxy-error": "service in fail-fast"})

    records, summary = await measure(capsys, await serve(refuse), *flags)
    assert {(record["status"], record["ok"]) for record in records} == {(503, False)}
    assert summary["errors"] == {"http 503: service in fail-fast": 20} and summary["achieved_rps"] == 0


async def test_no_server_at_all(capsys: pytest.CaptureFixture[str], unused_tcp_port: int) -> None:
    records, _ = await measure(capsys, f"http://127.0.0.1:{unused_tcp_port}")
    assert all(record["status"] == 0 and record["error"].startswith("connect: ") for record in records)


async def test_streams_give_first_token_and_gaps(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept"] == "text/event-stream"
        response = web.StreamResponse()
        await response.prepare(request)
        for text in ("a", "b", "c"):
            await asyncio.sleep(0.05)
            await response.write(encode(json.dumps({"text": text}), "token"))
        done = {"answer": "abc", "cluster": "gpu", "pod": "p", "node": "n", "gpu": "g", "timings": {"tokens": 3}}
        await response.write(encode(json.dumps(done), "done"))
        return response

    records, summary = await measure(capsys, await serve(stream), "--chat", "--stream", "--itl")
    for record in records:
        assert record["ok"] and record["tokens"] == 3 and record["cluster"] == "gpu"
        assert 0.04 < record["ttft"] < record["latency"] and len(record["itl"]) == 2
    assert summary["itl"]["p50"] == pytest.approx(0.05, abs=0.03) and summary["ttft"]["p50"] < summary["latency"]["p50"]


@pytest.mark.parametrize("last", [encode('{"error": {"message": "CUDA error"}}'), b"data: not json\n\n", b""])
async def test_a_stream_that_breaks_is_no_success(serve: Serve, capsys: pytest.CaptureFixture[str], last: bytes) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(last)
        return response

    records, _ = await measure(capsys, await serve(stream), "--stream")
    assert all(record["status"] == 200 and not record["ok"] and record["error"].startswith("stream: ") for record in records)


async def test_a_closed_loop_omits_what_an_open_loop_sees(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """A server stands still for 0.5 s. Who waits for answers sends nothing meanwhile and has one bad request."""
    clock = asyncio.get_running_loop().time
    begin = 0.0

    async def stalls(_: web.Request) -> web.Response:
        await asyncio.sleep(max(0.005, begin + 0.7 - clock() if clock() > begin + 0.2 else 0.005))
        return web.json_response(BODY)

    url = await serve(stalls)
    met = []
    for flags in (["--users=1", "--think=0.015"], []):
        begin = clock()
        records, summary = await measure(capsys, url, "--seconds=1", *flags)
        met.append(sum(record["latency"] > 0.25 for record in records))
    # The one user met the stall once; of 50 requests a second about twelve came so early in it that they waited this long.
    assert met[0] <= 2 < 6 <= met[1]
    assert summary["offered_rps"] == 50


async def test_a_closed_loop_has_as_many_requests_on_the_way_as_users(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    running: list[int] = [0]
    most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal most
        running[0] += 1
        most = max(most, running[0])
        await asyncio.sleep(0.02)
        running[0] -= 1
        return web.json_response(BODY)

    records, summary = await measure(capsys, await serve(answer), "--users=3")
    assert most == 3 and summary["offered_rps"] is None
    assert sorted(record["id"] for record in records) == list(range(len(records)))
    assert all(record["lag"] < 0.2 for record in records)


async def test_lengths_and_a_trace_reach_the_server(serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response(BODY)

    url = await serve(answer)
    await measure(capsys, url, "--prompt-tokens=40", "--answer-tokens=uniform:5:9", "--shared-tokens=20")
    words = [body["messages"][0]["content"].split() for body in seen]
    assert {len(text) for text in words} == {40} and len({tuple(text[:20]) for text in words}) == 1 < len({*map(tuple, words)})
    assert {body["max_tokens"] for body in seen} <= set(range(5, 10)) and all(body["ignore_eos"] for body in seen)

    seen.clear()
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n10.0,30,3\n10.4,50,4\n")
    records, summary = await measure(capsys, url, f"--trace={trace}", "--trace-speed=2")
    assert [len(body["messages"][0]["content"].split()) for body in seen] == [30, 50]
    assert [body["max_tokens"] for body in seen] == [3, 4]
    assert records[1]["intended"] - records[0]["intended"] == pytest.approx(0.2, abs=1e-4) and summary[
        "offered_rps"
    ] == pytest.approx(10)


async def test_goodput_counts_only_what_keeps_the_slo(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    count = 0

    async def every_second_is_slow(_: web.Request) -> web.Response:
        nonlocal count
        count += 1
        await asyncio.sleep(2 if count % 2 else 0)
        return web.json_response(BODY)

    _, summary = await measure(capsys, await serve(every_second_is_slow), "--slo=latency=1.5")
    assert summary["ok"] == 20 and summary["goodput"]["share"] == 0.5
    assert summary["goodput"]["rps"] == pytest.approx(summary["achieved_rps"] / 2, rel=0.01)


async def test_summaries_of_pods_merge(serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(BODY)

    url = await serve(answer)
    for name in ("one", "two"):
        _, summary = await measure(capsys, url)
        (tmp_path / name).write_text("a proxy's note\n" + json.dumps(summary, separators=(",", ":")) + "\n")
    assert loadgen.main(["merge", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert (merged["pods"], merged["requests"], merged["offered_rps"], merged["tokens"]) == (2, 40, 100, 280)
    assert merged["latency"]["max"] >= summary["latency"]["max"] > 0 and merged["ttft"] is None
    assert loadgen.main(["merge"]) == 2
