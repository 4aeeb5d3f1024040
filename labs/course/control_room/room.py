"""``lab.control_room()``: the panel, and the thread that updates it."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from labs.course.control_room import gpu_table, live_chart, topology
from labs.course.control_room.actions import Actions, possible
from labs.course.control_room.history import SPAN, History
from labs.course.control_room.panel import ControlPanel, static
from labs.course.control_room.readings import Monitor, Reading
from labs.course.mime import WIDGET_MIME

if TYPE_CHECKING:
    from labs.lab import Lab

EVERY = 0.5
"""Seconds between two updates. Prometheus has new numbers once per second, but the time axis moves in between."""
MIN_PAUSE = 0.1
"""Minimum seconds between two updates, however long one takes: cells need the kernel too."""
TITLE = "Control room"


class ControlRoom:
    """Both clusters live, with controls for load and failures. ``close()`` also ends the load and failures started here.

    A kernel has one room: opening another closes the first. ``now`` returns Unix time in seconds.
    """

    _open: ClassVar[ControlRoom | None] = None

    def __init__(self, lab: Lab, now: Callable[[], float] = time.time) -> None:
        self._lab, self._now = lab, now
        self._monitor = Monitor(lab.servers)
        self._history = History()
        for at, values in self._monitor.past(SPAN):
            self._history.add(at, values)
        self._actions = Actions(lab, lambda what: self.panel.tell(what))
        self.panel = ControlPanel(self._actions, possible(lab))
        self._still = self._sentence = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control-room", daemon=True)

    @classmethod
    def open(cls, lab: Lab) -> ControlRoom:
        """Open a running room."""
        if cls._open is not None:
            cls._open.close()
        room = cls._open = cls(lab)
        room.update()
        room._thread.start()
        atexit.register(room.close)
        return room

    def update(self) -> None:
        """Read and draw the current state."""
        reading = self._monitor.read(self._now())
        self._history.add(reading.at, reading.values)
        sentence = summarize(reading)
        chart = live_chart.draw(self._history, reading.at, self._lab.windows(), sentence)
        parts = (topology.draw(reading), sentence, chart, gpu_table.draw(reading.gpus))
        self.panel.show(*parts)
        self._still = static(TITLE, *parts)
        self._sentence = sentence

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self.update()
            except Exception as error:  # a thread cannot raise to anyone, so the panel shows it
                if not self._stop.is_set():
                    self.panel.tell(f"the room stopped: {type(error).__name__}: {error}")
                return
            self._stop.wait(max(MIN_PAUSE, EVERY - (time.monotonic() - started)))

    def close(self) -> None:
        """End the updates, the load and the failures of this room; harmless if it is already closed."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._actions.close()
        self.panel.tell("closed")
        self.panel.close()
        atexit.unregister(self.close)
        if ControlRoom._open is self:
            ControlRoom._open = None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widget, and a static figure for readers without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.panel.widget.model_id}
        return {WIDGET_MIME: view, "text/html": self._still, "text/plain": f"{TITLE}. {self._sentence}"}

    def __repr__(self) -> str:
        return f"<control room: {'closed' if self._stop.is_set() else 'open'}>"


def summarize(reading: Reading) -> str:
    """What the numbers mean, in one sentence."""
    problems = [*reading.errors, *_problems(reading)]
    answers = f"{live_chart.figure(reading.values.get('answered', 0.0))} answers per second"
    tokens = reading.values.get("tokens")
    rates = answers if tokens is None else f"{answers}, {tokens:.0f} tokens per second"
    text = "; ".join([*problems, rates] if problems else [rates, "nothing waits and nothing fails"])
    return f"{text[0].upper()}{text[1:]}."


def _problems(reading: Reading) -> list[str]:
    failed, refused, waiting = (reading.values.get(name, 0.0) for name in ("failed", "refused", "waiting"))
    problems = []
    if failed > 0.05:
        problems.append(f"{live_chart.figure(failed)} calls per second fail")
    if refused > 0.05:
        problems.append(f"{live_chart.figure(refused)} calls per second are refused (4xx)")
    if waiting >= 1:
        problems.append(f"{waiting:.0f} requests wait: the load exceeds what the GPUs can answer")
    return problems + [
        f"{gpu.node} GPU {gpu.index} {gpu.state}" for gpu in reading.gpus if gpu.state not in gpu_table.NORMAL_STATES
    ]
