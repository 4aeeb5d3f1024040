"""Ports whose connections are passed on without looking at what they carry (Linkerd's documentation, protocol detection)."""

from __future__ import annotations

from typing import Any

from labs.wire import linkerd

DEFAULT = "25,587,3306,4444,5432,6379,9300,11211"
"""Linkerd's default: protocols in which the server may speak first. An annotation replaces it rather than adding to it."""


def is_opaque(owner: dict[str, Any], number: int, name: str | None) -> bool:
    """Whether a Pod or a Service declares its port opaque, by number, by name, or in a range ``FIRST-LAST``."""
    listed = (owner["metadata"].get("annotations") or {}).get(linkerd.OPAQUE_PORTS, DEFAULT)
    return any(_means(entry.strip(), number, name) for entry in listed.split(","))


def _means(entry: str, number: int, name: str | None) -> bool:
    first, _, last = entry.partition("-")
    if first.isdecimal() and (last or first).isdecimal():
        return int(first) <= number <= int(last or first)
    return bool(entry) and entry == name
