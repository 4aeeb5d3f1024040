"""``linkerd check``, and what the extensions' ``check`` commands share with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from labs.errors import LabError
from labs.mesh.linkerd_cli.checking import Category, Report, run_categories
from labs.mesh.linkerd_cli.cluster import Target, items
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """A Go duration such as ``1m30s``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(value))
        if not parts or "".join(number + unit for number, unit in parts) != value:
            self.fail(f"expected a duration such as 30s or 1m30s; found {value!r}", param, ctx)
        return sum(float(number) * UNITS[unit] for number, unit in parts)


def check_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every ``check`` has."""
    for option in (
        click.option("-o", "--output", type=click.Choice(["table", "json", "short"]), default="table"),
        click.option("--wait", type=Duration(), default="5m", help="How long to wait for the checks to pass."),
    ):
        command = option(command)
    return command


@click.command()
@check_options
@click.option("--pre", is_flag=True, help="Only run pre-installation checks.")
@click.option("--proxy", is_flag=True, help="Only run data-plane checks.")
@click.option("-n", "--namespace", help="With --proxy: only check this namespace.")
@click.pass_obj
def check(target: Target, output: str, wait: float, pre: bool, proxy: bool, namespace: str | None) -> int:
    """Check the cluster and the mesh; exit code 1 when something is wrong."""
    names = ["pre"] if pre else ["control-plane", "extensions", *(["data-plane"] if proxy else [])]
    return run_checks(target, names, output, wait, namespace)


def run_checks(target: Target, names: Sequence[str], output: str, wait: float, namespace: str | None = None) -> int:
    """Run the named groups of checks and print them; returns the exit code."""
    report = Report(output)

    async def work(api: KubeApi) -> None:
        for name in names:
            await run_categories(api, await categories(api, name, namespace), report, wait)
            if report.failed:
                return

    try:
        target.run(work)
    except LabError as error:
        if output != "json":
            raise
        print(error, file=sys.stderr)
        report.failed = True
    return report.finish()


async def categories(api: KubeApi, name: str, namespace: str | None) -> Sequence[Category]:
    """The checks of one group: ``pre``, ``control-plane``, ``extensions`` (those installed), ``data-plane``, ``linkerd-NAME``."""
    from labs.mesh.linkerd_cli import check_catalogue as catalogue

    if name == "pre":
        return catalogue.PRE_INSTALL
    if name == "control-plane":
        return catalogue.CONTROL_PLANE
    if name == "data-plane":
        return [catalogue.data_plane(namespace)]
    if name == "extensions":
        found = await items(api, "namespaces", labelSelector=linkerd.EXTENSION)
        there = {item["metadata"]["labels"][linkerd.EXTENSION] for item in found}
        known = [category for extension, category in catalogue.EXTENSIONS.items() if extension in there]
        return [*([catalogue.EXTENSION_NAMESPACES] if known else []), *known]
    return [catalogue.EXTENSIONS[name.removeprefix("linkerd-")]]
