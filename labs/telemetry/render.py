"""Rendering templates: those of this room in ``templates/``, and those of rooms above it in their own folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(folder: Path) -> jinja2.Environment:
    """Templates of one folder; what they are given is escaped, and a missing value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(template: str, folder: Path = TEMPLATES, **values: object) -> Markup:
    """The template with these values, which are escaped unless they are markup already; a missing value is an error."""
    return Markup(environment(folder).get_template(template).render(values))
