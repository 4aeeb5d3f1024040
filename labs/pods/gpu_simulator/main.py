"""The GPU simulator's entry point: serve the node's GPUs, or talk to the simulator that does."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
from pathlib import Path

from labs.pods.gpu_simulator import ctl, smi_main, sockets
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.mig import BadLayout
from labs.pods.gpu_simulator.profile import UnknownProduct
from labs.pods.gpu_simulator.settings import BadSettings


def main(argv: list[str]) -> int:
    """Parse the command line and run; the exit code is 0, 1 (failed) or 2 (wrong usage), for ``smi`` nvidia-smi's own."""
    if argv[:1] == ["smi"]:
        return smi_main.main(argv[1:])
    args = _parser().parse_args(argv)
    if args.program not in ("serve", "many"):
        return asyncio.run(ctl.run(args))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Only here: gRPC would slow down each "ctl".
    package = "labs.pods.gpu_simulator"
    try:
        if args.program == "many":
            asyncio.run(importlib.import_module(f"{package}.serve_many").serve_many(args))
        else:
            asyncio.run(importlib.import_module(f"{package}.serve").serve(args))
    except (UnknownProduct, BadSettings, BadLayout) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu-simulator", description=__doc__)
    default = os.environ.get("GPU_SIMULATOR_SOCKET", sockets.WORK_SOCKET)
    parser.add_argument("--socket", default=default, help="the work socket (default: %(default)s)")
    programs = parser.add_subparsers(dest="program", required=True)
    serve = programs.add_parser("serve", help="simulate this node's GPUs")
    serve.add_argument("--node", default=os.environ.get("NODE_NAME"), help="this node's name (default: $NODE_NAME)")
    serve.add_argument("--product", default="NVIDIA-A100-SXM4-80GB", help="if the node has no label nvidia.com/gpu.product")
    serve.add_argument("--count", type=int, default=4, help="if the node has no label nvidia.com/gpu.count")
    serve.add_argument("--device-plugins", type=Path, default=Path("/var/lib/kubelet/device-plugins"))
    serve.add_argument("--pod-resources", type=Path, default=Path("/var/lib/kubelet/pod-resources"))
    serve.add_argument("--state", type=Path, default=Path(sockets.STATE_FOLDER), help="a folder that outlives this process")
    serve.add_argument("--settings", type=Path, default=Path("/etc/gpu-simulator"), help="a folder of settings files")
    _add_many(programs.add_parser("many", help="metrics of thousands of GPUs, without a process for each node"))
    programs.add_parser("smi", help="nvidia-smi for the GPUs this container sees; its options are nvidia-smi's")
    _add_ctl(programs.add_parser("ctl", help="inspect, break and repair the GPUs"))
    return parser


def _add_many(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs per node")
    parser.add_argument("--product", default="NVIDIA-H100-80GB-HBM3")
    parser.add_argument("--prefix", default="fleet", help="prefix of the nodes' names")
    parser.add_argument("--port", type=int, default=9400)
    parser.add_argument("--context", help="also create the nodes as API objects in this kubeconfig context")
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG", ""))


def _add_ctl(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="all GPUs of this node")
    listing.add_argument("--json", action="store_true")
    commands.add_parser("show", help="one GPU, as JSON").add_argument("--gpu", required=True, help="index or UUID")
    actions = commands.add_parser("fault", help="faults of a GPU").add_subparsers(dest="action", required=True)
    for name in ("inject", "heal"):
        action = actions.add_parser(name)
        action.add_argument("--gpu", help="index or UUID; not needed for a fault of the whole node")
        action.add_argument("--fault", required=True, help=f"one of {', '.join(FAULTS)}")
    actions.add_parser("list").add_argument("--gpu", help="index or UUID (default: all)")
