"""Pods reach each other, the lab and nobody else, over links that vanish with their namespaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labs.embedded.namespaces import links
from tests.unit.namespaces.conftest import Inside, needs_namespaces

SETUP = """
import os, socket, subprocess, sys
from labs.embedded.namespaces import identity, links, syscalls
identity.enter_new(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS)
links.loopback_up()
links.add_host_addresses(["10.9.0.1"])
links.forward()

def pod(name, *addresses):
    process = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: syscalls.unshare(syscalls.CLONE_NEWNET))
    namespace = f"/proc/{process.pid}/ns/net"
    link = links.PodLink(name, namespace, addresses, "10.9.0.1")
    link.connect()
    return process, namespace

def serve(namespace, address, family=socket.AF_INET):
    listener = links.inside(namespace, lambda: socket.create_server((address, 80), family=family))
    return listener

def ask(namespace, address):
    def call():
        with socket.create_connection((address, 80), timeout=5) as c:
            return c.getsockname()[0]
    return links.inside(namespace, call) if namespace else call()
"""


@needs_namespaces
def test_pod_to_pod_to_lab_and_back_with_their_own_addresses(python: Inside) -> None:
    said = python(
        SETUP
        + """
a, in_a = pod("a", "10.9.1.2")
b, in_b = pod("b", "10.9.1.3")
listener = serve(in_b, "10.9.1.3")
print(ask(in_a, "10.9.1.3"), ask(None, "10.9.1.3"))
home = socket.create_server(("10.9.0.1", 80))
print(ask(in_a, "10.9.0.1"))
a.kill(); b.kill(); a.wait(); b.wait()
"""
    )
    assert said.splitlines() == ["10.9.1.2 10.9.0.1", "10.9.1.2"]


@needs_namespaces
def test_ipv6_between_pods(python: Inside) -> None:
    said = python(
        SETUP
        + """
a, in_a = pod("a", "10.9.1.2", "fd00:9::2")
b, in_b = pod("b", "10.9.1.3", "fd00:9::3")
listener = serve(in_b, "fd00:9::3", socket.AF_INET6)
print(ask(in_a, "fd00:9::3"))
a.kill(); b.kill(); a.wait(); b.wait()
"""
    )
    assert said == "fd00:9::2"


@needs_namespaces
def test_there_is_no_way_out(python: Inside) -> None:
    said = python(
        SETUP
        + """
a, in_a = pod("a", "10.9.1.2")
for target in ("192.0.2.1", "10.200.0.1"):
    try:
        ask(in_a, target)
    except OSError as error:
        print(type(error).__name__, error.strerror)
a.kill(); a.wait()
"""
    )
    assert said.splitlines() == ["OSError Network is unreachable"] * 2


@needs_namespaces
def test_a_link_goes_with_its_pod(python: Inside) -> None:
    said = python(
        SETUP
        + """
import time
a, in_a = pod("a", "10.9.1.2")
print("a" in dict((n, i) for i, n in socket.if_nameindex()))
a.kill(); a.wait()
while "a" in [n for _, n in socket.if_nameindex()]:
    time.sleep(0.05)
print("gone")
"""
    )
    assert said.splitlines() == ["True", "gone"]


@needs_namespaces
def test_an_error_inside_is_raised_outside(python: Inside) -> None:
    said = python(
        SETUP
        + """
try:
    links.inside("/proc/self/ns/net", lambda: 1 / 0)
except ZeroDivisionError:
    print("raised")
"""
    )
    assert said == "raised"


@given(st.text("0123456789abcdef", min_size=1, max_size=64))
def test_names_of_links_fit_and_begin_with_the_sandbox(sandbox: str) -> None:
    name = links.link_name(sandbox)
    assert len(name) <= links.NAME_LENGTH
    assert name.removeprefix("pod") == sandbox[: links.NAME_LENGTH - 3]
