"""Output types of the course's own, apart from what needs nbformat: a kernel that only shows a check must not wait for that."""

from __future__ import annotations

CHECK_MIME = "application/vnd.boring-ops-lab.check+json"
"""Output type under which a check reports itself, so that a report can count checks without reading prose."""
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
"""Output type of a live widget; Jupyter's own name for it."""
