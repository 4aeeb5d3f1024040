"""Notebook 00: the machine is ready. (Looks at the machine, so it needs no lab.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.setup import doctor

if TYPE_CHECKING:
    from labs.lab import Lab


@check("00.1", "the doctor finds nothing wrong", hint="read the lines with ✗ above, or type: lab doctor", within=0)
def machine_is_ready(lab: Lab | None) -> Finding:
    bad = [finding for finding in doctor.examine() if not finding.ok]
    return Finding(not bad, "; ".join(f"{finding.name}: {finding.found}" for finding in bad) or "every line is ✓")
