"""Notebook 08: every fault is healed and the service works again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.gpus import gpus_are_offered
from labs.course.expectations.model_server import model_server_is_ready
from labs.course.expectations.multicluster import chat_is_answered

if TYPE_CHECKING:
    from labs.lab import Lab


@check("08.1", "no fault is active", hint="lab fault heal --all")
def nothing_is_broken(lab: Lab) -> Finding:
    active = [fault.label for fault in lab.active_faults()]
    return Finding(not active, f"active: {', '.join(active)}" if active else "none is active")


@check("08.2", "all GPUs are offered again", hint="lab fault heal --all", within=40)
def gpus_are_back(lab: Lab) -> Finding:
    return gpus_are_offered(lab)


@check("08.3", "both model servers are ready again", hint="kubectl --context gpu -n ml get pods", within=90)
def servers_are_back(lab: Lab) -> Finding:
    return model_server_is_ready(lab)


@check("08.4", "the chat is answered again", hint="linkerd --context app multicluster gateways", within=60)
def chat_is_back(lab: Lab) -> Finding:
    return chat_is_answered(lab)
