"""``nvidia-smi`` in a container that has a card: its table, ``-L``, ``-q [-x]`` and ``--query-gpu``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labs.pods.gpu_simulator import smi_query, smi_report, smi_table
from labs.pods.gpu_simulator.sockets import SMI_NAME as NAME

PROGRAM = """#!/bin/sh
exec python -m labs.pods gpu-simulator smi "$@"
"""
"""What Allocate mounts as ``nvidia-smi``; it works in containers of the lab's image, which have Python."""
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch"
MISMATCH_EXIT = 18
"""NVML_ERROR_LIB_RM_VERSION_MISMATCH, which nvidia-smi exits with."""


def install(folder: Path) -> None:
    """Put the program where Allocate's mount looks for it."""
    path = folder / NAME
    path.write_text(PROGRAM)
    path.chmod(0o755)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """nvidia-smi's own names."""
    parser.add_argument("-L", "--list-gpus", action="store_true", help="a line a card")
    parser.add_argument("-q", "--query", action="store_true", help="all readings")
    parser.add_argument("-x", "--xml-format", action="store_true", help="with -q: as XML")
    parser.add_argument("-i", "--id", help="only this card: index, UUID or bus id")
    parser.add_argument("--query-gpu", metavar="FIELD[,FIELD…]", help=f"some of: {', '.join(smi_query.FIELDS)}")
    parser.add_argument("--format", default="csv", help="csv[,noheader][,nounits]")


def visible(gpus: Sequence[dict[str, Any]], environment: str) -> list[dict[str, Any]]:
    """The cards that ``NVIDIA_VISIBLE_DEVICES`` lets a container see; of a MIG card only the instances."""
    names = environment.split(",")
    if environment == "all":
        return list(gpus)
    found = []
    for gpu in gpus:
        parts = [part for part in gpu["parts"] if part["uuid"] in names]
        if parts or gpu["uuid"] in names:
            found.append(gpu | {"parts": parts})
    return found


def answer(args: argparse.Namespace, gpus: Sequence[dict[str, Any]]) -> str:
    """What ``nvidia-smi`` prints.

    Raises:
        smi_query.UnknownField: ``--query-gpu`` names one that is not known.
        SystemExit: driver and library do not fit; nvidia-smi's exit code.
    """
    if any(gpu["driver"] == "mismatch" for gpu in gpus):
        print(MISMATCH, file=sys.stderr)
        raise SystemExit(MISMATCH_EXIT)
    seen = visible(gpus, os.environ.get("NVIDIA_VISIBLE_DEVICES", "all"))
    if args.id is not None:
        seen = [gpu for gpu in seen if args.id in (str(gpu["index"]), gpu["uuid"], gpu["pci_bus_id"])]
    if args.list_gpus:
        return smi_table.listing(seen)
    if args.query_gpu:
        return smi_query.csv(seen, args.query_gpu.split(","), args.format.split(","))
    if args.query:
        return smi_report.xml(seen) if args.xml_format else smi_report.text(seen)
    return smi_table.table(seen)
