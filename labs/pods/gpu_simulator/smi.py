"""``nvidia-smi`` in a container that has a GPU: answers its options, repeatedly if asked to."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from labs.pods.gpu_simulator import smi_monitor, smi_query, smi_report, smi_table, smi_topology
from labs.pods.gpu_simulator.smi_errors import NotFound, VersionMismatch
from labs.pods.gpu_simulator.sockets import SMI_NAME as NAME

PROGRAM = """#!/bin/sh
exec python -m labs.pods gpu-simulator smi "$@"
"""
"""What Allocate mounts as ``nvidia-smi``; it works in containers of the lab's image, which have Python."""
Readings = list[dict[str, Any]]
"""The GPUs as ``GET /v1/gpus`` shows them."""


def install(folder: Path) -> None:
    """Put the program where Allocate's mount looks for it."""
    path = folder / NAME
    path.write_text(PROGRAM)
    path.chmod(0o755)


async def run(options: argparse.Namespace, look: Callable[[], Awaitable[Readings]], show: Callable[[str], None]) -> None:
    """Show what ``options`` ask for, once or until stopped.

    Raises:
        SmiError: the request is wrong or the driver has a problem.
    """
    for number, pause in _turns(options):
        await asyncio.sleep(pause)
        gpus = chosen(await look(), options.id)
        if options.command == "dmon" and number % smi_monitor.REPEAT == 0:
            show(smi_monitor.head(options.select, options.options))
        show(answer(options, gpus))


def _turns(options: argparse.Namespace) -> Iterator[tuple[int, float]]:
    """The number of each output, from 0, and the seconds to wait before it."""
    numbers: Iterable[int]
    if options.command == "dmon":
        numbers = count() if options.count is None else range(options.count)
        pause = options.delay
    else:
        pause = getattr(options, "loop", None) or 0.0
        numbers = count() if pause else range(1)
    return ((number, pause if number else 0.0) for number in numbers)


def chosen(gpus: Readings, id: str | None) -> Readings:
    """The ``gpus`` that this container sees and ``-i`` names.

    Raises:
        NotFound: ``-i`` names one that is not there.
        VersionMismatch: driver and library do not match.
    """
    if any(gpu["driver"] == "mismatch" for gpu in gpus):
        raise VersionMismatch("Failed to initialize NVML: Driver/library version mismatch")
    seen = visible(gpus, os.environ.get("NVIDIA_VISIBLE_DEVICES", "all"))
    seen = [gpu | {"count": len(seen)} for gpu in seen]
    if id is None:
        return seen
    wanted = id.split(",")
    found = [gpu for gpu in seen if {str(gpu["index"]), gpu["uuid"], gpu["pci_bus_id"]} & set(wanted)]
    if len(found) < len(wanted):
        raise NotFound("No devices were found")
    return found


def visible(gpus: Sequence[dict[str, Any]], environment: str) -> Readings:
    """The GPUs that ``NVIDIA_VISIBLE_DEVICES`` lets a container see; of a divided GPU only the instances."""
    if environment == "all":
        return list(gpus)
    names = environment.split(",")
    found = []
    for gpu in gpus:
        parts = [part for part in gpu["parts"] if part["uuid"] in names]
        if parts or gpu["uuid"] in names:
            found.append(gpu | {"parts": parts})
    return found


def answer(options: argparse.Namespace, gpus: Readings) -> str:
    """One output for these ``gpus``.

    Raises:
        SmiError: a field, a section or a format is wrong.
    """
    if options.command == "dmon":
        return smi_monitor.sample(gpus, options.select, options.options)
    if options.command == "topo":
        return smi_topology.matrix(gpus)
    if options.help_query_gpu:
        return smi_query.GPUS.help()
    if options.help_query_compute_apps:
        return smi_query.PROCESSES.help()
    return _query(options, gpus)


def _query(options: argparse.Namespace, gpus: Readings) -> str:
    if options.version:
        return smi_report.version(gpus)
    if options.list_gpus:
        return smi_table.listing(gpus)
    if options.query_gpu is not None:
        return smi_query.GPUS.csv(gpus, options.query_gpu, options.format)
    if options.query_compute_apps is not None:
        return smi_query.PROCESSES.csv(smi_query.processes(gpus), options.query_compute_apps, options.format)
    if options.query:
        return smi_report.xml(gpus) if options.xml_format else smi_report.text(gpus, options.display)
    return smi_table.table(gpus)
