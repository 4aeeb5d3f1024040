"""Looking for a failure's sign: is it there now?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labs.errors import LabError
from labs.faults.catalogue import Sign
from labs.faults.injectors.base import Scene
from labs.telemetry.prometheus import Prometheus

PATIENCE = 10.0
"""Seconds ``kubectl`` may take: a control plane that does not answer is itself a sign."""


def is_there(scene: Scene, servers: Mapping[str, Prometheus], sign: Sign) -> bool:
    """Ask Prometheus or ``kubectl``, whichever the sign names. What kubectl says on failing counts as what it prints."""
    if sign.promql:
        return not servers[sign.cluster].instant(sign.promql).empty
    try:
        told = scene.clusters[sign.cluster].kubectl(*sign.kubectl.split(" "), timeout=PATIENCE)
    except LabError as error:
        told = str(error)
    return re.search(sign.prints, told) is not None
