"""One attempt of a probe or of an HTTP/TCP lifecycle handler, with the kubelet's words for what went wrong.

Messages name the pod's API address (10.x), as on any cluster; what is dialled is its wire address (127.x), so that the answer of
a meshed pod comes through its proxy.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os

import aiohttp

from labs.embedded.node.context import PodContext
from labs.embedded.node.model import ContainerRecord, Object, StartError
from labs.wire.addresses import wire

USER_AGENT = "kube-probe/1.37"


class Outcome(enum.Enum):
    """UNKNOWN (the probe itself broke) counts neither way."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


Result = tuple[Outcome, str]


def port_number(port: int | str, container: Object) -> int:
    """A port given by number or by the name of one of the container's ports.

    Raises:
        ValueError: there is no port of that name.
    """
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            return entry["containerPort"]
    raise ValueError(f"couldn't find port: {port}")


async def attempt(context: PodContext, container: ContainerRecord, probe: Object) -> Result:
    """Run ``probe`` once."""
    timeout = probe.get("timeoutSeconds", 1)
    try:
        if "exec" in probe:
            return await _exec(context, container, probe["exec"]["command"], timeout)
        if "httpGet" in probe:
            return await http(context.record.ip, container.spec, probe["httpGet"], timeout)
        if "tcpSocket" in probe:
            return await _tcp(context.record.ip, container.spec, probe["tcpSocket"], timeout)
        from labs.embedded.node import grpc_probe  # 30 MB of memory: only for those who use it

        return await grpc_probe.check(context.record.ip, probe["grpc"]["port"], probe["grpc"].get("service", ""), timeout)
    except ValueError as error:
        return Outcome.UNKNOWN, str(error)


async def _exec(context: PodContext, container: ContainerRecord, command: list[str], timeout: float) -> Result:
    try:
        result = await context.execute(container, command, timeout)
    except StartError as error:
        return Outcome.UNKNOWN, (
            "rpc error: code = Unknown desc = failed to exec in container: failed to start exec: OCI runtime exec failed: "
            f"exec failed: unable to start container process: {error}"
        )
    except TimeoutError:
        words = " ".join(command)
        return Outcome.FAILURE, f'command timed out: "{words}" timed out after {timeout}s'
    return (Outcome.SUCCESS if result.code == 0 else Outcome.FAILURE), result.output


async def http(ip: str, container: Object, action: Object, timeout: float) -> Result:
    """``httpGet``: any status from 200 to 399 is success.

    Raises:
        ValueError: the port's name is not one of the container's.
    """
    port = port_number(action["port"], container)
    scheme = action.get("scheme", "HTTP").lower()
    host, path = action.get("host") or ip, "/" + action.get("path", "/").lstrip("/")
    shown = f'Get "{scheme}://{host}:{port}{path}"'
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Host": f"{host}:{port}"}
    headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
    url = f"{scheme}://{_dialled(host)}:{port}{path}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(url, headers=headers, ssl=False, allow_redirects=False) as response,
        ):
            if 200 <= response.status < 400:
                return Outcome.SUCCESS, ""
            return Outcome.FAILURE, f"HTTP probe failed with statuscode: {response.status}"
    except TimeoutError:
        return Outcome.FAILURE, f"{shown}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except aiohttp.ClientConnectorError as error:
        return Outcome.FAILURE, f"{shown}: {_dial_error(error.os_error, host, port)}"
    except aiohttp.ServerDisconnectedError:
        return Outcome.FAILURE, f"{shown}: EOF"
    except (aiohttp.ClientError, OSError) as error:
        return Outcome.FAILURE, f"{shown}: {error}"


async def _tcp(ip: str, container: Object, action: Object, timeout: float) -> Result:
    port = port_number(action["port"], container)
    host = action.get("host") or ip
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(_dialled(host), port), timeout)
    except TimeoutError:
        return Outcome.FAILURE, f"dial tcp {host}:{port}: i/o timeout"
    except OSError as error:
        return Outcome.FAILURE, _dial_error(error, host, port)
    writer.close()
    return Outcome.SUCCESS, ""


def _dialled(host: str) -> str:
    return wire(host) if host.startswith("10.") else host


def _dial_error(error: OSError, host: str, port: int) -> str:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"dial tcp {host}:{port}: {'connect: ' if error.errno != errno.EADDRNOTAVAIL else ''}{reason}"
