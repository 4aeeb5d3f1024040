"""A proxy's own readiness, as its probes see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.pods.mesh_standin import envoy_process, proxy
from labs.pods.mesh_standin.settings import Settings


@pytest.fixture
def starting(tmp_path: Path) -> proxy.Proxy:
    """A proxy that has its certificate, beside an Envoy that is yet to serve."""
    settings = Settings(
        host="127.99.1.1",
        namespace="demo",
        pod="p",
        service_account="a",
        folder=str(tmp_path),
        token_file="",
        anchors="",
        identity_address="",
        destination_address="",
        inbound_ports=(),
        opaque_ports=(),
        default_policy="deny",
        gateway=False,
        cluster_proxy=("127.99.0.1", 3128),
    )
    found = proxy.Proxy(settings)
    found.not_after = 1.0
    return found


def test_a_probe_that_comes_early_is_answered_once_envoy_serves(starting: proxy.Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, False, True])
    monkeypatch.setattr(proxy, "ANSWER_WITHIN", 60.0)
    monkeypatch.setattr(envoy_process, "is_live", lambda: next(looks))
    assert starting.is_ready()
    assert starting.is_ready(), "and looks no more"


def test_one_that_is_not_ready_in_time_says_so(starting: proxy.Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(envoy_process, "is_live", lambda: False)
    assert not starting.is_ready()


def test_without_a_certificate_nothing_is_ready(starting: proxy.Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(envoy_process, "is_live", lambda: True)
    starting.not_after = 0.0
    assert not starting.is_ready()
