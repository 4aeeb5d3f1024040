"""The load generator's flags."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from labs.pods.loadgen import arrivals, slo, trace
from labs.pods.loadgen.prompts import QUESTIONS, Prompts, distribution

T = TypeVar("T")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="loadgen", description="Load generator: JSON lines on stdout, described in README.md.")
    p.add_argument("--url", type=_url, required=True, help="base URL of the target")
    p.add_argument("--chat", action="store_true", help="the target is the chat's API, not OpenAI's")
    p.add_argument("--stream", action="store_true", help="ask for server-sent events")
    p.add_argument("--rps", type=_positive, default=6.0)
    p.add_argument("--seconds", type=_positive, default=30.0)
    p.add_argument("--arrivals", choices=arrivals.ARRIVALS, default="constant")
    p.add_argument("--rps-from", type=_not_negative, default=0.0, help="the rate that a ramp starts with")
    p.add_argument("--burst-every", type=_positive, default=5.0, help="seconds between two bursts")
    p.add_argument("--trace", type=Path, help="replay the arrivals (and lengths) of this CSV file")
    p.add_argument("--trace-speed", type=_positive, default=1.0, help="2 is twice as fast as recorded")
    p.add_argument("--users", type=_count, help="a closed loop: this many users who wait for their answers")
    p.add_argument("--think", type=_not_negative, default=0.0, help="seconds between a closed-loop user's requests")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--timeout", type=_positive, default=10.0, help="seconds from the intended send time")
    p.add_argument("--max-tokens", type=_count, default=128, help="upper bound of an answer (OpenAI's API only)")
    p.add_argument("--prompt", action="append", help="repeatable")
    p.add_argument("--prompt-tokens", type=_checked(distribution), help="200, uniform:50:400 or lognormal:200:0.8")
    p.add_argument("--answer-tokens", type=_checked(distribution), help="the same for answers (OpenAI's API only)")
    p.add_argument("--shared-tokens", type=_count_or_none, default=0, help="number of tokens that all prompts start with")
    p.add_argument("--slo", type=_checked(slo.parse), help="count goodput: ttft=0.5,tpot=0.05,latency=5 (seconds)")
    p.add_argument("--itl", action="store_true", help="add the gaps between tokens to each record")
    return p


def prompts(args: argparse.Namespace) -> Prompts:
    """The prompts that the flags ask for."""
    return Prompts(args.prompt or QUESTIONS, args.prompt_tokens, args.answer_tokens, args.shared_tokens, args.seed)


def schedule(args: argparse.Namespace) -> list[trace.Arrival]:
    """Everything an open loop will send.

    Raises:
        trace.BadTrace: the trace is invalid.
        OSError: it cannot be read.
    """
    if args.trace:
        with args.trace.open(encoding="utf-8") as lines:
            return trace.read(lines, args.trace_speed)
    due = {
        "constant": lambda: arrivals.constant(args.rps, args.seconds),
        "poisson": lambda: arrivals.poisson(args.rps, args.seconds, args.seed),
        "ramp": lambda: arrivals.ramp(args.rps_from, args.rps, args.seconds),
        "burst": lambda: arrivals.burst(args.rps, args.seconds, args.burst_every),
    }
    return [trace.Arrival(moment) for moment in due[args.arrivals]()]


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """argparse shows the text of its own error only."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def _not_negative(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more; found {text}")
    return value


def _positive(text: str) -> float:
    value = _not_negative(text)
    if not value:
        raise argparse.ArgumentTypeError(f"expected a number above 0; found {text}")
    return value


def _count(text: str) -> int:
    value = _count_or_none(text)
    if not value:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0; found {text}")
    return value


def _count_or_none(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more; found {text}")
    return int(text)


def _url(text: str) -> str:
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError(f"expected a URL such as http://chat.shop.svc.cluster.local:8080; found {text}")
    return text.rstrip("/")
