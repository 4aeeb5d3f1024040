"""Deleting pods: grace, hooks, force, finalizers."""

from __future__ import annotations

import time
from typing import Any

from labs import kube
from tests.parity.context import ParityContext
from tests.parity.expect import Between, containing
from tests.parity.pods import LOOP, POLITE, event, pod, shell_in, space
from tests.parity.rows import Topic

topic = Topic("kubelet_deletion", "kubelet", "Deletion")
SOURCE = "09-deletion.txt"


def deleted(context: ParityContext, name: str, script: str, *options: str, spec: Any = None, **container: Any) -> float:
    """Make a pod, delete it once it runs, and return the seconds until its object is gone."""
    pod(context, name, script, spec=spec, **container)
    kube.wait(context.api(), "Pod", name, space(context), kube.ready, timeout=40)
    time.sleep(0.5)  # a shell sets its trap a moment after it has started
    begun = time.monotonic()
    shell_in(context, "delete", "pod", name, "--wait=false", *options)
    kube.wait(context.api(), "Pod", name, space(context), kube.deleted, timeout=60)
    return time.monotonic() - begun


@topic.row("seconds until a pod that exits on TERM is gone", real=Between(0, 8, "s"), source=SOURCE)
def polite(context: ParityContext) -> Any:
    return deleted(context, "polite", POLITE, spec={"terminationGracePeriodSeconds": 30})


@topic.row("the event of a deletion", real="Stopping container main", source=SOURCE)
def event_of_a_deletion(context: ParityContext) -> Any:
    deleted(context, "stopped", POLITE)
    return event(context, "stopped", "Killing")


@topic.row("seconds until a pod that ignores TERM is gone, with a grace period of 4 s", real=Between(4, 10, "s"), source=SOURCE)
def stubborn(context: ParityContext) -> Any:
    return deleted(context, "stubborn", f"trap '' TERM; {LOOP}", spec={"terminationGracePeriodSeconds": 4})


@topic.row(
    "seconds until a pod deleted with --force is gone, with a grace period of 30 s", real=Between(0, 8, "s"), source=SOURCE
)
def forced(context: ParityContext) -> Any:
    spec = {"terminationGracePeriodSeconds": 30}
    return deleted(context, "forced", f"trap '' TERM; {LOOP}", "--grace-period=0", "--force", spec=spec)


@topic.row("seconds until a pod with a preStop hook of 2 s is gone", real=Between(2, 9, "s"), source=SOURCE)
def pre_stop(context: ParityContext) -> Any:
    hook = {"preStop": {"exec": {"command": ["sleep", "2"]}}}
    return deleted(context, "hooked", POLITE, spec={"terminationGracePeriodSeconds": 10}, lifecycle=hook)


@topic.row("a preStop hook that exits with 5", real="PreStopHook failed", source=SOURCE)
def pre_stop_fails(context: ParityContext) -> Any:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "exit 5"]}}}
    deleted(context, "hook-fails", POLITE, spec={"terminationGracePeriodSeconds": 10}, lifecycle=hook)
    return event(context, "hook-fails", "FailedPreStopHook")


@topic.row(
    "what kubectl says about a pod that never existed", real=(1, containing('pods "ghost" not found')), source="08-exec-logs.txt"
)
def never_there(context: ParityContext) -> Any:
    return shell_in(context, "delete", "pod", "ghost")
