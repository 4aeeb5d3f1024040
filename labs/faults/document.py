"""``docs/failures.md``, made from the catalogue: ``python -m labs.faults.document`` prints it."""

from __future__ import annotations

from labs.faults.catalogue import PLANES, Fault, Sign, catalogue

HEAD = """\
# Failures

Made from `labs/faults/rows/` by `python -m labs.faults.document > docs/failures.md`; a test compares the two.

`lab fault list` says which of them this backend can make, `lab fault inject NAME` makes one, `lab fault heal --all` undoes
whatever is in force. In a notebook `with lab.fault(NAME):` heals by itself, and `lab.experiment(NAME, …)` puts a steady state
before it and a recovery after it.

The first question about a failure is on which plane it shows, and on which it does not:

"""
TITLES = {
    "card": "The card",
    "kubernetes": "Nodes and Kubernetes",
    "serving": "Serving",
    "mesh": "The mesh",
    "network": "The network between the clusters",
}
QUIET = "nothing"


def document() -> str:
    """The whole page, Markdown."""
    parts = [HEAD, _matrix()]
    for plane in PLANES:
        parts.append(f"\n## {TITLES[plane]}\n")
        parts += [_section(fault) for fault in catalogue().values() if fault.plane == plane]
    return "".join(parts)


def _matrix() -> str:
    """Which failure shows where, at a glance."""
    rows = [
        f"| [{fault.name}](#{fault.name}) | {fault.level} | "
        + " | ".join("" if fault.shows[plane].startswith(QUIET) else "●" for plane in PLANES)
        + " |"
        for fault in catalogue().values()
    ]
    head = f"| failure | level | {' | '.join(PLANES)} |\n|---|---|{'---|' * len(PLANES)}\n"
    return head + "\n".join(rows) + "\n"


def _section(fault: Fault) -> str:
    words = f" ({' '.join(f'{word}=…' for word in fault.where)})" if fault.where else ""
    lines = [
        f"\n### {fault.name}",
        f"**{fault.title}.** `lab fault inject {fault.name}`{words}",
        fault.production,
        f"*Source: {fault.source}*",
        f"**Blast radius.** {fault.blast_radius}",
        "| plane | what it shows |\n|---|---|\n" + "\n".join(f"| {plane} | {_cell(fault.shows[plane])} |" for plane in PLANES),
        _seen(fault),
        "**Look at**\n\n" + "\n".join(f"{number}. {place}" for number, place in enumerate(fault.look, 1)),
        f"**Repair.** {fault.repair}",
        f"**Prevent.** {fault.prevent}",
    ]
    if fault.embedded:
        lines.append(f"**How the lab makes it.** {fault.embedded}")
    return "\n\n".join(lines) + "\n"


def _seen(fault: Fault) -> str:
    """What the lab itself looks for."""
    first = f"**First seen by** {_question(fault.first)}. " if fault.first else ""
    later = f"; this comes later: {fault.later}" if fault.later else "."
    return f"{first}**Proven by** {_question(fault.sign)}{later}"


def _question(sign: Sign) -> str:
    if sign.promql:
        return f"`{sign.promql}` in Prometheus of `{sign.cluster}`"
    return f"`{sign.prints}` in `kubectl --context {sign.cluster} {sign.kubectl}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(document(), end="")
