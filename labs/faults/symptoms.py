"""Checking whether a failure's symptom is present."""

from __future__ import annotations

import re

from labs.errors import LabError
from labs.faults.catalogue import Symptom
from labs.session import Session

KUBECTL_TIMEOUT = 10.0
"""Seconds. A control plane that does not answer is a symptom itself."""


def is_present(session: Session, symptom: Symptom) -> bool:
    """Ask Prometheus or ``kubectl``, whichever the symptom uses. If kubectl fails, its error message counts as its output."""
    if symptom.promql:
        return not session.prometheus(symptom.cluster).instant(symptom.promql).empty
    try:
        printed = session.clusters[symptom.cluster].kubectl(*symptom.kubectl.split(" "), timeout=KUBECTL_TIMEOUT)
    except LabError as error:
        printed = str(error)
    return re.search(symptom.prints, printed) is not None
