"""The journal of injections: whole after every change, shared by processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from labs import journal as journal_module
from labs.errors import LabError
from labs.journal import Journal


def test_changes_at_the_same_time_are_all_kept(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda n: Journal(journal.path).begin("gpu-overheat", "GPU overheats", {"gpu": n}), range(24)))
        list(pool.map(lambda injection: Journal(journal.path).end(injection.id), begun[::2]))
    assert len(journal.all()) == 24 and len(journal.active()) == 12


def test_old_healed_ones_are_dropped_and_active_ones_never(journal: Journal, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(journal_module, "KEPT", 3)
    first = journal.begin("gateway-down", "Gateway is down", {})
    for _ in range(6):
        journal.end(journal.begin("gpu-xid79", "GPU is lost", {"gpu": 0}).id)
    assert journal.active() == [first] and len(journal.all()) == 4


def test_no_file_is_no_fault(journal: Journal) -> None:
    assert journal.all() == []


@pytest.mark.parametrize("text", ['[{"id": "1", "name": "gpu-xid79", "where": {}, "start": 1.0}]', "[", "{}x"])
def test_a_damaged_file_or_one_of_another_version_is_named(journal: Journal, text: str) -> None:
    journal.path.parent.mkdir(parents=True)
    journal.path.write_text(text)
    with pytest.raises(LabError, match="another version of the lab wrote it") as refused:
        journal.active()
    assert str(journal.path) in refused.value.message and refused.value.fix == "lab down"
    assert journal.path.read_text() == text
