"""The catalogue is complete: every failure says what it is, where it shows and how it is repaired."""

from __future__ import annotations

import pytest

from labs import config
from labs.errors import NotFound
from labs.faults.catalogue import LAYERS, Fault, catalogue, find
from labs.faults.document import document
from labs.faults.injectors import injector

DOCUMENT = config.ROOT / "docs" / "failures.md"


def test_there_are_enough_on_every_layer_and_level() -> None:
    faults = catalogue().values()
    assert len(faults) >= 20
    assert {fault.layer for fault in faults} == set(LAYERS) and {fault.level for fault in faults} == {1, 2, 3}


@pytest.mark.parametrize("name", list(catalogue()))
def test_every_failure_is_described_and_has_an_injector(name: str) -> None:
    known = catalogue()[name]
    assert set(known.shows) == set(LAYERS) and len(known.look) == 3 and injector(known)
    texts = (known.title, known.production, known.source, known.blast_radius, known.repair, known.prevent, known.object)
    assert all(text.strip() for text in texts)
    for symptom in filter(None, (known.symptom, known.early_symptom)):
        assert bool(symptom.promql) != bool(symptom.kubectl) and bool(symptom.kubectl) == bool(symptom.prints)
    assert known.delay or not known.early_symptom, "a row with an early symptom explains why its symptom is late"


def test_the_document_is_the_catalogue() -> None:
    made = document()
    assert DOCUMENT.read_text() == made, "python -m labs.faults.document > docs/failures.md"
    for known in catalogue().values():
        assert f"### {known.name}" in made and known.production in made and known.source in made


def test_a_row_with_a_missing_or_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="surprise"):
        Fault.from_row({"name": "x", "surprise": 1}, "gpu")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"gateway-down, .*gpu-overheat, gpu-xid79"):
        find("gpu-on-fire")
