"""Pods for the integration tests: make them, wait for what should become true of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from labs.course.catchup import notebooks_before, run_steps
from labs.course.checks import run_one, select
from labs.course.notebook_lab import open_lab
from labs.lab import Lab
from tests.support.waiting import eventually

Object = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs clusters without a mesh runs first, what takes the lab down last: the others share one lab, and a mesh in it."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("before_the_mesh"):
        return 0
    return 2 if item.get_closest_marker("takes_the_lab_down") else 1


class Pods:
    """The pods of one namespace in the app cluster."""

    def __init__(self, kubectl: Callable[..., str], namespace: str) -> None:
        self._kubectl = kubectl
        self.namespace = namespace

    def run(self, *args: str, **options: Any) -> str:
        """kubectl in the namespace."""
        return self._kubectl("app", "--namespace", self.namespace, *args, **options)

    def apply(self, *objects: Object) -> None:
        self.run("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def pod(self, name: str, script: str | None = None, *, spec: Object | None = None, **container: Any) -> Object:
        """A pod with the one container ``main`` that runs ``script`` in a shell."""
        main = (
            {"name": "main", "image": "busybox:1"} | ({"command": ["sh", "-c", script]} if script is not None else {}) | container
        )
        whole = {"containers": [main], "terminationGracePeriodSeconds": 3} | (spec or {})
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"test": name}}, "spec": whole}

    def get(self, name: str) -> Object:
        found: Object = json.loads(self.run("get", "pod", name, "-o", "json"))
        return found

    def select(self, selector: str) -> list[Object]:
        items: list[Object] = json.loads(self.run("get", "pods", "-l", selector, "-o", "json"))["items"]
        return items

    def until(self, name: str, true: Callable[[Object], Any], timeout: float = 30) -> Object:
        """The pod once ``true(pod)``; fails after ``timeout`` seconds with the pod as it was last."""
        return eventually(lambda: self.get(name), timeout, holds=true)

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of all events about ``name``, in the order they began."""
        items = json.loads(self.run("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "json"))["items"]
        items.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        return [(event["reason"], event["message"]) for event in items]

    def until_event(self, name: str, reason: str, message: str, timeout: float = 30) -> None:
        """An event with this reason whose message contains ``message``."""
        eventually(
            lambda: self.events(name),
            timeout,
            holds=lambda seen: any(found == reason and message in text for found, text in seen),
        )


@pytest.fixture
def pods(kubectl: Callable[..., str], namespace: str) -> Pods:
    return Pods(kubectl, namespace)


@pytest.fixture(scope="session")
def lab_at_08(lab_up: None) -> Lab:
    """The lab as notebook 08 finds it: the steps of the notebooks before are run, unless they were."""
    lab = open_lab()
    if not all(run_one(lab, item).passed for id in ("06", "07") for item in select(id)):
        for notebook in notebooks_before("08"):
            outcome = run_steps(notebook, lambda _index, _count: None)
            assert not outcome.error, outcome.error
    lab.heal()
    return lab
