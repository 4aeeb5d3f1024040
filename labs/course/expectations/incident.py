"""Notebook 11: the incident had two causes, and both were found and repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import get
from labs.course.expectations.model_server import model_server_is_ready
from labs.course.expectations.multicluster import chat_is_answered
from labs.course.gameday.incident import CAUSES

if TYPE_CHECKING:
    from labs.lab import Lab

ARGUMENTS = ["model-server"]
"""The model server's command line as notebook 03 deploys it."""


@check("11.1", "both causes of the incident are repaired", hint="lab fault heal --all")
def both_causes_are_repaired(lab: Lab) -> Finding:
    made = {injection.name for injection in lab.journal.all()}
    never = [name for name in CAUSES if name not in made]
    if never:
        return Finding(False, f"never injected: {', '.join(never)}")
    active = [injection.label for injection in lab.active_faults()]
    return Finding(not active, f"still active: {', '.join(sorted(active))}" if active else "both are repaired")


@check("11.2", "both model servers are ready, at the old version", hint="kubectl --context gpu -n ml get pods", within=90)
def old_version_is_ready(lab: Lab) -> Finding:
    (container,) = [
        row
        for row in get(lab.gpu, "deployment", "model-server", "-n", "ml")["spec"]["template"]["spec"]["containers"]
        if row["name"] == "model-server"
    ]
    if container["args"] != ARGUMENTS:
        return Finding(False, f"model-server runs with {' '.join(container['args'])}")
    return model_server_is_ready(lab)


@check("11.3", "the chat is answered", hint="linkerd --context app multicluster gateways", within=30)
def users_are_served(lab: Lab) -> Finding:
    return chat_is_answered(lab)
