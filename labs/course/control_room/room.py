"""``lab.control_room()``: the panel and the thread that keeps it up to date."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from labs.course.control_room import card_table, live_chart, topology
from labs.course.control_room.desk import Desk, possible
from labs.course.control_room.history import SPAN, History
from labs.course.control_room.panel import Panel, static
from labs.course.control_room.readings import Readings, Snapshot
from labs.course.mime import WIDGET_MIME

if TYPE_CHECKING:
    from labs.lab import Lab

EVERY = 0.5
"""Seconds between two updates; Prometheus has new numbers once a second, and the time axis moves on in between."""
REST = 0.1
"""Seconds of rest at least, should a look take longer than that: cells need the kernel, too."""
TITLE = "Control room"


class ControlRoom:
    """Both clusters live, with load and failures at hand. ``close()`` ends it, and with it the load and failures it made.

    A kernel has one: opening it again closes the one before. ``now`` gives Unix time in seconds.
    """

    _open: ClassVar[ControlRoom | None] = None

    def __init__(self, lab: Lab, now: Callable[[], float] = time.time) -> None:
        self._lab, self._now = lab, now
        self._readings = Readings(lab.prometheus_servers())
        self._history = History()
        for at, values in self._readings.past(SPAN):
            self._history.add(at, values)
        self._desk = Desk(lab, lambda what: self.panel.tell(what))
        self.panel = Panel(self._desk, possible(lab))
        self._still = self._sentence = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control-room", daemon=True)

    @classmethod
    def open(cls, lab: Lab) -> ControlRoom:
        """A room that runs."""
        if cls._open is not None:
            cls._open.close()
        room = cls._open = cls(lab)
        room.update()
        room._thread.start()
        atexit.register(room.close)
        return room

    def update(self) -> None:
        """Look, and draw what was seen."""
        snapshot = self._readings.take(self._now())
        self._history.add(snapshot.at, snapshot.values)
        sentence = reading(snapshot)
        parts = (
            topology.draw(snapshot), sentence,
            live_chart.draw(self._history, snapshot.at, self._lab.windows(), sentence), card_table.draw(snapshot.cards),
        )  # fmt: skip
        self.panel.show(*parts)
        self._still = static(TITLE, *parts)
        self._sentence = sentence

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self.update()
            except Exception as error:  # a thread has nobody to raise to: it is told on the panel
                if not self._stop.is_set():
                    self.panel.tell(f"the room stopped: {type(error).__name__}: {error}")
                return
            self._stop.wait(max(REST, EVERY - (time.monotonic() - started)))

    def close(self) -> None:
        """End the updates, the load and the failures of this room; harmless if it is closed."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._desk.close()
        self.panel.tell("closed")
        self.panel.close()
        atexit.unregister(self.close)
        if ControlRoom._open is self:
            ControlRoom._open = None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widget, and for those who cannot draw one what it showed at this moment."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.panel.widget.model_id}
        return {WIDGET_MIME: view, "text/html": self._still, "text/plain": f"{TITLE}. {self._sentence}"}

    def __repr__(self) -> str:
        return f"<control room: {'closed' if self._stop.is_set() else 'open'}>"


def reading(snapshot: Snapshot) -> str:
    """What the numbers say, in one sentence."""
    values = snapshot.values
    answered, refused, failed = (values.get(name, 0.0) for name in ("answered", "refused", "failed"))
    waiting = values.get("waiting", 0.0)
    loud = [f"{card.node} GPU {card.index} {card.state}" for card in snapshot.cards if card.state not in card_table.CALM]
    parts = [*snapshot.silent]
    if failed > 0.05:
        parts.append(f"{live_chart.figure(failed)} calls a second fail")
    if refused > 0.05:
        parts.append(f"{live_chart.figure(refused)} calls a second are refused (4xx)")
    if waiting >= 1:
        parts.append(f"{waiting:.0f} requests wait: more is asked than the cards give")
    parts += loud
    answers = f"{live_chart.figure(answered)} answers a second"
    tokens = values.get("tokens")
    rest = f"{answers}, {tokens:.0f} tokens a second" if tokens is not None else answers
    text = "; ".join([*parts, rest] if parts else [rest, "nothing waits and nothing fails"])
    return f"{text[0].upper()}{text[1:]}."
