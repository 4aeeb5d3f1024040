"""Notebook 99: what its prose claims is what its outputs show."""

from __future__ import annotations

from tests.support.claims import Executed

NB = Executed("99")


def test_a_node_is_the_longest_bar_and_an_api_server_the_largest_program() -> None:
    NB.says("The longest bar is a node: all of its pods and their proxies are in it.")
    NB.says("No single program takes more memory than an API server.")
    bars = NB.bars("99-03")
    nodes = {name for name in bars if "worker" in name or "control-plane" in name}
    assert max(bars, key=lambda name: bars[name]) in nodes
    programs = {name: size for name, size in bars.items() if name not in nodes}
    assert max(programs, key=lambda name: programs[name]).endswith("kube-apiserver")


def test_the_control_planes_need_about_a_gigabyte() -> None:
    NB.says("The two control planes (API servers, etcd, controllers, schedulers) need about a gigabyte")
    parts = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
    assert 700 <= sum(size for name, size in NB.bars("99-03").items() if name.endswith(parts)) <= 1500


def test_linkerd_complains_twice() -> None:
    NB.says("Expect two complaints.")
    NB.says("It lists the extensions and the pods that would lose their control plane.")
    extensions, pods = NB.lines("99-05")
    assert "extensions" in extensions and "pods" in pods


def test_no_mirrored_service_is_left() -> None:
    NB.says("Expect `No resources found`: no service of the other cluster is left.")
    assert NB.lines("99-07") == ["No resources found"]


def test_a_line_for_each_cluster() -> None:
    NB.says("Expect a line for each cluster.")
    assert NB.lines("99-09") == [f"{cluster}: 0 namespaces of Linkerd" for cluster in ("app", "gpu")]


def test_lab_down_is_silent() -> None:
    NB.says("Expect no output: it speaks only if something goes wrong.")
    assert NB.text("99-11") == NB.errors("99-11") == ""


def test_no_lab_is_up() -> None:
    NB.says("Nothing is left. Check whether a lab is running:")
    assert NB.lines("99-13") == ["lab: no lab is up in this checkout"]


def test_it_is_really_gone() -> None:
    NB.says("looks for anything that still listens on the lab's addresses, and for the lab's folder; expect it to find neither.")
    assert NB.html("99-15").count("passed") == 2
