"""A wrong change and back, against an API that only remembers one object."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import kube
from labs.errors import NotFound
from labs.faults.catalogue import find
from labs.faults.injectors import injector
from labs.faults.injectors.edits import look_up, restoring
from labs.session import Session

DEPLOYMENT: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"generation": 1},
    "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "m", "image": "lab:dev", "args": ["model-server"]}]}}},
    "status": {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1},
}


def patched(found: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    """RFC 6902, as far as the catalogue uses it."""
    for step in operations:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].lstrip("/").split("/"))
        item: Any = found
        for part in way:
            item = item[int(part)] if isinstance(item, list) else item[part]
        if step["op"] == "remove":
            del item[last]
        elif isinstance(item, list):
            item.append(step["value"]) if last == "-" else item.__setitem__(int(last), step["value"])
        else:
            item[last] = copy.deepcopy(step["value"])


@pytest.fixture
def deployment(session: Session, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A Deployment whose controller is as quick as its writer, and its ReplicaSets by name."""
    found = copy.deepcopy(DEPLOYMENT)
    sets = ["model-server-1"]

    def patch(api: Any, kind: str, name: str, namespace: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        patched(found, operations)
        if "model-server-2" not in sets and any("template" in step["path"] for step in operations):
            sets.append("model-server-2")
        count = found["spec"]["replicas"]
        found["status"] |= {"replicas": count, "updatedReplicas": count, "availableReplicas": count}
        return found

    def select(api: Any, kind: str, namespace: str, **_: Any) -> list[dict[str, Any]]:
        owner = [{"kind": "Deployment", "name": "model-server"}]
        return [{"metadata": {"name": name, "ownerReferences": owner}} for name in sets]

    monkeypatch.setattr(kube, "get", lambda *words: copy.deepcopy(found) if found else None)
    monkeypatch.setattr(kube, "patch", patch)
    monkeypatch.setattr(kube, "select", select)
    monkeypatch.setattr(kube, "delete", lambda api, kind, name, namespace: sets.remove(name))
    found["sets"] = sets
    return found


@pytest.mark.parametrize("name", ["crash-loop", "bad-rollout", "image-not-pullable", "out-of-memory", "health-lies"])
def test_healed_it_is_as_it_was_and_the_bad_revision_is_forgotten(
    deployment: dict[str, Any], session: Session, name: str
) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        container[probe] = {"httpGet": {"path": "/health", "port": "http"}}
    maker, was = injector(find(name)), copy.deepcopy(deployment["spec"])
    saved_state = maker.capture_state(session, {})
    maker.inject(session, {})
    assert deployment["spec"] != was
    maker.heal(session, {}, saved_state)
    assert deployment["spec"] == was and deployment["sets"] == ["model-server-1"]
    maker.heal(session, {}, saved_state)
    assert deployment["spec"] == was


def test_the_gateway_is_scaled_to_nothing_and_back_to_what_it_was(deployment: dict[str, Any], session: Session) -> None:
    deployment["spec"]["replicas"] = 3
    gateway = injector(find("gateway-down"))
    saved_state = gateway.capture_state(session, {})
    gateway.inject(session, {})
    assert deployment["spec"]["replicas"] == 0
    gateway.heal(session, {}, saved_state)
    assert deployment["spec"]["replicas"] == 3


def test_what_is_not_there_is_refused_and_says_what_to_do(deployment: dict[str, Any], session: Session) -> None:
    deployment.clear()
    with pytest.raises(NotFound, match="linkerd-multicluster/linkerd-gateway") as refused:
        injector(find("gateway-down")).resolve(session, {})
    assert "notebook 05" in refused.value.fix


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(min_size=1), inner)
)


@given(st.dictionaries(st.sampled_from("ab/~"), JSON), st.dictionaries(st.sampled_from("ab/~"), JSON), st.sampled_from("ab/~"))
def test_restoring_always_brings_back_what_was_kept(before: dict[str, Any], after: dict[str, Any], key: str) -> None:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    kept = look_up(before, pointer)
    step = restoring(after, pointer, kept)
    if step is not None:
        patched(after, [step])
    assert look_up(after, pointer) == kept
