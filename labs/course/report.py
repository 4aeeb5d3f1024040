"""``report/index.html``: the executed course as one page that works offline, with a summary of checks and timings."""

from __future__ import annotations

import datetime
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

from labs import config
from labs.course.execute import Outcome
from labs.course.render import render

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_IMAGE_WITHOUT_ALT = re.compile(r'<img alt="No description has been provided for this image"')


def write(outcomes: Sequence[Outcome], folder: Path, *, backend: str) -> Path:
    """Write the report of one run and return the page's path; an older report in ``folder`` is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    text = render(
        "report.html.j2",
        notebooks=[_notebook(outcome) for outcome in outcomes],
        summary=summary(outcomes),
        backend=backend,
        version=config.versions()["kubernetes"]["version"],
        when=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        highlighting=HtmlFormatter(style="sas").get_style_defs(".highlight"),
    )
    page.write_text(text, encoding="utf-8")
    return page


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts over a whole run: notebooks, checks passed and failed, seconds."""
    checks = [check for outcome in outcomes for check in outcome.checks]
    return {
        "notebooks": len(outcomes),
        "failed": [outcome.notebook.number for outcome in outcomes if outcome.error],
        "checks": len(checks),
        "checks_passed": sum(check["passed"] for check in checks),
        "seconds": sum(outcome.seconds for outcome in outcomes),
    }


def plain(error: str) -> str:
    """An error's text without terminal colours."""
    return _ANSI.sub("", error)


def _notebook(outcome: Outcome) -> dict[str, Any]:
    notebook = outcome.notebook
    return {
        "id": f"notebook-{notebook.number}",
        "number": notebook.number,
        "title": notebook.title,
        "minutes": notebook.minutes,
        "seconds": outcome.seconds,
        "checks": outcome.checks,
        "error": plain(outcome.error),
        "body": _body(outcome),
    }


def _body(outcome: Outcome) -> str:
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(outcome.content)
    # One page holds many notebooks: their headings go one level down and their anchors must not collide.
    body = re.sub(r"<(/?)h([1-5])\b", lambda m: f"<{m[1]}h{int(m[2]) + 1}", body)
    body = re.sub(r'\bid="([^"]+)"', lambda m: f'id="{outcome.notebook.number}-{html.escape(m[1])}"', body)
    return _IMAGE_WITHOUT_ALT.sub('<img alt="Chart; its reading stands below it"', body)
