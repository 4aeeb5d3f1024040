"""``python -m labs.pods loadgen``: a load generator. What it prints is described in README.md."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
from hdrh.histogram import HdrHistogram

from labs.pods.loadgen.client import Clock, LoadClient
from labs.pods.loadgen.loops import closed_loop, open_loop
from labs.pods.loadgen.options import parser, prompts, schedule
from labs.pods.loadgen.prompts import Prompt, Prompts
from labs.pods.loadgen.record import Record
from labs.pods.loadgen.summary import Summary, histogram, merge
from labs.pods.loadgen.target import ChatTarget, OpenAiTarget, Target
from labs.pods.loadgen.trace import Arrival, BadTrace
from labs.wire.env_proxy import env_proxy

LOOP_SAMPLE = 0.01
"""Length in seconds of the sleep whose lateness measures the event loop's lag."""


def emit(line: dict[str, Any]) -> None:
    """Print one line and flush it: `kubectl logs -f` follows, and a killed pod keeps what it measured."""
    print(json.dumps(line, separators=(",", ":")), flush=True)


async def run(args: argparse.Namespace, plan: Sequence[Arrival]) -> None:
    """Send everything, whatever the answers are, and print as they come in. A closed loop has no plan."""
    questions = prompts(args)
    asked = [_prompt(questions, id, arrival) for id, arrival in enumerate(plan)]
    summary, lag = Summary(None if args.users else _offered(args, plan), args.slo), histogram()
    # Freeze what exists now: the garbage collector need not scan it while requests are due.
    gc.freeze()

    def take(record: Record) -> None:
        summary.add(record)
        emit(record.line(with_itl=args.itl))

    # No limit on connections: a pool that makes requests wait would silently close the loop.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, proxy=env_proxy(args.url), timeout=aiohttp.ClientTimeout()) as http:
        target: Target = ChatTarget() if args.chat else OpenAiTarget(args.stream, args.max_tokens)
        client = LoadClient(http, args.url, target, args.timeout, args.stream, Clock())
        emit(_start_line(args, client.clock.now(), len(plan)))
        watcher = asyncio.create_task(_watch_loop(lag))
        if args.users:
            await closed_loop(client, args.users, args.seconds, args.think, questions.draw, take)
        else:
            await open_loop(client, [arrival.due for arrival in plan], asked, take)
        watcher.cancel()
    emit(summary.line(lag))


def _prompt(questions: Prompts, id: int, arrival: Arrival) -> Prompt:
    """A trace's lengths take precedence over those of the flags."""
    drawn = questions.draw(id)
    text = questions.filled(drawn.text, arrival.prompt_tokens, random.Random(f"{questions.seed} trace {id}"))
    return Prompt(text, arrival.answer_tokens or drawn.answer_tokens)


def _offered(args: argparse.Namespace, plan: Sequence[Arrival]) -> float:
    """Average requests per second of the schedule."""
    if args.trace:
        return len(plan) / max(plan[-1].due, 1e-9)
    last: float = args.rps
    return (args.rps_from + last) / 2 if args.arrivals == "ramp" else last


async def _watch_loop(lag: HdrHistogram) -> None:
    """Record in microseconds how late short sleeps end: a busy event loop sends late and measures late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_SAMPLE
        await asyncio.sleep(LOOP_SAMPLE)
        lag.record_value(max(1, round((loop.time() - due) * 1e6)))


def _start_line(args: argparse.Namespace, started: float, planned: int) -> dict[str, Any]:
    names = ("url", "rps", "seconds", "arrivals", "users", "seed", "timeout", "stream")
    values = {name: getattr(args, name) for name in names}
    return {"kind": "start", "started": round(started, 6), "api": "chat" if args.chat else "openai", "planned": planned, **values}


def _merge(logs: list[str]) -> int:
    """``loadgen merge LOG …``: print one summary of several pods' output."""
    if not logs:
        print("usage: loadgen merge LOG …: files with the output of load generators", file=sys.stderr)
        return 2
    lines = [line for log in logs for line in Path(log).read_text(encoding="utf-8").splitlines()]
    emit(merge([json.loads(line) for line in lines if line.startswith('{"kind":"summary"')]))
    return 0


def main(argv: list[str]) -> int:
    """Entry point: 0 when everything was sent, even if requests failed; 2 for wrong flags or an invalid trace."""
    if argv[:1] == ["merge"]:
        return _merge(argv[1:])
    args = parser().parse_args(argv)
    try:
        plan = [] if args.users else schedule(args)
    except (BadTrace, OSError) as error:
        print(f"cannot replay {args.trace}: {error}", file=sys.stderr)
        return 2
    asyncio.run(run(args, plan))
    return 0
