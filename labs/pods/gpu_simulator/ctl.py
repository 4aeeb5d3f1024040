"""Commands for the running simulator, over its work socket: typed by hand or through ``kubectl exec``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from labs.pods.gpu_simulator.faults import UnknownFault, fault_of
from labs.wire.sockets import short

TIMEOUT = 10.0


class Refused(Exception):
    """The simulator answered with an error."""


async def call(socket: str, method: str, path: str) -> Any:
    """One call; the decoded answer.

    Raises:
        Refused: it answered with an error, whose text this carries.
        aiohttp.ClientError, OSError: nothing answers on the socket.
    """
    connector = aiohttp.UnixConnector(str(short(Path(socket))))
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as http,
        http.request(method, f"http://gpu{path}") as response,
    ):
        answer = await response.json()
        if response.status >= 400:
            raise Refused(answer["error"])
        return answer


async def run(args: argparse.Namespace) -> int:
    """Run one command; 0, or 1 with the reason on stderr."""
    try:
        print(await COMMANDS[args.command](args))
    except (Refused, UnknownFault) as error:
        print(error, file=sys.stderr)
        return 1
    except (aiohttp.ClientError, OSError) as error:
        print(f"no GPU simulator answers on {args.socket}: {error}", file=sys.stderr)
        return 1
    return 0


async def _list(args: argparse.Namespace) -> str:
    gpus = await call(args.socket, "GET", "/v1/gpus")
    return json.dumps(gpus, indent=2) if args.json else _columns(gpus)


def _columns(gpus: list[dict[str, Any]]) -> str:
    heads = ("GPU", "STATE", "UTIL", "MEMORY", "POWER", "TEMP", "CLOCK", "PACE", "FAULTS", "PODS", "UUID")
    rows = [heads, *(_row(gpu) for gpu in gpus)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(gpu: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(gpu["index"]),
        gpu["state"],
        f"{gpu['utilization_percent']}%",
        f"{gpu['memory_used_bytes'] / 2**30:.1f}GiB",
        f"{gpu['power_w']:.0f}W",
        f"{gpu['temperature_c']:.0f}C",
        f"{gpu['sm_clock_mhz']}MHz",
        f"{gpu['pace']:.2f}",
        ",".join(gpu["faults"]) or "-",
        ",".join(gpu["pods"]) or "-",
        gpu["uuid"],
    )


async def _fault(args: argparse.Namespace) -> str:
    if args.action == "list":
        return json.dumps(await _faults(args), indent=2)
    if args.gpu is None and not fault_of(args.fault).node:
        raise Refused(f"{args.fault} is a fault of one GPU: say which with --gpu")
    method = "PUT" if args.action == "inject" else "DELETE"
    gpu = await call(args.socket, method, f"/v1/gpus/{args.gpu or 0}/faults/{args.fault}")
    return json.dumps(gpu, indent=2)


async def _faults(args: argparse.Namespace) -> dict[str, Any]:
    gpus = await call(args.socket, "GET", "/v1/gpus")
    chosen = [gpu for gpu in gpus if args.gpu in (None, str(gpu["index"]), gpu["uuid"])]
    if not chosen:
        raise Refused(f"no GPU {args.gpu!r} here; there are: {', '.join(str(gpu['index']) for gpu in gpus)}")
    active = [{"gpu": gpu["index"], "uuid": gpu["uuid"], "faults": gpu["faults"], "xid": gpu["xid"]} for gpu in chosen]
    return {"known": await call(args.socket, "GET", "/v1/faults"), "gpus": active}


async def _show(args: argparse.Namespace) -> str:
    return json.dumps(await call(args.socket, "GET", f"/v1/gpus/{args.gpu}"), indent=2)


COMMANDS = {"list": _list, "show": _show, "fault": _fault}
