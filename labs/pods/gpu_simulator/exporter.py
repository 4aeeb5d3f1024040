"""The metrics page: dcgm-exporter's names, types, units and labels over the simulated GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from labs.pods.gpu_simulator.attribution import Holder, Holding
from labs.pods.gpu_simulator.device import Gpu
from labs.pods.gpu_simulator.fields import FIELDS, Field, View
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.part import Part

DRIVER_VERSION = "0.1-simulated"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
XID_COUNT = "DCGM_EXP_XID_ERRORS_COUNT"
HEALTH = "DCGM_EXP_GPU_HEALTH_STATUS"
PASS, WARN, FAIL = 0, 10, 20
"""As dcgmHealthWatchResults_t numbers them."""

Row = tuple[View, Sequence[str]]
"""What to show, and the label sets to show it with: one, or one for each pod that shares it."""


def pci_bus_id(gpu: Gpu) -> str:
    """Where the GPU sits: a made-up but stable address."""
    return f"00000000:{7 + 8 * gpu.index:02X}:00.0"


def _labels(gpu: Gpu, part: Part, node: str) -> str:
    pairs = {
        "gpu": str(gpu.index),
        "UUID": gpu.uuid,
        "pci_bus_id": pci_bus_id(gpu),
        "device": f"nvidia{gpu.index}",
        "modelName": gpu.profile.model_name,
    }
    if part.instance:
        pairs |= {"GPU_I_PROFILE": part.instance.profile, "GPU_I_ID": str(part.instance.id)}
    pairs |= {"hostname": node, "DCGM_FI_DRIVER_VERSION": DRIVER_VERSION}
    return ",".join(f'{name}="{value}"' for name, value in pairs.items())


def _held(labels: str, holder: Holder, shared: bool) -> str:
    replica = f',vgpu="{holder.replica}"' if shared and holder.replica else ""
    return f'{labels},container="{holder.container}",namespace="{holder.namespace}",pod="{holder.pod}"{replica}'


def _label_sets(gpu: Gpu, part: Part, node: str, holders: Sequence[Holder], shared: bool) -> list[str]:
    labels = _labels(gpu, part, node)
    # Without KUBERNETES_VIRTUAL_GPUS dcgm-exporter gives a shared GPU to one of its pods: the others do not appear.
    shown = holders if shared else holders[-1:]
    return [_held(labels, holder, shared) for holder in shown] or [labels]


def render(fleet: Fleet, holders: Holding, shared: bool = False) -> str:
    """The page in Prometheus' text format; with ``shared`` a GPU that pods share has a series for each."""
    fleet.advance()
    return "".join(families(rows_of(fleet, holders, shared)))


def rows_of(fleet: Fleet, holders: Holding, shared: bool = False) -> list[Row]:
    """The current rows of each part of each GPU."""
    rows: list[Row] = []
    for gpu in fleet.gpus:
        reading, blind = gpu.read(), gpu.blind
        for part in gpu.parts:
            labels = _label_sets(gpu, part, fleet.node, holders.get(part.uuid, ()), shared)
            rows.append((View(gpu, part, reading, part.mean, blind), labels))
    return rows


def families(rows: Sequence[Row]) -> Iterator[str]:
    """The page, one metric after another.

    Not with prometheus-client: that appends ``_total`` to the name of each counter, and dcgm-exporter's counters have none. No
    label value here can hold a character that needs escaping: all are names of Kubernetes objects or come from a profile.
    """
    for field in FIELDS:
        yield "".join(_family(field, rows))
    yield "".join(_xids(rows))
    yield "".join(_health(rows))


def _family(field: Field, rows: Iterable[Row]) -> list[str]:
    value_of, name = field.value, field.name
    samples = []
    for view, label_sets in rows:
        if (view.blind and not field.log) or (field.whole and view.part.instance):
            continue
        value = value_of(view)
        if value is not None:
            for labels in label_sets:
                samples.append(f"{name}{{{labels}}} {value}\n")
    return _with_head(name, field.kind, field.help, samples)


def _with_head(name: str, kind: str, text: str, samples: list[str]) -> list[str]:
    return [f"# HELP {name} {text}\n", f"# TYPE {name} {kind}\n", *samples] if samples else []


def _xids(rows: Iterable[Row]) -> list[str]:
    samples = [
        f'{XID_COUNT}{{{labels},xid="{xid}"}} {count}\n'
        for view, label_sets in rows
        for labels in label_sets
        for xid, count in sorted(view.gpu.recent_xids().items())
    ]
    return _with_head(XID_COUNT, "gauge", "XID errors of the last five minutes, by number.", samples)


def _health(rows: Iterable[Row]) -> list[str]:
    samples = [
        f'{HEALTH}{{{labels},health_watch="{watch}"}} {status}\n'
        for view, label_sets in rows
        if not view.gpu.lost
        for labels in label_sets
        for watch, status in health(view.gpu).items()
    ]
    return _with_head(HEALTH, "gauge", "DCGM's verdict by watch: 0 pass, 10 warn, 20 fail.", samples)


def health(gpu: Gpu) -> dict[str, int]:
    """DCGM's verdict on a GPU by health watch."""
    errors = gpu.errors
    found = {
        "PCIE": FAIL if gpu.lost else PASS,
        "NVLINK": FAIL if errors.nvlink_errors else PASS,
        "MEM": FAIL if errors.dbe or errors.remap_failure else WARN if errors.remap_pending else PASS,
        "THERMAL": WARN if gpu.has(lambda fault: fault.cooling_lost) else PASS,
        "POWER": WARN if gpu.has(lambda fault: fault.power_brake) else PASS,
        "DRIVER": FAIL if gpu.blind and not gpu.lost else PASS,
    }
    return {"ALL": max(found.values()), **found}
