"""``roundtrip serve``; ``roundtrip ask URL`` prints one JSON line; ``roundtrip watch URL`` one for each change of status."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from labs.pods.roundtrip.client import Ask, Way
from labs.pods.roundtrip.server import serve
from labs.pods.roundtrip.watch import watch


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="roundtrip", description="A minimal server and client.")
    programs = found.add_subparsers(dest="program", required=True)
    server = programs.add_parser("serve", help="answer every request with two bytes, on BIND_ADDRESS")
    server.add_argument("--port", type=int, default=8080)
    client = programs.add_parser("ask", help="ask URL and print how long each answer took")
    client.add_argument("--rps", type=float, default=100, help="requests a second, whether or not answers come")
    client.add_argument("--connections", type=int, default=0, help="ask as fast as this many connections can instead")
    watcher = programs.add_parser("watch", help="ask URL over one connection and print when the status changes")
    watcher.add_argument("--every", type=float, default=0.02, help="seconds between two requests")
    for program in (client, watcher):
        program.add_argument("url")
        program.add_argument("--seconds", type=float, default=5)
        program.add_argument("--straight", action="store_true", help="bypass HTTP_PROXY and call a pod's address")
    return found


def main(argv: list[str]) -> int:
    """0 when everything was sent, even if requests failed; 2 for wrong usage."""
    args = parser().parse_args(argv)
    if args.program == "serve":
        asyncio.run(serve(os.environ.get("BIND_ADDRESS", "0.0.0.0"), args.port))
        return 0
    proxy = None if args.straight else os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy")
    try:
        way = Way.to(args.url, proxy)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if args.program == "watch":
        asyncio.run(watch(way, args.every, args.seconds, tell))
    else:
        ask = Ask(way)
        asking = ask.at_most(args.connections, args.seconds) if args.connections else ask.at_rate(args.rps, args.seconds)
        tell(asyncio.run(asking).row())
    return 0


def tell(row: dict[str, Any]) -> None:
    print(json.dumps(row, separators=(",", ":")), flush=True)
