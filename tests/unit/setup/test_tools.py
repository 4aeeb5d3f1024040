"""``lab tools``: verified programs in ``.lab/bin``, from the cache where it has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labs import cli, download, record, releases
from labs.paths import Paths
from labs.record import Record
from labs.setup import tools
from tests.support.release_site import Site, mirror, path_of


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    with mirror(monkeypatch, tmp_path / "cache") as found:
        for tool in tools.TOOLS:
            found.publish(releases.asset(tool), f"#!/bin/sh\necho {tool}\n".encode())
        yield found


def test_all_tools_and_a_second_call_asks_nobody(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tools"]) == 0
    assert capsys.readouterr().out.split() == [str(Paths.current().bin / tool) for tool in tools.TOOLS]
    assert (Paths.current().bin / "kind").read_text() == "#!/bin/sh\necho kind\n"
    site.asked.clear()
    assert cli.run(["tools", "kind"]) == 0
    assert site.asked == []


def test_the_stand_in_keeps_its_own_linkerd(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record.write(Record("embedded", ("app", "gpu")))
    assert cli.run(["tools"]) == 0
    assert sorted(path.name for path in Paths.current().bin.iterdir()) == ["k3d", "kind", "kubectl"]


def test_what_is_not_what_was_published_never_gets_into_the_path(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.files[path_of(releases.asset("kind").url)] = b"something else"
    assert cli.run(["tools", "k3d", "kind"]) == 1
    assert "is not what was published" in capsys.readouterr().err
    assert [path.name for path in Paths.current().bin.iterdir()] == ["k3d"], "what came before stays"


def test_no_network(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(download, "PAUSES", ())
    monkeypatch.setenv("LAB_MIRROR", "http://127.0.0.1:9")
    assert cli.run(["tools", "kind"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_tool_nobody_knows(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tools", "helm"]) == 2
    assert "lab tools kind k3d linkerd kubectl" in capsys.readouterr().err
    assert site.asked == []
