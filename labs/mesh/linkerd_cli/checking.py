"""Running checks and reporting them in Linkerd's format: √ true, ‼ a warning, × false (exit code 1)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import click

from labs.errors import LabError
from labs.mesh.linkerd_cli.tables import to_json
from labs.waiting import async_attempts
from labs.wire.kube_api import ApiError, KubeApi

RETRY = 1.0
"""Seconds between two attempts at a check that may still succeed."""
SYMBOLS = {"success": "√", "warning": "‼", "error": "×"}


class CheckError(Exception):
    """A check found a problem; a ``warning`` does not make the command fail."""

    def __init__(self, message: str, *, warning: bool = False) -> None:
        super().__init__(message)
        self.warning = warning


class Skip(Exception):
    """The check does not apply: as in Linkerd, it is not shown."""


Look = Callable[[KubeApi], Awaitable[Sequence[str] | None]]
"""Raises CheckError if it finds a problem; may return names to list under the check's line."""


@dataclass(frozen=True)
class Check:
    """``hint`` is the anchor in Linkerd's list of checks; ``own`` marks checks that only the stand-in has."""

    description: str
    look: Look
    hint: str = ""
    retry: bool = False
    fatal: bool = False
    own: bool = False

    @property
    def hint_url(self) -> str:
        return f"docs/parity.md#{self.hint}" if self.own else f"https://linkerd.io/2/checks/#{self.hint}"


@dataclass(frozen=True)
class Category:
    name: str
    checks: Sequence[Check]


@dataclass
class Result:
    """How one check went: ``result`` is success, warning or error."""

    check: Check
    result: str
    error: str = ""
    names: list[str] = field(default_factory=list)


async def run_check(api: KubeApi, check: Check, deadline: float) -> Result | None:
    """Run the check, with ``check.retry`` repeatedly until ``deadline`` (monotonic seconds); None if it does not apply."""
    problem = ""
    async for _ in async_attempts(deadline - time.monotonic() if check.retry else 0, RETRY):
        try:
            return Result(check, "success", names=list(await check.look(api) or []))
        except Skip:
            return None
        except CheckError as error:
            if error.warning:
                return Result(check, "warning", str(error))
            problem = str(error)
        except ApiError as error:
            problem = error.message
        except (aiohttp.ClientError, TimeoutError, OSError, LabError) as error:
            problem = str(error)
    return Result(check, "error", problem)


class Report:
    """Prints results as they arrive (tables) or all at the end (JSON); ``failed`` is True after any error."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._categories: list[tuple[str, list[Result]]] = []
        self.failed = False

    def add(self, category: str, results: list[Result]) -> None:
        self.failed = self.failed or any(result.result == "error" for result in results)
        self._categories.append((category, results))
        shown = results if self._output == "table" else [result for result in results if result.result != "success"]
        if self._output == "json" or not shown:
            return
        click.echo(f"{category}\n{'-' * len(category)}")
        for result in shown:
            click.echo(lines_of(result))
        click.echo()

    def finish(self) -> int:
        if self._output == "json":
            categories = [
                {"categoryName": name, "checks": [_json(result) for result in results]} for name, results in self._categories
            ]
            click.echo(to_json({"success": not self.failed, "categories": categories}))
        else:
            click.echo(f"Status check results are {'×' if self.failed else '√'}")
        return 1 if self.failed else 0


def lines_of(result: Result) -> str:
    """A check's lines: its description, the names it lists, and, if it failed, what is wrong and where to read more."""
    lines = [f"{SYMBOLS[result.result]} {_description(result)}"]
    if result.error:
        lines += [f"    {line}" for line in result.error.splitlines()]
        lines.append(f"    see {result.check.hint_url} for hints")
    return "\n".join(lines)


def _description(result: Result) -> str:
    return result.check.description + "".join(f"\n\t* {name}" for name in result.names)


def _json(result: Result) -> dict[str, str]:
    row = {"description": _description(result)}
    if result.error:
        row |= {"hint": result.check.hint_url, "error": result.error}
    return row | {"result": result.result}


async def run_categories(api: KubeApi, categories: Sequence[Category], report: Report, wait: float) -> None:
    """Run all checks in order; a fatal one that fails ends the run. ``wait`` is in seconds, for the whole run."""
    deadline = time.monotonic() + wait
    for category in categories:
        results: list[Result] = []
        for check in category.checks:
            result = await run_check(api, check, deadline)
            if result is not None:
                results.append(result)
            if result is not None and result.result == "error" and check.fatal:
                report.add(category.name, results)
                return
        report.add(category.name, results)
