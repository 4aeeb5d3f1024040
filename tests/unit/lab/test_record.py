"""``.lab/lab.json``: it comes back as it was written, and other layouts are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import cli, errors, record, topology
from labs.record import Record
from labs.topology import GpuSpec, NodeSpec

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
NODES = st.builds(
    NodeSpec,
    name=NAMES,
    index=st.integers(3, 240),
    gpu=st.none() | st.builds(GpuSpec, product=st.text(max_size=20), count=st.integers(1, 16)),
    labels=st.dictionaries(NAMES, NAMES, max_size=3),
)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "my lab"))
    return tmp_path / "my lab"


@given(names=st.sets(st.sampled_from(["app", "gpu", "gpu-eu"]), min_size=1), nodes=st.lists(NODES, max_size=3))
def test_what_is_written_is_read(names: set[str], nodes: list[NodeSpec], tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_STATE", str(tmp_path_factory.mktemp("state")))
        first = sorted(names)[0]
        written = Record("kind", ()).with_clusters(names)
        written = written.with_nodes(first, tuple(nodes)) if nodes else written
        record.write(written)
        assert record.read() == written
        specs = {spec.name: spec for spec in record.clusters()}
        assert set(specs) == names and specs[first].nodes == (*topology.find(first).nodes, *nodes)


def test_without_a_lab_the_default_clusters_count(state: Path) -> None:
    assert record.read() is None and record.backend() is None
    assert record.clusters() == topology.defaults()
    with pytest.raises(errors.NotRunning):
        record.require()


def test_nodes_go_with_their_cluster(state: Path) -> None:
    grown = Record("kind", ("app", "gpu-eu")).with_nodes("gpu-eu", (NodeSpec("x", 2),))
    assert grown.with_clusters({"app"}).nodes == {}
    assert grown.with_clusters({"gpu-eu", "gpu", "app"}).clusters == ("app", "gpu", "gpu-eu"), "in the topology's order"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("backend", "embedded", "expected lab files with layout 2; found layout 1"),
        ("lab.json", '{"layout": 3, "backend": "embedded"}', "found layout 3"),
        ("lab.json", '{"layout": 2, "backend": "embedded", "clusters": [{}]}', "is damaged"),
        ("lab.json", "{", "is damaged"),
    ],
)
@pytest.mark.parametrize("words", [["up", "--backend", "embedded"], ["stop"], ["status"], ["down", "--cluster", "gpu-eu"]])
def test_a_lab_of_another_layout_is_told_by_every_command(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], file: str, text: str, said: str
) -> None:
    state.mkdir()
    (state / file).write_text(text)
    assert cli.run(words) == 1
    told = capsys.readouterr().err
    assert said in told and "try: lab down, then lab up" in told
    assert (state / file).read_text() == text, "nothing was changed"


@pytest.mark.parametrize(("file", "text"), [("backend", "embedded"), ("lab.json", '{"layout": 3, "backend": "embedded"}')])
def test_down_removes_every_layout(state: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(state.parent / "cache"))
    state.mkdir()
    (state / file).write_text(text)
    assert cli.run(["down"]) == 0
    assert not state.exists()


def test_a_damaged_record_can_be_removed_too(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(state.parent / "cache"))
    state.mkdir()
    (state / "lab.json").write_text("{")
    assert cli.run(["down"]) == 0
    assert not state.exists()


def test_a_stopped_lab_is_not_called_absent(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status"]) == 1
    assert "no lab is up in this checkout" in capsys.readouterr().err
    record.write(Record("embedded", ("app", "gpu")))
    assert cli.run(["status"]) == 1
    said = capsys.readouterr().err
    assert "this checkout's lab is stopped; its state is kept" in said and "try: lab up, which resumes it" in said
