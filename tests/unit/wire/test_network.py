"""One place knows how an address of the API differs from the one on the wire, and both networks keep what it promises."""

from __future__ import annotations

import ast
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs import config
from labs.wire import network
from labs.wire.network import Loopback, Network, Sandbox

POD = st.builds(lambda offset: str(IPv4Network("10.0.0.0/10")[offset]), st.integers(1, 2**22 - 1))
NETWORKS = (Loopback(), Sandbox())


@pytest.mark.parametrize("here", NETWORKS, ids=lambda item: item.name)
@given(address=POD)
def test_shown_is_the_inverse_of_dial(here: Network, address: str) -> None:
    assert here.shown(here.dial(address)) == address
    assert here.dial(here.dial(address)) == here.dial(address)


@pytest.mark.parametrize("here", NETWORKS, ids=lambda item: item.name)
@given(address=POD)
def test_who_dials_an_address_meets_who_binds_it(here: Network, address: str) -> None:
    assert here.bind(address) == here.dial(address)


@given(address=POD, other=POD)
def test_on_loopback_nothing_leaves_and_an_app_never_listens_where_a_proxy_does(address: str, other: str) -> None:
    here = Loopback()
    for bound in (here.bind(address), here.bind(address, behind_proxy=True), here.dial(address)):
        assert IPv4Address(bound).is_loopback
    assert here.bind(address, behind_proxy=True) != here.bind(other)


@pytest.mark.parametrize("here", NETWORKS, ids=lambda item: item.name)
@pytest.mark.parametrize("host", ["example.com", "192.168.1.1", "localhost", "::1", "1.1.1.1", "100.10.0.1"])
def test_what_is_not_the_labs_stays_as_it_is(here: Network, host: str) -> None:
    assert here.dial(host) == host
    assert here.shown(host) == host


def test_a_published_port() -> None:
    assert Loopback().published("10.110.3.4", 8080) == ("127.110.3.4", 8080)
    sandbox = Sandbox({("10.110.3.4", 8080): 30001})
    assert sandbox.published("10.110.3.4", 8080) == ("127.0.0.1", 30001)
    with pytest.raises(LookupError, match=r"expected 10\.110\.3\.4:80 among the published ports; found 10\.110\.3\.4:8080"):
        sandbox.published("10.110.3.4", 80)


@pytest.mark.parametrize(
    ("value", "name"), [("loopback", "loopback"), ("sandbox", "sandbox"), ("", "sandbox"), (None, "sandbox")]
)
def test_the_environment_chooses(value: str | None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_NETWORK", raising=False)
    if value is not None:
        monkeypatch.setenv("LAB_NETWORK", value)
    assert network.here().name == name


def test_an_unknown_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_NETWORK", "bridge")
    with pytest.raises(ValueError, match="expected LAB_NETWORK=loopback or sandbox; found 'bridge'"):
        network.here()


def imported(node: ast.AST) -> set[str]:
    """Dotted names of the modules that a statement may import."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()


def test_nobody_else_does_the_arithmetic() -> None:
    users = set()
    for path in (config.ROOT / "labs").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if "labs.wire.addresses" in imported(node):
                users.add(str(path.relative_to(config.ROOT)))
    # The stand-in mesh is the one that still does; it runs on the loopback network only.
    assert {path for path in users if not path.startswith("labs/pods/mesh_standin/")} == {"labs/wire/network.py"}
