"""The widgets of the control room, and the static figure shown where widgets do not work (GitHub, nbconvert)."""

from __future__ import annotations

from collections.abc import Callable

from ipywidgets import HTML, BoundedIntText, Button, Dropdown, HBox, Layout, VBox

from labs.course.control_room import actions
from labs.course.control_room.actions import Actions
from labs.course.render import render
from labs.faults.catalogue import Fault

WIDEST = "980px"
MAX_RPS = 30
"""About twice what two GPUs can answer."""


def code(*lines: str) -> str:
    """A control's code twin."""
    return render("code_twin.html.j2", lines=lines)


class ControlPanel:
    """Controls at the top, their effect on the lab below. All controls are native widgets and work with the keyboard."""

    def __init__(self, control: Actions, faults: list[Fault]) -> None:
        self.status, self.reading, self.chart, self.topology, self.gpus = (HTML() for _ in range(5))
        # A field, not a slider: to a screen reader the handle of a slider of ipywidgets has no name.
        self.rps = BoundedIntText(
            6, min=1, max=MAX_RPS, description="requests/s", style={"description_width": "initial"}, layout=Layout(width="150px")
        )
        self.target = Dropdown(options=actions.TARGETS, description="to", layout=Layout(width="180px"))
        self.fault = Dropdown(
            options=[(f"{fault.name}: {fault.title}", fault.name) for fault in faults],
            description="failure",
            layout=Layout(width="440px"),
        )
        self.start = _button("Start load", "play", "Replace the current load with this one", self._start)
        self.stop = _button("Stop load", "stop", "End the load", self._stop)
        self.inject = _button("Break it", "bolt", "Inject this failure", lambda: control.inject(self.fault.value))
        self.heal = _button("Heal all", "medkit", "Heal everything that is active", control.heal)
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
        parts = [controls, self.status, self.topology, self.reading, self.chart, self.gpus]
        return VBox(parts, layout=Layout(max_width=WIDEST))

    def tell(self, what: str) -> None:
        """Show what the controls do; a screen reader announces it."""
        self.status.value = render("status.html.j2", message=what)

    def show(self, topology: str, reading: str, chart: str, gpus: str) -> None:
        """Show one moment."""
        self.topology.value, self.chart.value, self.gpus.value = topology, chart, gpus
        self.reading.value = render("reading.html.j2", reading=reading)

    def _start(self) -> None:
        self._loaded = True
        self._control.start(self.target.value, self.rps.value)

    def _turned(self, _: object) -> None:
        """The rate or the target changed: a running load follows it."""
        self._show_load()
        if self._loaded:
            self._start()

    def _stop(self) -> None:
        # From now on the field only describes the next load.
        self._loaded = False
        self._control.stop()

    def _show_load(self) -> None:
        self.load_twin.value = code(actions.load_twin(self.target.value, self.rps.value), actions.STOP)

    def _chosen(self, _: object) -> None:
        self.fault_twin.value = code(actions.fault_twin(self.fault.value), actions.HEAL) if self.fault.value else ""

    def close(self) -> None:
        """Remove every widget from the kernel's memory; the page keeps showing them."""
        for widget in _all_of(self.widget):
            widget.close()


def _all_of(widget: VBox) -> list[VBox]:
    return [part for child in getattr(widget, "children", ()) for part in _all_of(child)] + [widget]


def _button(text: str, icon: str, what: str, act: Callable[[], None]) -> Button:
    button = Button(description=text, icon=icon, tooltip=what)
    button.on_click(lambda _: act())
    return button


def static(title: str, topology: str, reading: str, chart: str, gpus: str) -> str:
    """What the room showed at one moment, as HTML without scripts."""
    return render("control_room.html.j2", width=WIDEST, title=title, topology=topology, reading=reading, chart=chart, gpus=gpus)
