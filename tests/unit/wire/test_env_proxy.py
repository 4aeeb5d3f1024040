"""The proxy of the environment: named, not named, and not for this host."""

from __future__ import annotations

import pytest

from labs.wire.env_proxy import env_proxy

MODEL = "http://model-server.ml.svc.cluster.local:8000"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, MODEL, None),
        ({"HTTP_PROXY": "http://127.0.0.1:4140"}, MODEL, "http://127.0.0.1:4140"),
        ({"HTTP_PROXY": "http://127.0.0.1:4140", "NO_PROXY": "127.0.0.1,localhost"}, "http://127.0.0.1:8000", None),
        ({"HTTP_PROXY": "http://127.0.0.1:4140", "NO_PROXY": ".svc.cluster.local"}, MODEL, None),
        ({"HTTPS_PROXY": "http://127.0.0.1:4140"}, MODEL, None),
    ],
)
def test_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert env_proxy(url) == proxy
