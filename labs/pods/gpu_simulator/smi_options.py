"""The command line of ``nvidia-smi``: its options, its error texts, and the list of what is not simulated."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from labs.pods.gpu_simulator.smi_errors import HELP, NotSimulated, WrongUsage

LOOP_SECONDS = 5.0
"""Seconds between two outputs of ``-l`` without a number, as in nvidia-smi."""
_OTHER_OPTIONS = """
-B --list-excluded-gpus -u --unit -f --filename --dtd --debug
--query-accounted-apps --help-query-accounted-apps --query-supported-clocks --help-query-supported-clocks
--query-retired-pages --help-query-retired-pages --query-remapped-rows --help-query-remapped-rows
-pm --persistence-mode -e --ecc-config -p --reset-ecc-errors -c --compute-mode --gom -r --gpu-reset
-lgc --lock-gpu-clocks -rgc --reset-gpu-clocks -lmc --lock-memory-clocks -rmc --reset-memory-clocks
-ac --applications-clocks -rac --reset-applications-clocks -cc --cuda-clocks -pl --power-limit -gtt --gpu-target-temp
-am --accounting-mode -caa --clear-accounted-apps -mig --multi-instance-gpu --auto-boost-default --auto-boost-permission
-acp -dm -fdm -t
"""
_OTHER_COMMANDS = """
daemon replay pmon drain nvlink clocks encodersessions fbcsessions vgpu mig compute-policy boost-slider power-hint
power-profiles power-smoothing conf-compute c2c gpm pci stats prm rusd
"""
OTHER_OPTIONS = frozenset(_OTHER_OPTIONS.split())
"""Queries for what the simulator does not track, and everything that changes a GPU."""
OTHER_COMMANDS = frozenset(_OTHER_COMMANDS.split())


class _Parser(argparse.ArgumentParser):
    """argparse with nvidia-smi's error texts."""

    def error(self, message: str) -> NoReturn:
        raise WrongUsage(f"ERROR: {message}. {HELP}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options in ``words``; ``command`` is "dmon", "topo" or "" for the queries.

    Raises:
        WrongUsage: an option that nvidia-smi does not have, or a wrong value.
        NotSimulated: one that it has, but the simulator does not.
    """
    if words and words[0] in OTHER_COMMANDS:
        raise NotSimulated(words[0])
    for word in words if words and words[0].startswith("-") else ():
        # Before argparse, which would take -pl for -p with the value l.
        if word.partition("=")[0] in OTHER_OPTIONS:
            raise NotSimulated(word.partition("=")[0])
    parsers = {"dmon": _dmon_parser, "topo": _topo_parser}
    command = words[0] if words and words[0] in parsers else ""
    options, rest = parsers.get(command, _query_parser)().parse_known_args(words[1:] if command else list(words))
    for word in rest:
        _refuse(word, command)
    options.command = command
    return options


def _refuse(word: str, command: str) -> NoReturn:
    if command:
        raise NotSimulated(f"{command} {word.partition('=')[0]}")
    raise WrongUsage(f"ERROR: Option {word} is not recognized. {HELP}")


def _query_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nvidia-smi", allow_abbrev=False, description="nvidia-smi for the simulated GPUs of this container.")
    parser.add_argument("--version", action="store_true", help="the versions of driver and simulator")
    parser.add_argument("-L", "--list-gpus", action="store_true", help="one line for each GPU")
    parser.add_argument("-q", "--query", action="store_true", help="all readings")
    parser.add_argument("-x", "--xml-format", action="store_true", help="with -q: as XML")
    parser.add_argument("-d", "--display", metavar="SECTION[,SECTION…]", help="with -q: only MEMORY, UTILIZATION, ECC, …")
    parser.add_argument("-i", "--id", metavar="GPU[,GPU…]", help="only these GPUs: index, UUID or bus id")
    parser.add_argument("-l", "--loop", nargs="?", type=_seconds, const=LOOP_SECONDS, metavar="SECONDS", help="repeat")
    parser.add_argument("-lms", "--loop-ms", dest="loop", type=_milliseconds, metavar="MILLISECONDS", help="repeat faster")
    parser.add_argument("--query-gpu", metavar="FIELD[,FIELD…]", help="readings of each GPU as CSV")
    parser.add_argument("--query-compute-apps", metavar="FIELD[,FIELD…]", help="processes on the GPUs as CSV")
    parser.add_argument("--format", metavar="csv[,noheader][,nounits]", help="format of the two queries")
    parser.add_argument("--help-query-gpu", action="store_true", help="the fields of --query-gpu")
    parser.add_argument("--help-query-compute-apps", action="store_true", help="the fields of --query-compute-apps")
    return parser


def _dmon_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nvidia-smi dmon", allow_abbrev=False, description="One line for each GPU and second.")
    parser.add_argument("-i", "--id", metavar="GPU[,GPU…]", help="only these GPUs")
    parser.add_argument("-d", "--delay", type=_seconds, default=1.0, metavar="SECONDS", help="between two samples (default: 1)")
    parser.add_argument("-c", "--count", type=_count, metavar="SAMPLES", help="stop after SAMPLES (default: never)")
    parser.add_argument("-s", "--select", default="puc", metavar="LETTERS", help="p, u, c, v, m, e, t: groups of columns")
    parser.add_argument("-o", "--options", choices=("", "D", "T", "DT"), default="", help="also print the date, the time")
    return parser


def _topo_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nvidia-smi topo", allow_abbrev=False, description="How the GPUs are connected.")
    parser.add_argument("-m", "--matrix", action="store_true", required=True, help="the connections as a matrix")
    parser.set_defaults(id=None)
    return parser


def _seconds(text: str, unit: float = 1.0) -> float:
    try:
        value = float(text) * unit
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a time above 0; found {text}")
    return value


def _milliseconds(text: str) -> float:
    return _seconds(text, 0.001)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1 sample; found {text}")
    return int(text)
