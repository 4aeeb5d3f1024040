"""Every failure of the catalogue against a running lab: it shows, and a heal leaves nothing behind. How soon is printed (-s)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from labs.faults import symptoms
from labs.faults.catalogue import Symptom, catalogue
from labs.lab import Lab
from tests.support import snapshot

pytestmark = [pytest.mark.integration, pytest.mark.catalogue, pytest.mark.timeout(900)]
TIMEOUT = 90.0
"""Seconds until what does not come true counts as a failure; what it takes is a figure and no assertion (docs/figures.md)."""
POLL = 0.3


def is_present(lab: Lab, sign: Symptom) -> bool:
    return symptoms.is_present(lab, sign)


def seconds_until(true: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < TIMEOUT, f"not so after {TIMEOUT:g} s"
        time.sleep(POLL)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def lab(lab_at_08: Lab) -> Iterator[Lab]:
    """The lab as notebook 08 finds it, with a little load on it."""
    lab = lab_at_08
    load = lab.load("chat", rps=3, seconds=840, timeout=5, wait=False)
    lab.wait_until('sum(rate(response_total{direction="outbound",dst_service=~"model-server.*"}[5s])) > 1', timeout=60)
    yield lab
    load.stop()
    lab.heal()


@pytest.fixture(scope="module")
def before(lab: Lab) -> dict[str, object]:
    return {"objects": snapshot.objects(lab, f"{snapshot.KINDS},{snapshot.MESH_KINDS}"), "pods": snapshot.pods(lab)}


@pytest.fixture(scope="module")
def processes(lab: Lab) -> object:
    return snapshot.processes()


@pytest.mark.parametrize("name", list(catalogue()))
def test_it_shows_and_is_healed(
    lab: Lab, before: object, processes: object, name: str, record_property: Callable[[str, object], None]
) -> None:
    known = catalogue()[name]
    first, sign = known.early_symptom or known.symptom, known.symptom

    def steady() -> bool:
        return not any(is_present(lab, one) for one in {first, sign})

    seconds_until(steady)  # the failure before may have had this sign, too
    started = time.monotonic()
    with lab.fault(name) as fault:
        injected = time.monotonic() - started
        shown = seconds_until(lambda: is_present(lab, first))
        proven = shown if first == sign else shown + seconds_until(lambda: is_present(lab, sign))
    settled = seconds_until(steady)
    print(
        f"\n{name}: injected in {injected:.1f} s, shown after {shown:.1f} s, proven after {proven:.1f} s, "
        f"healed in {fault.healed_after:.1f} + {settled:.1f} s"
    )
    record_property(
        "seconds", {"inject": injected, "show": shown, "prove": proven, "heal": fault.healed_after, "steady": settled}
    )


def test_afterwards_the_lab_is_as_it_was(lab: Lab, before: dict[str, object], processes: object) -> None:
    assert not lab.active_faults()

    def same() -> bool:
        return snapshot.pods(lab) == before["pods"]

    seconds_until(same)
    after = snapshot.objects(lab, f"{snapshot.KINDS},{snapshot.MESH_KINDS}")
    known = before["objects"]
    assert isinstance(known, dict)
    assert set(after) == set(known)
    assert {title: item for title, item in after.items() if item != known[title]} == {}
    assert snapshot.processes() == processes
