"""The stand-in mesh's image: ``mesh-standin PROGRAM``."""

from __future__ import annotations

import importlib.util
import os
import sys

PROGRAMS = ("identity", "destination", "proxy-injector", "proxy", "certify", "service-mirror", "pause")
ASYNC = ("identity", "destination", "proxy-injector")
MODULES = {"proxy-injector": "injector", "service-mirror": "service_mirror"}
LOG_FORMAT = "[%(asctime)s]  %(levelname)s %(name)s: %(message)s"
CHECKOUT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def main(argv: list[str]) -> int:
    """Run one program; import its modules only then, since every meshed pod runs a proxy and pays for them."""
    if not argv or argv[0] not in PROGRAMS:
        print(f"usage: mesh-standin PROGRAM; the programs are: {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    name = argv[0]
    if name == "proxy" and not sys.flags.no_site:
        _become_slim(argv)
    if name != "proxy":
        import logging

        logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format=LOG_FORMAT)
    module = importlib.import_module(f"labs.pods.mesh_standin.{MODULES.get(name, name)}")
    if name in ASYNC:
        import asyncio

        asyncio.run(module.serve())
        return 0
    return int(module.main(argv[1:]))


def _become_slim(argv: list[str]) -> None:
    """Restart without ``site`` and ``-m``, and with a malloc that keeps little memory: 5 MB less in every meshed pod."""
    malloc = {"MALLOC_ARENA_MAX": "1", "MALLOC_TOP_PAD_": "16384", "MALLOC_TRIM_THRESHOLD_": "65536"}
    env = {**os.environ, "PYTHONPATH": CHECKOUT, "ENVOY": _envoy(), **malloc}
    program = os.path.join(CHECKOUT, "labs", "pods", "__main__.py")
    os.execve(sys.executable, [sys.executable, "-S", "-P", program, "mesh-standin", *argv], env)


def _envoy() -> str:
    """Envoy's program in its wheel, whose command ``envoy`` is a Python script that would have to start first."""
    wheel = importlib.util.find_spec("envoy")
    return os.path.join(os.path.dirname(wheel.origin), "_bin", "envoy") if wheel and wheel.origin else "envoy"
