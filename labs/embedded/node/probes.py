"""One attempt of a probe or of an HTTP/TCP lifecycle handler, with the kubelet's words for what went wrong.

Messages name the pod's address in the API, as on any cluster; the address dialled is the one its network has for it, so that the
answer of a meshed pod comes through its proxy.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import os
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from labs.embedded import plan
from labs.embedded.node.context import OUTPUT_LIMIT, PodContext
from labs.embedded.node.expansion import expand
from labs.embedded.node.model import ContainerRecord, Object, StartError

USER_AGENT = "kube-probe/1.37"
MAX_REDIRECTS = 10
"""Most redirects to follow, as in Go's HTTP client."""
REDIRECTS = (301, 302, 303, 307, 308)


class Outcome(enum.Enum):
    """UNKNOWN (the probe itself broke) counts neither way; WARNING is a success with an event."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"

    @property
    def passes(self) -> bool:
        return self in (Outcome.SUCCESS, Outcome.WARNING)


Result = tuple[Outcome, str]


def port_number(port: int | str, container: Object) -> int:
    """The number of a port given by number or by the name of one of the container's ports.

    Raises:
        ValueError: there is no port of that name.
    """
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for entry in container.get("ports", []):
        if entry.get("name") == port:
            number: int = entry["containerPort"]
            return number
    raise ValueError(f"couldn't find port: {port}")


async def attempt(context: PodContext, container: ContainerRecord, probe: Object) -> Result:
    """Run ``probe`` once."""
    timeout = probe.get("timeoutSeconds", 1)
    try:
        if "exec" in probe:
            written = {
                entry["name"]: entry.get("value", "") for entry in container.spec.get("env", []) if "valueFrom" not in entry
            }
            command = [expand(word, written) for word in probe["exec"]["command"]]
            return await _exec(context, container, command, timeout)
        if "httpGet" in probe:
            return await http(context.record.ip, container.spec, probe["httpGet"], timeout)
        if "tcpSocket" in probe:
            return await _tcp(context.record.ip, container.spec, probe["tcpSocket"], timeout)
        if "grpc" not in probe:
            raise ValueError("the embedded backend knows probes by exec, httpGet, tcpSocket and grpc")
        from labs.embedded.node import grpc_probe  # 30 MB of memory: import only when needed

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


@dataclass(frozen=True)
class HttpTarget:
    """Where an HTTP probe goes, and with which headers."""

    url: str
    headers: dict[str, str]

    @classmethod
    def of(cls, ip: str, container: Object, action: Object) -> HttpTarget:
        """Raises ValueError when the port's name is not one of the container's."""
        port = port_number(action["port"], container)
        host, path = action.get("host") or ip, "/" + action.get("path", "/").lstrip("/")
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        headers |= {header["name"]: header["value"] for header in action.get("httpHeaders", [])}
        return cls(f"{action.get('scheme', 'HTTP').lower()}://{host}:{port}{path}", headers)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def dialled(self) -> str:
        """The URL with the address that the network has for its host."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return parts._replace(netloc=f"{plan.network().dial(self.host)}{port}").geturl()

    def redirected(self, location: str) -> HttpTarget:
        return HttpTarget(urljoin(self.url, location), {name: value for name, value in self.headers.items() if name != "Host"})


async def http(ip: str, container: Object, action: Object, timeout: float) -> Result:
    """``httpGet``: any status from 200 to 399 is success. Redirects are followed as long as they stay on the host.

    Raises:
        ValueError: see ``HttpTarget.of``.
    """
    target = HttpTarget.of(ip, container, action)
    shown = f'Get "{target.url}"'
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
            return await _follow(session, target)
    except TimeoutError:
        return Outcome.FAILURE, f"{shown}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except aiohttp.ClientConnectorError as error:
        return Outcome.FAILURE, f"{shown}: {_dial_error(error.os_error, target.netloc)}"
    except aiohttp.ServerDisconnectedError:
        return Outcome.FAILURE, f"{shown}: EOF"
    except (aiohttp.ClientError, OSError) as error:
        return Outcome.FAILURE, f"{shown}: {error}"


async def _follow(session: aiohttp.ClientSession, first: HttpTarget) -> Result:
    target = first
    for _ in range(MAX_REDIRECTS):
        headers = {"Host": target.netloc} | target.headers
        async with session.get(target.dialled, headers=headers, ssl=False, allow_redirects=False) as response:
            location = response.headers.get("Location")
            following = target.redirected(location) if response.status in REDIRECTS and location else None
            if following is None or following.host != first.host:
                return await _judge(response)
        target = following
    return Outcome.FAILURE, f'Get "{target.url}": stopped after {MAX_REDIRECTS} redirects'


async def _judge(response: aiohttp.ClientResponse) -> Result:
    if not 200 <= response.status < 400:
        return Outcome.FAILURE, f"HTTP probe failed with statuscode: {response.status}"
    if response.status < 300:
        return Outcome.SUCCESS, ""
    body = (await response.content.read(OUTPUT_LIMIT)).decode(errors="replace")
    return Outcome.WARNING, f"Probe terminated redirects, Response body: {body}"


async def _tcp(ip: str, container: Object, action: Object, timeout: float) -> Result:
    port = port_number(action["port"], container)
    host = action.get("host") or ip
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(plan.network().dial(host), port), timeout)
    except TimeoutError:
        return Outcome.FAILURE, f"dial tcp {host}:{port}: i/o timeout"
    except OSError as error:
        return Outcome.FAILURE, _dial_error(error, f"{host}:{port}")
    writer.close()
    return Outcome.SUCCESS, ""


def _dial_error(error: OSError, address: str) -> str:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"dial tcp {address}: {'connect: ' if error.errno != errno.EADDRNOTAVAIL else ''}{reason}"
