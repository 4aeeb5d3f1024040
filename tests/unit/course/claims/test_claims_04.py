"""Notebook 04: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("04")


def test_a_list_of_certificates() -> None:
    NB.says("Each cluster gets its own *issuer*, signed by the anchor.")
    assert NB.lines("04-03") == ["ca.crt and ca.key", "issuer-app.crt and issuer-app.key", "issuer-gpu.crt and issuer-gpu.key"]


def test_every_line_of_both_checks_is_well_but_for_the_stand_in() -> None:
    NB.says("Expect √ before every line, and one ‼ that tells you this is the lab's stand-in.")
    NB.says("expect √ before every line, and the same ‼ as before")
    for cell in ("04-05", "04-09"):
        assert "×" not in NB.text(cell) and NB.text(cell).count("‼") == 1 and "the lab's stand-in" in NB.text(cell)
        assert NB.lines(cell)[-1] == "Status check results are √"


def test_the_control_plane_has_three_parts() -> None:
    NB.says("Three parts: *identity* signs certificates, *destination* tells the proxies where to go")
    assert [line.rpartition("linkerd-")[2] for line in NB.lines("04-07")] == ["destination", "identity", "proxy-injector"]


def test_each_pod_has_two_containers() -> None:
    NB.says("Each pod now has two containers: the server and its proxy. Expect `2/2`.")
    assert [line.split()[1] for line in NB.lines("04-13")[1:]] == ["2/2", "2/2"]


def test_the_identity_is_made_of_service_account_and_namespace() -> None:
    NB.says("expect a name made of the service account and the namespace")
    assert NB.text("04-15").startswith("DNS:model-server.ml.serviceaccount.identity.")


def test_no_request_fails_while_destination_is_away() -> None:
    NB.says("No request fails while destination is away: the proxies keep what they know.")
    NB.says("None fails, neither in flight nor new, and none takes longer.")
    row = NB.table("04-18").iloc[0]
    assert row["errors %"] == 0 and row["requests"] > 40
    assert NB.table("04-19").loc["answered", "max"] < 2.5 * NB.table("04-19").loc["answered", "median"]


def test_the_chart_marks_when_it_was_away() -> None:
    NB.says("and six seconds later back to one. The chart shades that time.")
    assert 5 <= NB.shaded("04-19")["no linkerd-destination"] <= 12


def test_the_metrics_need_no_code() -> None:
    NB.says("Expect `successfully rolled out` and two lines with √, and then a row with a success rate and latencies.")
    rolled, *checks = NB.lines("04-21")
    assert "successfully rolled out" in rolled and len(checks) == 2 and all("√" in line for line in checks)
    assert NB.errors("04-21") == ""


def test_the_median_counts_probes_and_the_tail_counts_answers() -> None:
    NB.says("An answer takes more than a second, so why is the median only a few milliseconds?")
    NB.says("The answers of the experiment are in the slowest 5 %.")
    NB.says("(The success rate can stay just below 100 %")
    row = NB.lines("04-22")[1].split()
    success, p50, p95 = float(row[2].rstrip("%")), int(row[4].rstrip("ms")), int(row[5].rstrip("ms"))
    assert NB.table("04-18").iloc[0]["p50 ms"] > 1000 and p50 < 100 and p95 > 1000 and 95 < success <= 100
