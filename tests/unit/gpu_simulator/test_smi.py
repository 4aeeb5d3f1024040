"""``nvidia-smi`` as a container sees it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from labs.pods.gpu_simulator import smi, smi_options
from labs.pods.gpu_simulator.describe import describe
from labs.pods.gpu_simulator.faults import FAULTS
from labs.pods.gpu_simulator.fleet import Fleet
from labs.pods.gpu_simulator.profile import profile_of
from labs.pods.gpu_simulator.smi_errors import NotFound, NotSimulated, SmiError, VersionMismatch, WrongUsage
from labs.pods.gpu_simulator.smi_query import GPUS, PROCESSES
from labs.wire.gpu_work import Work


def run(fleet: Fleet, *words: str) -> str:
    """What ``nvidia-smi WORDS`` prints about ``fleet``."""
    shown: list[str] = []

    async def look() -> smi.Readings:
        return [describe(gpu) for gpu in fleet.gpus]

    asyncio.run(smi.run(smi_options.parse(words), look, shown.append))
    return "\n".join(shown)


@pytest.fixture
def busy(fleet: Fleet, clock: SimpleNamespace) -> Fleet:
    for _ in range(20):
        clock.now += 0.1
        fleet.advance()
        fleet.gpus[1].report(Work("model-0", 100, 20, 26 * 10**9, 10**9, 4, 0.1, pid=4711))
    return fleet


def test_one_line_for_each_gpu(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(fleet, "-L").splitlines()[2] == f"GPU 2: NVIDIA A100-SXM4-80GB (UUID: {fleet.gpus[2].uuid})"
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", fleet.gpus[3].uuid)
    assert run(fleet, "-L") == f"GPU 3: NVIDIA A100-SXM4-80GB (UUID: {fleet.gpus[3].uuid})"
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "void")
    assert run(fleet, "-L") == "No devices found."
    assert run(fleet) == "No devices were found"


def test_of_a_divided_gpu_only_the_instance_given_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet.of("n", profile_of("NVIDIA-A100-SXM4-80GB"), 2, lambda: 0.0, {0: ["1g.10gb", "3g.40gb"]})
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", fleet.gpus[0].parts[1].uuid)
    lines = run(fleet, "-L").splitlines()
    assert len(lines) == 2 and "MIG 3g.40gb" in lines[1] and fleet.gpus[0].parts[1].uuid in lines[1]
    assert run(fleet, "--query-gpu=utilization.gpu", "--format=csv,noheader") == "[N/A]"


def test_queries_as_csv(busy: Fleet) -> None:
    query = "--query-gpu=index,utilization.gpu,memory.used,power.draw,clocks_event_reasons.gpu_idle"
    lines = run(busy, query, "--format=csv").splitlines()
    assert lines[0] == "index, utilization.gpu [%], memory.used [MiB], power.draw [W], clocks_event_reasons.gpu_idle"
    assert lines[1] == "0, 0 %, 0 MiB, 60.00 W, Active"
    assert lines[2].startswith("1, ") and lines[2].endswith("Not Active") and "26226 MiB" in lines[2]
    bare = run(busy, query, "--format=csv,noheader,nounits", "-i", "0")
    assert bare == "0, 0, 0, 60.00, Active"


@pytest.mark.parametrize(
    ("asked", "head"),
    [
        ("gpu_name", "name"),
        ("gpu_uuid", "uuid"),
        ("gpu_bus_id", "pci.bus_id"),
        ("clocks.sm", "clocks.current.sm [MHz]"),
        ("clocks.mem", "clocks.current.memory [MHz]"),
        ("clocks_throttle_reasons.active", "clocks_event_reasons.active"),
        ("clocks_throttle_reasons.sw_power_cap", "clocks_event_reasons.sw_power_cap"),
    ],
)
def test_a_header_has_the_first_name_of_a_field(fleet: Fleet, asked: str, head: str) -> None:
    shown = run(fleet, f"--query-gpu={asked}", "--format=csv")
    assert shown.splitlines()[0] == head
    assert shown == run(fleet, f"--query-gpu={head.split()[0]}", "--format=csv")


def test_every_field_can_be_asked_also_of_a_lost_gpu(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["xid79"])
    rows = run(fleet, f"--query-gpu={','.join(GPUS.fields)}", "--format=csv,noheader").splitlines()
    assert len(rows) == 4 and all(len(row.split(", ")) == len(GPUS.fields) for row in rows)
    assert run(fleet, "--query-gpu=uuid,temperature.gpu", "--format=csv,noheader", "-i", "0").endswith(", [GPU is lost]")
    assert run(fleet, "--query-gpu=count", "--format=csv,noheader", "-i", "0") == "4"


def test_processes_as_csv(busy: Fleet) -> None:
    shown = run(busy, "--query-compute-apps=pid,used_memory", "--format=csv")
    assert shown.splitlines() == ["pid, used_gpu_memory [MiB]", "4711, 26226 MiB"]
    rows = run(busy, f"--query-compute-apps={','.join(PROCESSES.fields)}", "--format=csv,noheader").splitlines()
    assert len(rows) == 1 and busy.gpus[1].uuid in rows[0] and "model-0" in rows[0]
    assert run(busy, "--query-compute-apps=name", "--format=csv,noheader", "-i", "0") == ""


def test_a_process_that_does_not_say_its_pid_has_none(fleet: Fleet) -> None:
    fleet.gpus[0].report(Work("quiet", weights_bytes=10**9))
    assert run(fleet, "--query-compute-apps=pid,name", "--format=csv,noheader") == "[N/A], quiet"


def test_the_fields_are_listed(fleet: Fleet) -> None:
    shown = run(fleet, "--help-query-gpu")
    assert '"name" or "gpu_name"' in shown.splitlines() and '--query-gpu"' in shown
    assert '"used_gpu_memory" or "used_memory"' in run(fleet, "--help-query-compute-apps").splitlines()


def test_the_report_as_xml_and_as_text(busy: Fleet) -> None:
    busy.inject(busy.gpus[1], FAULTS["xid64"])
    root = ElementTree.fromstring(run(busy, "-q", "-x"))
    assert root.findtext("attached_gpus") == "4"
    gpu = root.findall("gpu")[1]
    assert gpu.findtext("uuid") == busy.gpus[1].uuid
    assert gpu.findtext("fb_memory_usage/used") == "26226 MiB"
    assert gpu.findtext("remapped_rows/remapped_row_failure") == "Yes"
    assert gpu.findtext("processes/process_info/process_name") == "model-0"
    assert gpu.findtext("processes/process_info/pid") == "4711"
    text = run(busy, "-q")
    assert "    FB Memory Usage\n        Total                             : 81920 MiB" in text
    assert text.count("Product Name") == 4


def test_a_report_of_some_sections(busy: Fleet) -> None:
    text = run(busy, "-q", "-d", "MEMORY,pids", "-i", "1")
    titles = [line for line in text.splitlines() if line.startswith("    ") and line[4] != " "]
    assert titles == ["    FB Memory Usage", "    Processes"] and "        Used                              : 26226 MiB" in text


def test_a_line_for_each_gpu_and_sample(busy: Fleet) -> None:
    busy.inject(busy.gpus[3], FAULTS["xid79"])
    lines = run(busy, "dmon", "-c", "2", "-d", "0.01").splitlines()
    assert lines[0] == "# gpu    pwr  gtemp  mtemp     sm    mem    enc    dec    jpg    ofa   mclk   pclk"
    assert lines[1] == "# Idx      W      C      C      %      %      %      %      %      %    MHz    MHz"
    assert len(lines) == 10 and len({len(line) for line in lines}) == 1
    assert lines[2].split()[:2] == ["0", "60"] and lines[5].split() == ["3", *["-"] * 11]
    assert run(busy, "dmon", "-c", "1", "-s", "m", "-i", "1").splitlines()[-1].split() == ["1", "26226", "-", "-"]
    stamped = run(busy, "dmon", "-c", "1", "-s", "p", "-o", "DT", "-i", "0").splitlines()
    assert stamped[0].startswith("#Date       Time        gpu") and len({len(line) for line in stamped}) == 1


async def test_a_loop_goes_on_until_it_is_stopped(fleet: Fleet) -> None:
    shown: list[str] = []
    third = asyncio.Event()

    async def look() -> smi.Readings:
        return [describe(gpu) for gpu in fleet.gpus]

    def show(text: str) -> None:
        shown.append(text)
        if len(shown) == 3:
            third.set()

    loop = asyncio.create_task(smi.run(smi_options.parse(["-L", "-lms", "10"]), look, show))
    await asyncio.wait_for(third.wait(), 10)
    assert not loop.done() and len(set(shown)) == 1
    loop.cancel()


def test_how_gpus_are_connected(fleet: Fleet) -> None:
    lines = run(fleet, "topo", "-m").splitlines()
    assert lines[0].split("\t") == ["", "GPU0", "GPU1", "GPU2", "GPU3", "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"]
    assert lines[2].split("\t")[:5] == ["GPU1", "NV12", " X ", "NV12", "NV12"]
    bus_only = Fleet.of("n", profile_of("Tesla-T4"), 2, lambda: 0.0)
    assert run(bus_only, "topo", "-m").splitlines()[1].split("\t")[:3] == ["GPU0", " X ", "PHB"]


@pytest.mark.parametrize("option", sorted(smi_options.OTHER_OPTIONS))
def test_every_option_that_is_left_out_says_so(fleet: Fleet, option: str) -> None:
    for words in ([option], [option, "1"], [f"{option}=1"]):
        with pytest.raises(NotSimulated, match=f"not simulated: {option}\\."):
            run(fleet, *words)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--query-gpu=power.drawn", "--format=csv"], NotSimulated, 'not simulated: the field "power.drawn"'),
        (["--query-gpu=nonsense", "--format=csv"], WrongUsage, 'Field "nonsense" is not a valid field to query.'),
        (["--query-gpu=pcie.link.gen.max", "--format=csv"], NotSimulated, 'the field "pcie.link.gen.max"'),
        (["--query-compute-apps=sm", "--format=csv"], WrongUsage, 'Field "sm" is not a valid field'),
        (["--query-gpu=name"], WrongUsage, '"--format=" switch is missing. Please run'),
        (["--query-gpu=name", "--format=xml"], WrongUsage, "found xml"),
        (["--nonsense"], WrongUsage, "ERROR: Option --nonsense is not recognized. Please run 'nvidia-smi -h' for help."),
        (["-l", "soon"], WrongUsage, "soon"),
        (["-q", "-d", "MOOD"], WrongUsage, "found MOOD"),
        (["-q", "-d", "VOLTAGE"], NotSimulated, "-d VOLTAGE"),
        (["-i", "9"], NotFound, "No devices were found"),
        (["-pl", "200"], NotSimulated, "not simulated: -pl"),
        (["--gpu-reset"], NotSimulated, "--gpu-reset"),
        (["--loop-ms=0"], WrongUsage, "expected a time above 0; found 0"),
        (["-lms100"], WrongUsage, "ERROR: "),
        (["-dm", "0"], NotSimulated, "not simulated: -dm"),
        (["pmon"], NotSimulated, "not simulated: pmon"),
        (["nvlink", "-s"], NotSimulated, "nvlink"),
        (["topo", "-p2p", "r"], SmiError, ""),
        (["topo", "-m", "-i", "0"], NotSimulated, "topo -i"),
        (["dmon", "-s", "x"], WrongUsage, "found 'x'"),
        (["dmon", "--gpm-metrics", "1"], NotSimulated, "dmon --gpm-metrics"),
        (["dmon", "-c", "0"], WrongUsage, "at least 1 sample"),
    ],
)
def test_what_is_refused_says_so_in_nvidia_smis_words(
    fleet: Fleet, words: list[str], error: type[SmiError], message: str
) -> None:
    with pytest.raises(error) as refused:
        run(fleet, *words)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_driver_and_library_that_do_not_fit(fleet: Fleet) -> None:
    fleet.inject(fleet.gpus[0], FAULTS["driver-mismatch"])
    with pytest.raises(VersionMismatch, match="Driver/library version mismatch") as ended:
        run(fleet)
    assert ended.value.code == 18


def test_the_table_marks_what_cannot_be_read(busy: Fleet) -> None:
    shown = run(busy)
    rows = [row for row in shown.splitlines() if row]
    assert len({len(row) for row in rows}) == 1 and len(rows[0]) == 91
    assert "4711      C   model-0" in shown and "26226MiB /  81920MiB" in shown
    busy.inject(busy.gpus[1], FAULTS["xid119"])
    shown = run(busy)
    assert "XID 119" in shown and shown.count("ERR!") == 8 and "No running processes found" in shown
