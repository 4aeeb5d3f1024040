"""CSV as ``nvidia-smi`` writes it: fields with units, several names for one field, brackets around what cannot be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labs.pods.gpu_simulator.smi_errors import HELP, NotSimulated, WrongUsage

GpuReadings = Mapping[str, Any]
"""A GPU as ``GET /v1/gpus`` shows it."""
MIB = 1 << 20
NOT_AVAILABLE = "N/A"


@dataclass(frozen=True)
class Field:
    """How to read a field, and its unit; ``log`` fields can be read even if a GPU's sensors cannot. ``aliases`` are more names;
    the header has the first name, whichever was asked for."""

    value: Callable[[GpuReadings], object]
    unit: str = ""
    log: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The fields of one ``--query-…`` switch. ``groups`` are prefixes of names that only nvidia-smi has."""

    switch: str
    fields: Mapping[str, Field]
    groups: tuple[str, ...] = ()

    def resolve(self, name: str) -> str:
        """The first name of the field that is called ``name``.

        Raises:
            NotSimulated, WrongUsage: no field has that name.
        """
        for first, field in self.fields.items():
            if name == first or name in field.aliases:
                return first
        if name.startswith(self.groups):
            raise NotSimulated(f'the field "{name}"; --help-{self.switch} lists those that are')
        raise WrongUsage(f'Field "{name}" is not a valid field to query.')

    def csv(self, rows: Sequence[GpuReadings], names: str, form: str | None) -> str:
        """The output of the switch; ``names`` and ``form`` as typed after it and after ``--format``.

        Raises:
            NotSimulated, WrongUsage: a field or the format is wrong.
        """
        words = _format(form)
        columns = [self.resolve(name.strip()) for name in names.split(",")]
        units = "nounits" not in words
        head = [f"{name} [{self.fields[name].unit}]" if units and self.fields[name].unit else name for name in columns]
        body = [[cell(row, self.fields[name], units) for name in columns] for row in rows]
        return "\n".join(", ".join(line) for line in ([] if "noheader" in words else [head]) + body)

    def help(self) -> str:
        """What ``--help-query-…`` prints: the names, with a word on those that are left out."""
        names = [" or ".join(f'"{name}"' for name in (first, *field.aliases)) for first, field in self.fields.items()]
        head = [f'List of valid properties to query for the switch "--{self.switch}" in the simulator:', ""]
        return "\n".join([*head, *names, "", "Other properties of nvidia-smi are not simulated."])


def _format(form: str | None) -> list[str]:
    if form is None:
        raise WrongUsage(f'"--format=" switch is missing. {HELP}')
    words = [word.strip() for word in form.split(",")]
    if "csv" not in words or not set(words) <= {"csv", "noheader", "nounits"}:
        raise WrongUsage(f"ERROR: expected --format to be csv[,noheader][,nounits]; found {form}. {HELP}")
    return words


def cell(row: GpuReadings, field: Field, units: bool = True) -> str:
    """One value as nvidia-smi writes it: with its unit, in brackets if it cannot be shown."""
    if row["blind"] and not field.log:
        return "[GPU is lost]"
    value = field.value(row)
    if value == NOT_AVAILABLE:
        return f"[{NOT_AVAILABLE}]"
    return f"{value} {field.unit}" if units and field.unit else str(value)
