"""A card per GPU: what it says, in numbers and words, with two bars."""

from __future__ import annotations

import html
from collections.abc import Iterable

from labs.course.control_room.readings import Card

GRID = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(215px,1fr));gap:8px;margin:10px 0;font:12px sans-serif;color:#222"
)
FRAME = "border:1px solid #56606B;border-radius:6px;padding:6px 8px;background:#fff"
LOUD = "border:3px double #B00020;border-radius:6px;padding:4px 6px;background:#fff"
"""A second line around a card that needs a look: seen without colour, and its state says why."""
HEAD = "display:flex;justify-content:space-between;flex-wrap:wrap"
SMALL = "color:#555;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
CALM = ("in use", "free")


def draw(cards: Iterable[Card]) -> str:
    """All cards as one grid of HTML."""
    found = [_card(card) for card in cards]
    if not found:
        return '<p style="font:12px sans-serif">No card is measured yet: notebook 03 starts Prometheus in the gpu cluster.</p>'
    return f'<div role="list" aria-label="GPUs" style="{GRID}">{"".join(found)}</div>'


def _card(card: Card) -> str:
    frame = FRAME if card.state in CALM else LOUD
    used, free, xid = card.get("used"), card.get("free"), card.get("xid")
    total = None if used is None or free is None else used + free
    memory = "–" if used is None or not total else f"{used / 1024:.1f} of {total / 1024:.0f} GiB"
    numbers = [_unit(card.get("temperature"), "°C"), _unit(card.get("power"), "W"), _unit(card.get("clock"), "MHz")]
    rows = [
        f"<div><strong>{html.escape(f'{card.node} · GPU {card.index}')}</strong>"
        f' <span style="float:right">{html.escape(card.state)}</span></div>',
        _bar("busy", card.get("busy"), _unit(card.get("busy"), "%")),
        _bar("memory", None if used is None or not total else 100 * used / total, memory),
        f"<div>{' · '.join(numbers)} · XID {f'{xid:g}' if xid else '–'}</div>",
        f'<div style="{SMALL}">{html.escape(card.pod or "no pod")}</div>',
    ]
    return f'<div role="listitem" style="{frame}">{"".join(rows)}</div>'


def _unit(value: float | None, unit: str) -> str:
    return f"– {unit}" if value is None else f"{value:.0f} {unit}"


def _bar(name: str, percent: float | None, text: str) -> str:
    width = 0.0 if percent is None else min(100.0, max(0.0, percent))
    return (
        f'<div style="position:relative;background:#EEE;height:17px;margin:3px 0">'
        f'<div style="background:#9CCBE8;height:17px;width:{width:.0f}%"></div>'
        f'<span style="position:absolute;left:4px;top:1px">{name} {text}</span></div>'
    )
