"""Two proxies with a real Envoy each: mTLS, policy, balancing and metrics, against behaviour recorded from a real Linkerd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.pods.mesh_standin.default_policy import default_authorizations
from labs.pods.mesh_standin.proxy_config import (
    EVERY_PATH,
    Authorization,
    InboundPort,
    InboundRoute,
    Ref,
    ServicePort,
    Update,
    default_ref,
)
from tests.unit.mesh_standin.control_plane import ControlPlane
from tests.unit.mesh_standin.meshed_pod import APP_PORT, MeshedPod, eventually

pytestmark = pytest.mark.skipif(shutil.which("envoy") is None, reason="no envoy on the PATH")

SERVER = "http://server.demo.svc.cluster.local:8000"


def service(*pods: MeshedPod, name: str = "server") -> ServicePort:
    return {
        "namespace": "demo",
        "name": name,
        "port": APP_PORT,
        "cluster_ip": "10.98.0.1",
        "remote_authority": None,
        "endpoints": [pod.endpoint() for pod in pods],
    }


def governed(*authorizations: Authorization) -> list[InboundPort]:
    """Port 8000 under a Server with these authorizations."""
    server: Ref = {"group": "policy.linkerd.io", "kind": "server", "name": "server-http"}
    admitted = list(authorizations)
    route: InboundRoute = {"ref": default_ref("default"), "matches": [EVERY_PATH], "authorizations": admitted}
    return [{"port": APP_PORT, "server": server, "opaque": False, "authorizations": admitted, "routes": [route]}]


def admits(identity: str) -> Authorization:
    ref: Ref = {"group": "policy.linkerd.io", "kind": "authorizationpolicy", "name": "named"}
    return {"ref": ref, "networks": ["0.0.0.0/0", "::/0"], "identities": [identity]}


def is_meshed(client: MeshedPod) -> bool:
    """Whether the server answers and sees who calls."""
    answer = client.call(SERVER)
    return answer.status == 200 and client.identity in answer.text


@pytest.fixture(scope="module")
def control_plane() -> ControlPlane:
    return ControlPlane("127.99.0.1")


@pytest.fixture(scope="module")
def pods(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MeshedPod, MeshedPod]]:
    folder = tmp_path_factory.mktemp("pods")
    client = MeshedPod(control_plane, folder / "client", "127.99.1.1", "client")
    server = MeshedPod(control_plane, folder / "server", "127.99.1.2", "server")
    try:
        assert eventually(lambda: client.is_ready() and server.is_ready(), 30), client.log() + server.log()
        control_plane.set("client", {"services": [service(server)]})
        assert eventually(lambda: is_meshed(client)), client.log() + server.log()
        yield client, server
    finally:
        client.close()
        server.close()


@pytest.fixture(autouse=True)
def open_policy(control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]) -> Iterator[None]:
    yield
    client, server = pods
    control_plane.set("server", {"inbound": governed(*default_authorizations("all-unauthenticated"))})
    control_plane.set("client", {"services": [service(server)]})
    assert eventually(lambda: is_meshed(client))


def test_the_server_sees_the_clients_identity_and_no_header_of_ours(pods: tuple[MeshedPod, MeshedPod]) -> None:
    client, _ = pods
    headers = client.call(SERVER + "/hello", {"l5d-client-id": "root.kube-system"}).json()["headers"]
    assert headers.pop("l5d-client-id") == client.identity
    assert headers == {"host": "server.demo.svc.cluster.local:8000", "accept-encoding": "identity"}


def test_an_unmeshed_client_is_admitted_without_an_identity(pods: tuple[MeshedPod, MeshedPod]) -> None:
    _, server = pods
    answer = server.call_app(headers={"l5d-client-id": "root.kube-system"})
    assert answer.status == 200
    assert "l5d-client-id" not in answer.json()["headers"]


@pytest.mark.parametrize("host", ["server:8000", "server.demo:8000", "server.demo.svc:8000", "10.98.0.1:8000", "127.98.0.1:8000"])
def test_every_spelling_of_a_service_is_meshed(pods: tuple[MeshedPod, MeshedPod], host: str) -> None:
    client, _ = pods
    assert client.call(f"http://{host}/").json()["headers"]["l5d-client-id"] == client.identity


def test_policy_denies_takes_effect_on_open_connections_and_counts(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]
) -> None:
    client, server = pods
    control_plane.set("server", {"inbound": governed(admits("nobody.demo.serviceaccount.identity.linkerd.cluster.local"))})
    assert eventually(lambda: client.call(SERVER).status == 403)
    denied = server.call_app()
    assert (denied.status, denied.text, denied.headers["content-length"]) == (403, "", "0")
    assert "l5d-proxy-error" not in denied.headers
    assert eventually(
        lambda: server.metrics("inbound_http_authz_deny_total", client_id=client.identity, srv_name="server-http") > 0
    )
    assert eventually(
        lambda: server.metrics("inbound_http_authz_deny_total", tls="no_identity", no_tls_reason="no_tls_from_remote") > 0
    )
    assert "Request denied server.group=policy.linkerd.io server.kind=server server.name=server-http" in server.log()


def test_policy_admits_whom_it_names_and_says_so(control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]) -> None:
    client, server = pods
    control_plane.set("server", {"inbound": governed(admits(client.identity))})
    assert eventually(lambda: server.call_app().status == 403)
    assert client.call(SERVER).status == 200
    assert eventually(lambda: server.metrics("inbound_http_authz_allow_total", authz_name="named", client_id=client.identity) > 0)
    assert eventually(lambda: server.metrics("request_total", direction="inbound", authz_name="named", tls="true") > 0)


def opaque(*authorizations: Authorization) -> Update:
    """An update: port 8000 under a Server that calls it opaque."""
    (port,) = governed(*authorizations)
    return {"inbound": [{**port, "opaque": True}]}


def test_an_opaque_port_passes_bytes_on_and_counts_connections(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]
) -> None:
    client, server = pods
    control_plane.set("server", opaque(*default_authorizations("all-unauthenticated")))
    # mTLS all the same, but nobody reads the request, and so nobody writes the caller's name into it.
    assert eventually(lambda: "l5d-client-id" not in client.call(SERVER).json()["headers"])
    labels = {"tls": "true", "client_id": client.identity, "srv_name": "server-http"}
    assert eventually(lambda: server.metrics("tcp_open_total", direction="inbound", peer="src", **labels) > 0)
    assert server.metrics("inbound_tcp_authz_allow_total", authz_name="all-unauthenticated", **labels) > 0
    # The requests from before were told of earlier, in the same stream.
    requests = server.metrics("request_total", direction="inbound", tls="true")
    assert client.call(SERVER).status == 200
    assert not eventually(lambda: server.metrics("request_total", direction="inbound", tls="true") > requests, 0.6)


def test_an_opaque_port_closes_connections_it_does_not_admit(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]
) -> None:
    client, server = pods
    control_plane.set("server", opaque(admits(client.identity)))
    labels = {"srv_name": "server-http", "tls": "no_identity"}

    def closes() -> bool:
        try:
            server.call_app()
        except OSError:
            return server.metrics("inbound_tcp_authz_deny_total", **labels) > 0
        return False

    assert eventually(closes)
    assert client.call(SERVER).status == 200
    assert server.metrics("tcp_open_total", **labels) == 0
    assert "Connection denied server.group=policy.linkerd.io server.kind=server server.name=server-http" in server.log()


def test_a_certificate_of_another_identity_is_not_accepted(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]
) -> None:
    client, server = pods
    posing = service(server)
    posing["endpoints"][0]["identity"] = "other.demo.serviceaccount.identity.linkerd.cluster.local"
    control_plane.set("client", {"services": [posing]})
    assert eventually(lambda: client.call(SERVER).status in (502, 504))


def test_no_endpoints_is_503_with_linkerds_header(control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]) -> None:
    client, _ = pods
    control_plane.set("client", {"services": [service()]})
    # While the endpoints go, a call may fail for another reason, or wait for new ones first.
    assert eventually(lambda: "service unavailable" in client.call(SERVER).headers.get("l5d-proxy-error", ""))
    answer = client.call(SERVER)
    assert (answer.status, answer.text, answer.headers["content-length"]) == (503, "", "0")


def test_outbound_metrics_have_linkerds_labels(pods: tuple[MeshedPod, MeshedPod]) -> None:
    client, server = pods
    wanted = {"direction": "outbound", "authority": "server.demo.svc.cluster.local:8000", "server_id": server.identity}
    wanted |= {"tls": "true", "dst_deployment": "server", "target_addr": "10.99.1.2:8000"}
    before = client.metrics("response_total", classification="failure", status_code="500", **wanted)
    assert client.call(SERVER + "/status/500").status == 500
    assert eventually(
        lambda: client.metrics("response_total", classification="failure", status_code="500", **wanted) == before + 1
    )
    assert eventually(lambda: client.metrics("response_latency_ms_bucket", le="50000", **wanted) > 0)
    assert client.metrics("outbound_http_route_backend_response_statuses_total", backend_name="server", http_status="500") > 0


def test_an_unknown_host_goes_to_the_clusters_proxy_with_its_whole_url(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod]
) -> None:
    client, _ = pods
    assert client.call("http://elsewhere.example:8080/x?y=1").text == "from outside"
    assert control_plane.passed_through[-1] == "http://elsewhere.example:8080/x?y=1"


def test_a_proxy_tells_what_it_costs(pods: tuple[MeshedPod, MeshedPod]) -> None:
    """Names as in recordings/linkerd, file 11; Envoy's program, 60 MB that all proxies share, is not counted."""
    client, _ = pods
    text = client.admin("/metrics").text
    assert "# TYPE process_cpu_seconds_total counter" in text
    values = {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("process_")}
    assert 10 * 2**20 < values["process_resident_memory_bytes"] < 40 * 2**20
    before = values["process_cpu_seconds_total"]
    assert before > 0

    def has_worked() -> bool:
        client.call(SERVER)
        now = next(row for row in client.admin("/metrics").text.splitlines() if row.startswith("process_cpu_seconds_total"))
        return float(now.split()[1]) > before

    assert eventually(has_worked)


def test_the_launcher_carries_nothing_heavy() -> None:
    """Every meshed pod pays for its launcher's modules: these would cost it 0.7 to 6 MB of own memory each."""
    code = "import sys, labs.pods.mesh_standin.proxy; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(Path(__file__).parents[3])})
    heavy = {"ssl", "email", "logging", "asyncio", "http", "hashlib", "ctypes", "dataclasses", "inspect", "cryptography"}
    assert "labs.pods.mesh_standin.envoy_config" in done.stdout
    assert not heavy & set(done.stdout.split())


def test_the_launcher_runs_without_site_packages(pods: tuple[MeshedPod, MeshedPod]) -> None:
    words = Path(f"/proc/{pods[0].process.pid}/cmdline").read_bytes().split(b"\0")
    assert b"-S" in words and b"proxy" in words


def test_no_key_is_left_on_disk(pods: tuple[MeshedPod, MeshedPod]) -> None:
    assert sorted(path.name for path in pods[0].folder.iterdir()) == ["admin.sock", "discovery.sock", "pause.sock", "token"]


def test_the_gateway_forwards_under_its_own_identity(
    control_plane: ControlPlane, pods: tuple[MeshedPod, MeshedPod], tmp_path: Path
) -> None:
    client, server = pods
    gateway = MeshedPod(control_plane, tmp_path / "gateway", "127.99.1.3", "linkerd-gateway", ports="", gateway=True)
    try:
        control_plane.set("linkerd-gateway", {"services": [service(server)]})
        assert eventually(gateway.is_ready, 30), gateway.log()
        mirror = service(name="server-gpu")
        mirror["remote_authority"] = "server.demo.svc.cluster.local:8000"
        mirror["endpoints"] = [gateway.endpoint(4143)]
        control_plane.set("client", {"services": [mirror]})
        url = "http://server-gpu.demo.svc.cluster.local:8000/hello"
        assert eventually(lambda: "forwarded" in client.call(url).text), gateway.log()
        headers = client.call(url).json()["headers"]
        assert headers["l5d-client-id"] == gateway.identity
        assert headers["host"] == "server.demo.svc.cluster.local:8000"
        assert headers["l5d-dst-canonical"] == "server.demo.svc.cluster.local:8000"
        assert headers["forwarded"] == (
            f"by={gateway.identity};for={client.identity};host=server.demo.svc.cluster.local:8000;proto=https"
        )
        with pytest.raises(OSError):  # plaintext gets no answer at all
            gateway.call_app(port=4143)
        assert eventually(lambda: gateway.metrics("request_total", direction="outbound", dst_deployment="server") > 0)
        assert eventually(
            lambda: gateway.metrics("inbound_http_authz_allow_total", target_port="4143", client_id=client.identity) > 0
        )
    finally:
        gateway.close()


def test_without_a_certificate_envoy_waits_and_nothing_is_ready(control_plane: ControlPlane, tmp_path: Path) -> None:
    control_plane.refuses = True
    pod = MeshedPod(control_plane, tmp_path / "refused", "127.99.1.6", "refused")
    try:
        assert eventually(lambda: "403 refused" in pod.log(), 20), pod.log()
        assert eventually(lambda: (pod.folder / "admin.sock").exists(), 20), "Envoy does not wait for it"
        assert pod.admin("/live").status == 200 and pod.admin("/ready").status == 503
        control_plane.refuses = False
        assert eventually(pod.is_ready, 20), pod.log()
    finally:
        control_plane.refuses = False
        pod.close()


def test_the_proxy_ends_when_envoy_is_killed(control_plane: ControlPlane, tmp_path: Path) -> None:
    pod = MeshedPod(control_plane, tmp_path / "victim", "127.99.1.4", "victim")
    try:
        assert eventually(pod.is_ready, 30), pod.log()
        children = Path(f"/proc/{pod.process.pid}/task/{pod.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert pod.process.wait(5) == 1
    finally:
        pod.close()


def test_the_proxy_carries_no_library_it_does_not_need() -> None:
    """Every meshed pod pays for what its launcher imports: these would double it."""
    code = "import sys, labs.pods.mesh_standin.proxy; print(*{'aiohttp', 'asyncio', 'yaml', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_envoy_dies_with_the_proxy(control_plane: ControlPlane, tmp_path: Path) -> None:
    pod = MeshedPod(control_plane, tmp_path / "orphan", "127.99.1.5", "orphan")
    try:
        assert eventually(pod.is_ready, 30), pod.log()
        child = Path(f"/proc/{pod.process.pid}/task/{pod.process.pid}/children").read_text().split()[0]
        pod.process.kill()
        assert eventually(lambda: not Path(f"/proc/{child}/exe").exists(), 5)
    finally:
        pod.close()
