"""The widgets of the room, and the static figure that stands for them where widgets cannot be drawn (GitHub, nbconvert)."""

from __future__ import annotations

import html
from collections.abc import Callable

from ipywidgets import HTML, Button, Dropdown, HBox, IntSlider, Layout, VBox

from labs.course.control_room import desk
from labs.course.control_room.desk import Desk
from labs.faults.catalogue import Fault

WIDEST = "980px"
MOST_RPS = 30
"""About twice what two cards answer."""


def code(*lines: str) -> str:
    """A control's code twin."""
    shown = "<br>".join(f"<code>{html.escape(line)}</code>" for line in lines)
    return f'<div style="font-size:12px;line-height:1.5">In a cell: {shown}</div>'


class Panel:
    """The controls above, what they do to the lab below. All controls are native widgets, so the keyboard reaches them."""

    def __init__(self, control: Desk, faults: list[Fault]) -> None:
        self.status, self.reading, self.chart, self.topology, self.cards = (HTML() for _ in range(5))
        self.rps = IntSlider(
            6, 1, MOST_RPS, description="requests/s", continuous_update=False, style={"description_width": "initial"}
        )
        self.target = Dropdown(options=desk.TARGETS, description="to", layout=Layout(width="180px"))
        self.fault = Dropdown(
            options=[(f"{fault.name}: {fault.title}", fault.name) for fault in faults],
            description="failure", layout=Layout(width="440px"),
        )  # fmt: skip
        self.start = _button("Start load", "play", "Send this load, instead of what is sent now", self._start)
        self.stop = _button("Stop load", "stop", "End the load", self._stop)
        self.inject = _button("Break it", "bolt", "Make this failure", lambda: control.inject(self.fault.value))
        self.heal = _button("Heal all", "medkit", "Undo whatever is in force", control.heal)
        self.load_twin, self.fault_twin = HTML(), HTML()
        self._control, self._loaded = control, False
        self.rps.observe(self._turned, "value")
        self.target.observe(self._turned, "value")
        self.fault.observe(self._chosen, "value")
        self._chosen(None)
        self._show_load()
        self.tell("ready")
        self.widget = self._laid_out()

    def _laid_out(self) -> VBox:
        load = VBox([HBox([self.rps, self.target]), HBox([self.start, self.stop]), self.load_twin])
        fault = VBox([self.fault, HBox([self.inject, self.heal]), self.fault_twin])
        controls = HBox([load, fault], layout=Layout(flex_flow="row wrap", justify_content="space-between"))
        parts = [controls, self.status, self.topology, self.reading, self.chart, self.cards]
        return VBox(parts, layout=Layout(max_width=WIDEST))

    def tell(self, what: str) -> None:
        """Say what the controls do; a screen reader hears it, too."""
        self.status.value = f'<div role="status" aria-live="polite"><strong>{html.escape(what)}</strong></div>'

    def show(self, topology: str, reading: str, chart: str, cards: str) -> None:
        """Draw a moment."""
        self.topology.value, self.chart.value, self.cards.value = topology, chart, cards
        self.reading.value = f"<em>{html.escape(reading)}</em>"

    def _start(self) -> None:
        self._loaded = True
        self._control.start(self.target.value, self.rps.value)

    def _turned(self, _: object) -> None:
        """The slider or the target was changed: what runs already goes on that way."""
        self._show_load()
        if self._loaded:
            self._start()

    def _stop(self) -> None:
        # From here on the slider only says what the next load would be.
        self._loaded = False
        self._control.stop()

    def _show_load(self) -> None:
        self.load_twin.value = code(desk.load_twin(self.target.value, self.rps.value), desk.STOP)

    def _chosen(self, _: object) -> None:
        self.fault_twin.value = code(desk.fault_twin(self.fault.value), desk.HEAL) if self.fault.value else ""

    def close(self) -> None:
        """Take every widget out of the kernel's memory; what is on the page stays as it is."""
        for widget in _all_of(self.widget):
            widget.close()


def _all_of(widget: VBox) -> list[VBox]:
    return [part for child in getattr(widget, "children", ()) for part in _all_of(child)] + [widget]


def _button(text: str, icon: str, what: str, act: Callable[[], None]) -> Button:
    button = Button(description=text, icon=icon, tooltip=what)
    button.on_click(lambda _: act())
    return button


def static(title: str, topology: str, reading: str, chart: str, cards: str) -> str:
    """What the room showed at one moment, as HTML without any script."""
    note = "A picture of one moment: run the cell, and this is a panel that moves, with controls for load and failures."
    return (
        f'<div style="max-width:{WIDEST}"><p><strong>{html.escape(title)}</strong></p>{topology}'
        f"<p><em>{html.escape(reading)}</em></p>{chart}{cards}<p>{note}</p></div>"
    )
