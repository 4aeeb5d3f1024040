"""Linkerd's proxy metrics, computed from access-log records: names, labels and buckets of recordings/linkerd file 11."""

from __future__ import annotations

from collections.abc import Iterable

from labs.pods.mesh_standin.access_log import NO_ROUTE, InboundTarget, OutboundTarget, Record
from labs.pods.mesh_standin.connection_log import Connection
from labs.pods.mesh_standin.exposition import Registry
from labs.pods.mesh_standin.proxy_config import Endpoint, Ref, ServicePort, authority
from labs.wire import linkerd
from labs.wire.addresses import to_api, to_loopback

LATENCY_MS = (*range(1, 6), *range(10, 51, 10), *range(100, 501, 100), *range(1000, 5001, 1000), *range(10000, 50001, 10000))
SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0)
ROUTE_SECONDS = (0.05, 0.5, 1.0, 10.0)
LOAD_SHED = "LOAD_SHED"
GRPC_FAILURES = ("2", "4", "7", "13", "14", "15")
"""Unknown, deadline exceeded, permission denied, internal, unavailable, data loss (linkerd2-proxy, client-policy/src/grpc.rs)."""
NO_BACKEND = {"group": "", "kind": "default", "namespace": "", "name": "fail", "port": ""}
DEFAULT_ROUTE = {"route_group": "", "route_kind": "default", "route_namespace": "", "route_name": "http"}


class ProxyMetrics:
    """Counts one proxy's requests. ``host`` is the pod's wire address."""

    def __init__(self, host: str) -> None:
        self.registry = Registry()
        self._address = to_api(host)
        self._endpoints: dict[str, Endpoint] = {}
        self._opaque: set[str] = set()
        self._open: set[str] = set()
        self.pending: dict[str, set[str]] = {}
        """By backend: the endpoints failure accrual has taken out."""

    def know(self, services: Iterable[ServicePort]) -> None:
        """Keep endpoints' labels, even of those that are gone: their last requests are not counted yet."""
        for service in services:
            target = OutboundTarget(service["namespace"], service["name"], service["port"])
            (self._opaque.add if service.get("opaque") else self._opaque.discard)(target.key)
            for endpoint in service["endpoints"]:
                self._endpoints[f"{target.key}|{to_loopback(endpoint['address'])}:{endpoint['port']}"] = endpoint

    def record(self, record: Record) -> None:
        if record.inbound:
            self._inbound(record, record.inbound, is_gateway=record.outbound is not None)
        if record.breaker and record.backend:
            self._breaker(record.backend, record.breaker)
        if record.outbound and not record.denied:
            self._outbound(record, record.outbound)
        if not record.inbound and not record.outbound:
            self._passthrough(record)

    def connection(self, found: Connection) -> None:
        """Count a connection when Envoy first reports it and when it ends. A denied one is only counted as denied."""
        where = target_labels(self._address, found.port)
        server = ref_labels("srv", found.server) | {"srv_port": str(found.port)}
        tls = tls_labels("client_id", found.peer, "no_tls_from_remote")
        if found.denied:
            self.registry.count("inbound_tcp_authz_deny_total", where | server | tls)
            return
        transport = {"direction": "inbound", "peer": "src"} | where | tls | server
        if found.id not in self._open and (found.policy or found.ended):
            self._open.add(found.id)
            self.registry.count("tcp_open_total", transport)
            if found.policy:
                self.registry.count("inbound_tcp_authz_allow_total", where | server | ref_labels("authz", found.policy) | tls)
        if found.ended:
            self._open.discard(found.id)
            self.registry.count("tcp_close_total", transport | {"errno": ""})

    def _inbound(self, record: Record, target: InboundTarget, *, is_gateway: bool) -> None:
        where = target_labels(self._address, target.port)
        server = ref_labels("srv", target.server) | {"srv_port": str(target.port)}
        tls = tls_labels("client_id", record.peer, "no_tls_from_remote")
        if target.route is None:
            return  # Linkerd reports requests that match no route only in its log
        route = ref_labels("route", target.route)
        if record.denied or record.policy is None:
            self.registry.count("inbound_http_authz_deny_total", where | server | route | tls)
            return
        authz = ref_labels("authz", record.policy)
        self.registry.count("inbound_http_authz_allow_total", where | server | route | authz | tls)
        if record.limited:
            scope, policy = record.limited
            limit = ref_labels("ratelimit", policy) | {"ratelimit_scope": scope}
            self.registry.count("inbound_http_local_ratelimit_total", where | server | limit | tls)
            return
        if is_gateway:
            return  # the request's own series are outbound ones (file 51)
        self._request({"direction": "inbound"} | where | tls | server | route | authz, record)
        parent = {f"parent_{key.partition('_')[2]}": value for key, value in server.items()}
        self.registry.count("inbound_http_requests_total", parent | route)
        self.registry.observe("inbound_http_request_duration_seconds", parent | route, record.total_ms / 1000, SECONDS)

    def _outbound(self, record: Record, target: OutboundTarget) -> None:
        if target.route == NO_ROUTE or target.key in self._opaque:
            return
        backend = record.backend or target
        endpoint = self._endpoints.get(f"{backend.key}|{record.upstream}")
        if endpoint:
            self._request({"direction": "outbound"} | outbound_labels(backend, endpoint), record)
        missing = record.backend is None and record.error_text.startswith("Service not found")
        where = NO_BACKEND if missing else service_labels(backend)
        self._route(record, service_labels(target), route_labels(target.route), where, reached=endpoint is not None)
        if record.retries:
            self._retries(record, prefixed("parent", service_labels(target)) | route_labels(target.route))

    def _retries(self, record: Record, labels: dict[str, str]) -> None:
        labels = labels | {"hostname": ""}
        self.registry.count("outbound_http_route_retry_requests_total", labels, record.retries)
        if classify(record) == "success":
            self.registry.count("outbound_http_route_retry_successes_total", labels)
        elif "URX" in record.flags.split(","):
            self.registry.count("outbound_http_route_retry_limit_exceeded_total", labels)

    def _breaker(self, backend: OutboundTarget, event: str) -> None:
        what, address, *_ = event.split(" ")
        out = self.pending.setdefault(backend.key, set())
        (out.add if what == "closed" else out.discard)(address)

    def _passthrough(self, record: Record) -> None:
        parent = {"group": "", "kind": "default", "namespace": "", "name": "endpoint", "port": ""}
        route = DEFAULT_ROUTE | {"route_name": "endpoint"}
        self._route(record, parent, route, parent | {"name": "unknown"}, reached=bool(record.upstream))

    def _request(self, labels: dict[str, str], record: Record) -> None:
        status = {"status_code": str(record.status)}
        outcome = {"classification": classify(record), "grpc_status": record.grpc_status, "error": ""}
        self.registry.count("request_total", labels)
        self.registry.count("response_total", labels | status | outcome)
        self.registry.observe("response_latency_ms", labels | status, record.latency_ms, LATENCY_MS)

    def _route(
        self, record: Record, parent: dict[str, str], route: dict[str, str], backend: dict[str, str], *, reached: bool
    ) -> None:
        base = prefixed("parent", parent) | route
        whole = base | {"hostname": ""}
        outcome = {"http_status": "" if record.error and not reached_client(record) else str(record.status)}
        outcome |= {"error": route_error(record)}
        self.registry.observe("outbound_http_route_request_duration_seconds", whole, record.total_ms / 1000, ROUTE_SECONDS)
        self.registry.count("outbound_http_route_request_statuses_total", whole | outcome)
        if record.error == LOAD_SHED:
            return  # it never reached a backend
        of_backend = base | prefixed("backend", backend)
        self.registry.count("outbound_http_route_backend_requests_total", of_backend, record.retries + 1)
        self.registry.count("outbound_http_route_backend_response_statuses_total", of_backend | outcome)
        if record.retries:
            thrown_away = {"http_status": "", "error": "UNKNOWN"}
            self.registry.count("outbound_http_route_backend_response_statuses_total", of_backend | thrown_away, record.retries)
        if reached:
            name = "outbound_http_route_backend_response_duration_seconds"
            self.registry.observe(name, of_backend, record.total_ms / 1000, SECONDS)


def service_labels(target: OutboundTarget) -> dict[str, str]:
    kind = {"group": linkerd.POLICY, "kind": "EgressNetwork"} if target.egress else {"group": "core", "kind": "Service"}
    return kind | {"namespace": target.namespace, "name": target.name, "port": str(target.port)}


def route_labels(route: str) -> dict[str, str]:
    """``route``: GROUP/NAMESPACE/NAME, the name of a built-in route, or empty for a Service's default one."""
    if "/" not in route:
        return DEFAULT_ROUTE | ({"route_name": route} if route else {})
    group, namespace, name = route.split("/")
    return {"route_group": group, "route_kind": "HTTPRoute", "route_namespace": namespace, "route_name": name}


def prefixed(prefix: str, labels: dict[str, str]) -> dict[str, str]:
    return {f"{prefix}_{key}": value for key, value in labels.items()} | {f"{prefix}_section_name": ""}


def reached_client(record: Record) -> bool:
    """Whether the answer's status is the server's: a timeout may cut a body after that."""
    return record.status < 500


def classify(record: Record) -> str:
    """``failure`` for 5xx, or by the gRPC status where there is one, as in Linkerd; a 403 is a success."""
    if record.grpc_status:
        return "failure" if record.grpc_status in GRPC_FAILURES else "success"
    return "failure" if record.status >= 500 or record.status == 0 else "success"


def route_error(record: Record) -> str:
    """Linkerd's ``error`` label for requests the proxy itself could not complete."""
    if record.error:
        return record.error
    return "UNKNOWN" if record.status == 0 or {"DC", "UC", "UR"} & set(record.flags.split(",")) else ""


def outbound_labels(target: OutboundTarget, endpoint: Endpoint) -> dict[str, str]:
    host = f"{target.name}.{target.namespace}.svc.cluster.local"
    tls = tls_labels("server_id", endpoint["identity"] or "", "not_provided_by_service_discovery")
    where = target_labels(endpoint["address"], endpoint["port"])
    return {"authority": authority(host, target.port)} | where | tls | endpoint["labels"]


def target_labels(address: str, port: int) -> dict[str, str]:
    return {"target_addr": f"{address}:{port}", "target_ip": address, "target_port": str(port)}


def tls_labels(name: str, identity: str, reason: str) -> dict[str, str]:
    return {"tls": "true", name: identity} if identity else {"tls": "no_identity", "no_tls_reason": reason}


def ref_labels(prefix: str, ref: Ref) -> dict[str, str]:
    return {f"{prefix}_group": ref["group"], f"{prefix}_kind": ref["kind"], f"{prefix}_name": ref["name"]}
