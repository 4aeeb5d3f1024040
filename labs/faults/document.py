"""``docs/failures.md``, generated from the catalogue: ``python -m labs.faults.document`` prints it."""

from __future__ import annotations

from labs.faults.catalogue import LAYERS, Fault, Symptom, catalogue

HEAD = """\
# Failures

Generated from `labs/faults/rows/` by `python -m labs.faults.document > docs/failures.md`; a test compares the two.

`lab fault list` says which of these failures your backend supports, `lab fault inject NAME` injects one, `lab fault heal --all`
heals everything that is active. In a notebook, `with lab.fault(NAME):` heals by itself; `lab.experiment(lab.fault(NAME))` adds a
steady state before the failure and a recovery after it.

The first question about a failure is which layers show it, and which do not:

"""
TITLES = {
    "gpu": "GPUs",
    "kubernetes": "Nodes and Kubernetes",
    "serving": "Serving",
    "mesh": "The mesh",
    "network": "The network between the clusters",
}
QUIET = "nothing"


def document() -> str:
    """The whole page, in Markdown."""
    parts = [HEAD, _matrix()]
    for layer in LAYERS:
        parts.append(f"\n## {TITLES[layer]}\n")
        parts += [_section(fault) for fault in catalogue().values() if fault.layer == layer]
    return "".join(parts)


def _matrix() -> str:
    """A table of failures and the layers that show them."""
    rows = [
        f"| [{fault.name}](#{fault.name}) | {fault.level} | "
        + " | ".join("" if fault.shows[layer].startswith(QUIET) else "●" for layer in LAYERS)
        + " |"
        for fault in catalogue().values()
    ]
    head = f"| failure | level | {' | '.join(LAYERS)} |\n|---|---|{'---|' * len(LAYERS)}\n"
    return head + "\n".join(rows) + "\n"


def _section(fault: Fault) -> str:
    parameters = f" ({' '.join(f'{name}=…' for name in fault.parameters)})" if fault.parameters else ""
    lines = [
        f"\n### {fault.name}",
        f"**{fault.title}.** `lab fault inject {fault.name}`{parameters}",
        fault.production,
        f"*Source: {fault.source}*",
        f"**Blast radius.** {fault.blast_radius}",
        "| layer | what it shows |\n|---|---|\n" + "\n".join(f"| {layer} | {_cell(fault.shows[layer])} |" for layer in LAYERS),
        _symptoms(fault),
        "**Look at**\n\n" + "\n".join(f"{number}. {place}" for number, place in enumerate(fault.look, 1)),
        f"**Repair.** {fault.repair}",
        f"**Prevent.** {fault.prevent}",
    ]
    if fault.how:
        lines.append(f"**In the lab.** {fault.how}")
    return "\n\n".join(lines) + "\n"


def _symptoms(fault: Fault) -> str:
    """What the lab itself looks for."""
    early = f"**Early symptom:** {_question(fault.early_symptom)}. " if fault.early_symptom else ""
    delay = f" It takes a while: {fault.delay}" if fault.delay else ""
    return f"{early}**Symptom:** {_question(fault.symptom)}.{delay}"


def _question(symptom: Symptom) -> str:
    if symptom.promql:
        return f"`{symptom.promql}` in the Prometheus of `{symptom.cluster}`"
    return f"`{symptom.prints}` in the output of `kubectl --context {symptom.cluster} {symptom.kubectl}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(document(), end="")
