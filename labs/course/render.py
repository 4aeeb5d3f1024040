"""Rendering the HTML and SVG templates in ``labs/course/templates``."""

from __future__ import annotations

from pathlib import Path

from labs.telemetry import render as rendering

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """The template with these values, which are escaped; a missing value is an error."""
    return str(rendering.render(template, TEMPLATES, **values))
