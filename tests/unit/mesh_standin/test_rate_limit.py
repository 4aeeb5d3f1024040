"""HTTPLocalRateLimitPolicy: which policy has an effect, what its status says, and how many requests get through."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from labs.pods.mesh_standin import rate_limit
from labs.pods.mesh_standin.default_policy import default_authorizations
from labs.pods.mesh_standin.inbound_policy import PolicyIndex
from labs.pods.mesh_standin.proxy_config import EVERY_PATH, InboundPort, RateLimit, Ref, default_ref
from labs.wire.linkerd import identity_of
from tests.unit.mesh_standin import objects
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import APP_PORT, MeshedPod, eventually

Object = dict[str, Any]
SERVER = objects.server()
REF: Ref = {"group": "policy.linkerd.io", "kind": "HTTPLocalRateLimitPolicy", "name": "limits"}


def policy(name: str = "limits", created: str = "", **spec: Any) -> Object:
    target = {"group": "policy.linkerd.io", "kind": "Server", "name": "server-http"}
    return {"metadata": objects.meta(name, creationTimestamp=created), "spec": {"targetRef": target, **spec}}


def per_second(rate: int) -> Object:
    return {"requestsPerSecond": rate}


def test_all_limits_of_a_policy() -> None:
    ref = {"kind": "ServiceAccount", "name": "chat"}
    override = {"requestsPerSecond": 5, "clientRefs": [ref, ref | {"name": "batch", "namespace": "shop"}]}
    found = rate_limit.limits_of_server(SERVER, [policy(total=per_second(9), identity=per_second(2), overrides=[override])])
    identities = [identity_of("chat", "demo"), identity_of("batch", "shop")]
    wanted: RateLimit = {"ref": REF, "total": 9, "identity": 2, "overrides": [{"rate": 5, "identities": identities}]}
    assert found == wanted


def test_a_limit_of_nothing_is_none() -> None:
    nothing: RateLimit = {"ref": REF, "overrides": []}
    assert rate_limit.limits_of_server(SERVER, [policy(total=per_second(0))]) == nothing


@pytest.mark.parametrize(
    "spec",
    [
        {"total": per_second(-1)},
        {"overrides": [{"requestsPerSecond": 1, "clientRefs": [{"kind": "Namespace", "name": "demo"}]}]},
    ],
)
def test_an_illegal_policy_has_no_effect(spec: Object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert rate_limit.limits_of_server(SERVER, [policy(**spec)]) is None
    assert "Illegal server ratelimit update" in caplog.text


def test_the_oldest_of_several_has_an_effect_and_the_others_say_so() -> None:
    old, young = policy("zz", "2026-01-01T00:00:00Z", total=per_second(1)), policy("aa", "2026-01-02T00:00:00Z")
    assert rate_limit.accepted(SERVER, [young, old]) is old
    reasons = [reason_of(item, [SERVER], [young, old]) for item in (old, young)]
    assert reasons == ["Accepted", "RateLimitReasonAlreadyExists"]
    assert reason_of(old, [], [old]) == "NoMatchingTarget"


def reason_of(item: Object, servers: list[Object], policies: list[Object]) -> str:
    found = rate_limit.status(item, servers, policies)
    assert found is not None and found["targetRef"]["name"] == "server-http"
    (condition,) = found["conditions"]
    assert condition["status"] == str(condition["reason"] == "Accepted")
    return str(condition["reason"])


def test_a_policy_for_anything_but_a_server_is_ignored() -> None:
    other = policy()
    other["spec"]["targetRef"]["kind"] = "HTTPRoute"
    assert rate_limit.status(other, [SERVER], [other]) is None
    assert rate_limit.limits_of_server(SERVER, [other]) is None


def test_the_port_of_the_server_has_the_limits() -> None:
    index = PolicyIndex({"servers": [SERVER], "httplocalratelimitpolicies": [policy(total=per_second(9))]})
    (port,) = index.inbound(objects.pod(), objects.namespace())
    assert port["rate_limit"]["total"] == 9


CLIENTS = ("client", "other")
URL = f"http://server.demo:{APP_PORT}/"


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, MeshedPod]]:
    if shutil.which("envoy") is None:
        pytest.skip("no envoy on the PATH")
    control_plane, folder = ControlPlane("127.94.0.1"), tmp_path_factory.mktemp("pods")
    found = {
        name: MeshedPod(control_plane, folder / name, f"127.94.1.{i}", name) for i, name in enumerate((*CLIENTS, "server"), 1)
    }
    try:
        assert eventually(lambda: all(pod.is_ready() for pod in found.values()), 40)
        service: Any = {"namespace": "demo", "name": "server", "port": APP_PORT, "cluster_ip": "None", "remote_authority": None}
        for name in CLIENTS:
            control_plane.set(name, {"services": [service | {"endpoints": [found["server"].endpoint()]}]})
        assert eventually(lambda: all(found[name].identity in found[name].call(URL).text for name in CLIENTS))
        found["server"].control_plane = control_plane  # type: ignore[attr-defined]
        yield found
    finally:
        for pod in found.values():
            pod.close()


def limited(pods: dict[str, MeshedPod], **limits: Any) -> None:
    """Put these limits on the server's port, and wait until they act: on a path of their own."""
    control_plane: ControlPlane = pods["server"].control_plane  # type: ignore[attr-defined]
    limits = {"ref": REF, "overrides": [], **limits}
    everyone = default_authorizations("all-unauthenticated")
    marker = f"/{time.monotonic_ns()}"
    port: InboundPort = {
        "port": APP_PORT,
        "server": {"group": "policy.linkerd.io", "kind": "server", "name": "http"},
        "opaque": False,
        "authorizations": everyone,
        "routes": [
            {"ref": default_ref("default"), "matches": [EVERY_PATH], "authorizations": everyone},
            {"ref": default_ref("marker"), "matches": [{"path_type": "Exact", "path": marker}], "authorizations": []},
        ],
        "rate_limit": RateLimit(**limits),  # type: ignore[typeddict-item]
    }
    control_plane.set("server", {"inbound": [port]})
    assert eventually(lambda: pods["client"].call(URL.rstrip("/") + marker).status == 403)  # judged before it is counted


def burst(pod: MeshedPod, calls: int = 12) -> tuple[int, float]:
    """How many of ``calls`` got through, and the seconds they took; the rest were told to come later."""
    started = time.monotonic()
    statuses = Counter(pod.call(URL).status for _ in range(calls))
    assert set(statuses) <= {200, 429}
    return statuses[200], time.monotonic() - started


@pytest.mark.timeout(120)
def test_a_total_holds_for_all_clients_together(pods: dict[str, MeshedPod]) -> None:
    limited(pods, total=3)
    first, took = burst(pods["client"])
    second, more = burst(pods["other"])
    assert 3 <= first <= 3 + 3 * took + 1 and second <= 3 * (took + more) + 1
    name, labels = "inbound_http_local_ratelimit_total", {"ratelimit_name": "limits", "ratelimit_scope": "total"}
    assert eventually(lambda: pods["server"].metrics(name, **labels) == 24 - first - second)
    assert eventually(lambda: "total rate limit exceeded: 3rps" in pods["server"].log())


@pytest.mark.timeout(120)
def test_each_identity_has_its_own_limit_and_some_another(pods: dict[str, MeshedPod]) -> None:
    override = {"rate": 6, "identities": [pods["other"].identity]}
    limited(pods, identity=2, overrides=[override])
    for name, rate in (("client", 2), ("other", 6)):
        through, took = burst(pods[name])
        assert rate <= through <= rate + rate * took + 1, name
    assert eventually(lambda: "override rate limit exceeded: 6rps" in pods["server"].log())


@pytest.mark.timeout(120)
def test_words_are_for_meshed_clients(pods: dict[str, MeshedPod]) -> None:
    limited(pods, total=1)
    answers = [pods["server"].call_app() for _ in range(4)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and "l5d-proxy-error" not in refused[0].headers and refused[0].text == ""
