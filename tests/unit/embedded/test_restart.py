"""Which containers are started again: rules, then the container's policy, then the pod's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.node.model import ContainerRecord
from labs.embedded.node.restart import is_restarted

POLICIES = st.sampled_from(["Always", "OnFailure", "Never"])
CODES = st.integers(0, 255)


def restarted(pod_policy: str, code: int, *, kind: str = "main", **container: Any) -> bool:
    record = ContainerRecord("a", kind, {"name": "a", "image": "busybox:1"} | container, Path("/none"))
    return is_restarted({"spec": {"restartPolicy": pod_policy}}, record, code)


def rule(operator: str, *codes: int, action: str = "Restart") -> dict[str, Any]:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_policies(policy: str, code: int, expected: bool) -> None:
    assert restarted(policy, code) is expected
    assert restarted("Always", code, restartPolicy=policy) is expected


@given(policy=POLICIES, code=CODES)
def test_an_init_container_that_succeeded_is_done_and_a_sidecar_never_is(policy: str, code: int) -> None:
    assert not restarted(policy, 0, kind="init", restartPolicyRules=[rule("In", 0)])
    assert restarted(policy, code, kind="sidecar", restartPolicy="Always")


@given(policy=POLICIES, own=POLICIES, code=CODES, listed=st.lists(CODES, max_size=3))
def test_a_rule_that_matches_comes_before_every_policy(policy: str, own: str, code: int, listed: list[int]) -> None:
    plain = restarted(policy, code, restartPolicy=own)
    inside = restarted(policy, code, restartPolicy=own, restartPolicyRules=[rule("In", *listed)])
    outside = restarted(policy, code, restartPolicy=own, restartPolicyRules=[rule("NotIn", *listed)])
    assert inside is (plain or code in listed)
    assert outside is (plain or code not in listed)


def test_exit_42_under_never() -> None:
    rules = [rule("In", 42)]
    assert restarted("Never", 42, restartPolicy="Never", restartPolicyRules=rules)
    assert not restarted("Never", 1, restartPolicy="Never", restartPolicyRules=rules)
    assert not restarted("Never", 42, restartPolicy="Never", restartPolicyRules=[rule("In", 42, action="RestartAllContainers")])
