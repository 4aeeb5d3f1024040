"""``nvidia-smi`` as a container sees it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from labs.pods.gpu_simulator import main, smi
from labs.pods.gpu_simulator.describe import describe
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.smi_query import FIELDS, UnknownField
from labs.wire.gpu_work import Work


def run(fleet: Fleet, *words: str) -> str:
    return smi.answer(main._parser().parse_args(["smi", *words]), [describe(gpu) for gpu in fleet.gpus])


@pytest.fixture
def busy(fleet: Fleet, clock: SimpleNamespace) -> Fleet:
    for _ in range(20):
        clock.now += 0.1
        fleet.advance()
        fleet.gpus[1].report(Work("model-0", 100, 20, 26 * 10**9, 10**9, 4, 0.1))
    return fleet


def test_a_line_a_card(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(fleet, "-L").splitlines()[2] == f"GPU 2: NVIDIA A100-SXM4-80GB (UUID: {fleet.gpus[2].uuid})"
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", fleet.gpus[3].uuid)
    assert run(fleet, "-L") == f"GPU 3: NVIDIA A100-SXM4-80GB (UUID: {fleet.gpus[3].uuid})"
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "void")
    assert run(fleet, "-L") == "No devices found."


def test_of_a_divided_card_only_the_instance_given_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet.of("n", profile_of("NVIDIA-A100-SXM4-80GB"), 2, lambda: 0.0, {0: ["1g.10gb", "3g.40gb"]})
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", fleet.gpus[0].parts[1].uuid)
    lines = run(fleet, "-L").splitlines()
    assert len(lines) == 2 and "MIG 3g.40gb" in lines[1] and fleet.gpus[0].parts[1].uuid in lines[1]


def test_queries_as_csv(busy: Fleet) -> None:
    query = "--query-gpu=index,utilization.gpu,memory.used,power.draw,clocks_event_reasons.gpu_idle"
    lines = run(busy, query, "--format=csv").splitlines()
    assert lines[0] == "index, utilization.gpu [%], memory.used [MiB], power.draw [W], clocks_event_reasons.gpu_idle"
    assert lines[1] == "0, 0 %, 0 MiB, 60.00 W, Active"
    assert lines[2].startswith("1, ") and lines[2].endswith("Not Active") and "26226 MiB" in lines[2]
    bare = run(busy, query, "--format=csv,noheader,nounits", "-i", "0")
    assert bare == "0, 0, 0, 60.00, Active"


def test_every_field_can_be_asked_also_of_a_lost_card(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["xid79"])
    rows = run(fleet, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader").splitlines()
    assert len(rows) == 4 and all(len(row.split(", ")) == len(FIELDS) for row in rows)
    assert run(fleet, "--query-gpu=uuid,temperature.gpu", "--format=csv,noheader", "-i", "0").endswith(", [GPU is lost]")


def test_an_unknown_field_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UnknownField, match=r'Field "power\.drawn" is not a valid field to query'):
        run(fleet, "--query-gpu=power.drawn")


def test_the_report_as_xml_and_as_text(busy: Fleet) -> None:
    busy.inject(busy.gpus[1], FAULTS["xid64"])
    root = ElementTree.fromstring(run(busy, "-q", "-x"))
    assert root.findtext("attached_gpus") == "4"
    card = root.findall("gpu")[1]
    assert card.findtext("uuid") == busy.gpus[1].uuid
    assert card.findtext("fb_memory_usage/used") == "26226 MiB"
    assert card.findtext("remapped_rows/remapped_row_failure") == "Yes"
    assert card.findtext("processes/process_info/process_name") == "model-0"
    text = run(busy, "-q")
    assert "    Fb Memory Usage" in text and text.count("Product Name") == 4


def test_driver_and_library_that_do_not_fit(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["driver-mismatch"])
    with pytest.raises(SystemExit) as ended:
        run(fleet)
    assert ended.value.code == 18 and "Driver/library version mismatch" in capsys.readouterr().err


def test_the_table_marks_what_cannot_be_read(fleet: Fleet) -> None:
    rows: Any = run(fleet).splitlines()
    assert len({len(row) for row in rows}) == 1
    fleet.inject(fleet.gpus[0], FAULTS["xid119"])
    assert "XID 119" in run(fleet) and run(fleet).count("ERR!") == 7
