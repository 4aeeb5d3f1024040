"""``/containerLogs``: which log a request means, and the error when there is none yet (in the kubelet's words)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from labs.embedded.node.model import ContainerRecord
from labs.embedded.node.server import cri_log
from labs.embedded.node.server.context import find_pod


async def handle(request: web.Request) -> web.StreamResponse:
    pod = find_pod(request)
    name, container = request.match_info["pod"], request.match_info["container"]
    if pod is None:
        return web.Response(status=404, text=f'pod "{name}" does not exist')
    spec = pod.pod["spec"]
    if container not in [row["name"] for row in [*spec.get("initContainers", ()), *spec["containers"]]]:
        return web.Response(status=404, text=f'container "{container}" not found in pod "{name}"')
    try:
        options = parse_options(request.query)
    except ValueError:
        return web.Response(status=400, text='{"message": "Unable to decode query."}')
    previous = _flag(request.query.get("previous", ""))
    record = pod.containers.get(container)
    reason = why_no_log(record, name, container, previous=previous)
    if reason or record is None:
        return web.Response(status=400, text=reason)
    return await _stream(request, record, options, previous=previous)


def parse_options(query: Mapping[str, str]) -> cri_log.Options:
    """The options of v1 PodLogOptions as the API server passes them on.

    Raises:
        ValueError: a number or a time is not one, or is negative.
    """

    def number(key: str) -> int | None:
        value = int(query[key]) if key in query else None
        if value is not None and value < 0:
            raise ValueError(f"{key} is {value}")
        return value

    since = cri_log.parse_time(query["sinceTime"]) if "sinceTime" in query else None
    seconds = number("sinceSeconds")
    if seconds is not None:
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return cri_log.Options(
        follow=_flag(query.get("follow", "")),
        tail=number("tailLines"),
        since=since,
        timestamps=_flag(query.get("timestamps", "")),
        limit_bytes=number("limitBytes"),
        stream=query.get("stream", "All"),
    )


def why_no_log(record: ContainerRecord | None, pod: str, container: str, *, previous: bool) -> str:
    """Empty if there is a log to show."""
    if record is None:
        return f'container "{container}" in pod "{pod}" is not available'
    if previous:
        ended = record.last_state.get("terminated", {})
        return "" if ended.get("containerID") else f'previous terminated container "{container}" in pod "{pod}" not found'
    if "waiting" not in record.state or "terminated" in record.last_state:
        return ""
    reasons = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }
    reason = record.state["waiting"].get("reason", "")
    return f'container "{container}" in pod "{pod}" is waiting to start: {reasons.get(reason, reason)}'


def choose_log(record: ContainerRecord, *, previous: bool) -> Path | None:
    """The file to show. While a container waits for its next start, its last run is both the current and the previous one."""
    if previous and "waiting" not in record.state:
        return record.previous_log
    return record.log if record.log.exists() else None


async def _stream(
    request: web.Request, record: ContainerRecord, options: cri_log.Options, *, previous: bool
) -> web.StreamResponse:
    path = choose_log(record, previous=previous)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    if path is None and previous:
        gone = record.last_state["terminated"]["containerID"]
        await response.write(f"unable to retrieve container logs for {gone}".encode())
    if path is not None:
        incarnation = record.container_id

        def ended() -> bool:
            left = request.transport is None or request.transport.is_closing()
            return left or previous or not record.running or record.container_id != incarnation

        async for piece in cri_log.read(path, options, ended):
            await response.write(piece)
    await response.write_eof()
    return response


def _flag(value: str) -> bool:
    return value in ("1", "true", "True", "TRUE", "t", "T")
