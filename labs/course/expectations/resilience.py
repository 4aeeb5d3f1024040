"""Notebook 09: the service that misbehaves runs meshed in every cluster, is mirrored, has a circuit breaker, and answers."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import get, meshed

if TYPE_CHECKING:
    from labs.lab import Lab

NAMESPACE = "resilience"
MIRRORS = ("answers-gpu", "answers-flat-gpu", "answers-federated")
ACCRUAL = "balancer.linkerd.io/failure-accrual"


@check("09.1", "every pod of answers has a ready proxy, in every cluster", hint="run the cell of step 1 again", within=60)
def answers_are_meshed(lab: Lab) -> Finding:
    found = {
        name: meshed(cluster, NAMESPACE, "app=answers") for name, cluster in ((lab.app.name, lab.app), (lab.gpu.name, lab.gpu))
    }
    return Finding(
        all(finding.ok for finding in found.values()), "; ".join(f"{name}: {finding.found}" for name, finding in found.items())
    )


@check("09.2", "answers is mirrored into the app cluster in three ways", hint="run the cell of step 1 again", within=20)
def answers_are_mirrored(lab: Lab) -> Finding:
    """Through the gateway, from pod to pod, and as one Service of both clusters' pods."""
    items = get(lab.app, "services", "-n", NAMESPACE, "-l", "mirror.linkerd.io/mirrored-service=true")["items"]
    names = {item["metadata"]["name"] for item in items}
    missing = [name for name in MIRRORS if name not in names]
    return Finding(not missing, f"missing: {', '.join(missing)}" if missing else ", ".join(sorted(names)))


@check("09.3", "answers has a circuit breaker", hint="run the cell of step 3 again")
def breaker_is_on(lab: Lab) -> Finding:
    annotations = get(lab.app, "service", "answers", "-n", NAMESPACE)["metadata"].get("annotations", {})
    mode = annotations.get(ACCRUAL)
    return Finding(mode == "consecutive", f"{ACCRUAL}={mode}" if mode else f"no annotation {ACCRUAL}")


@check("09.4", "answers works again in the app cluster", hint="run the last cell of step 6 again", within=30)
def answers_are_given(lab: Lab) -> Finding:
    try:
        with urllib.request.urlopen(lab.url(f"{NAMESPACE}/answers", cluster=lab.app.name) + "/", timeout=10) as response:
            return Finding(response.status == 200, f"status {response.status}")
    except urllib.error.HTTPError as error:
        return Finding(False, f"status {error.code}")
    except OSError as error:
        return Finding(False, f"no answer: {error}")
