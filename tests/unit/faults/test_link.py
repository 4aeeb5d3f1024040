"""The network link between the clusters: the words of its faults, and what the backend's nodes are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from labs.errors import UsageError
from labs.faults.catalogue import find
from labs.faults.injectors import injector
from labs.link_conditions import CLEAR, LinkConditions
from labs.session import Session


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("link-latency", {"latency": "250"}, LinkConditions(latency_ms=250)),
        ("link-loss", {"loss": 5}, LinkConditions(loss_percent=5)),
        ("link-partition", {}, LinkConditions(lost=("requests", "answers"))),
        ("link-asymmetric", {}, LinkConditions(lost=("answers",))),
    ],
)
def test_the_conditions_come_and_go_with_the_fault(
    session: Session, backend: Any, name: str, words: dict[str, Any], expected: LinkConditions
) -> None:
    maker = injector(find(name))
    parameters = maker.resolve(session, words)
    maker.inject(session, parameters)
    maker.heal(session, parameters, {})
    assert backend.nodes.calls == [("shape_link", "gpu", expected), ("shape_link", "gpu", CLEAR)]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("link-latency", {"latency": "far"}), ("link-latency", {"latency": -1}), ("link-loss", {"loss": 100})],
)
def test_what_no_network_does_is_refused(session: Session, backend: Any, name: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        injector(find(name)).resolve(session, parameters)
    assert not backend.nodes.calls


def test_all_four_are_one_thing_and_cannot_be_combined() -> None:
    names = ("link-latency", "link-loss", "link-partition", "link-asymmetric")
    assert len({injector(find(name)).affected_resources({}) for name in names}) == 1
