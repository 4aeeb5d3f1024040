"""What the destination service tells a proxy: plain JSON, so both ends share types and nothing has to be parsed.

A stream of lines, each an `Update` with the sections that changed; the first line has all of them.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

IDENTITY_DOMAIN = "serviceaccount.identity.linkerd.cluster.local"
CLUSTER_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
"""Linkerd's default ``clusterNetworks`` (linkerd-observed, file 26)."""
EVERYWHERE = ("0.0.0.0/0", "::/0")
DEFAULT_POLICIES = (
    "all-unauthenticated",
    "all-authenticated",
    "cluster-unauthenticated",
    "cluster-authenticated",
    "deny",
    "audit",
)
GATEWAY_PORT = 4143
OUTBOUND_PORT = 4140
ADMIN_PORT = 4191


def identity_of(service_account: str, namespace: str) -> str:
    """The mesh identity of a ServiceAccount, a DNS name."""
    return f"{service_account}.{namespace}.{IDENTITY_DOMAIN}"


def authority(host: str, port: int) -> str:
    """``host:port`` without the port where it is HTTP's own."""
    return host if port == 80 else f"{host}:{port}"


class Ref(TypedDict):
    """Names a policy resource in metrics: ``group`` is empty and ``kind`` is ``default`` for built-in ones."""

    group: str
    kind: str
    name: str


def default_ref(name: str) -> Ref:
    return {"group": "", "kind": "default", "name": name}


class Authorization(TypedDict):
    """Admits a client in one of ``networks`` (API addresses, CIDR) with a listed identity; None: none needed, ``*``: any.

    Clients in one of the ``excepted`` networks are not meant.
    """

    ref: Ref
    networks: list[str]
    identities: list[str] | None
    excepted: NotRequired[list[str]]


class HeaderMatch(TypedDict):
    name: str
    value: str
    regex: bool


class Match(TypedDict):
    """One match of an HTTPRoute rule; ``path_type`` is ``PathPrefix``, ``Exact`` or ``RegularExpression``."""

    path_type: str
    path: str
    method: NotRequired[str]
    headers: NotRequired[list[HeaderMatch]]


class InboundRoute(TypedDict):
    ref: Ref
    matches: list[Match]
    authorizations: list[Authorization]


class InboundPort(TypedDict):
    """How one port of the pod is served. ``opaque``: as TCP, judged per connection by the last route's authorizations."""

    port: int
    server: Ref
    opaque: bool
    routes: list[InboundRoute]


class Retry(TypedDict):
    """Which answers are asked for again, ``limit`` times at most; ``timeout``: seconds an attempt may take to its headers."""

    statuses: list[int]
    grpc: list[str]
    limit: int
    timeout: float | None


class RoutePolicy(TypedDict, total=False):
    """Retries and timeouts (seconds) of one outbound route."""

    retry: Retry
    request_timeout: float
    response_timeout: float
    idle_timeout: float


class Accrual(TypedDict):
    """Failure accrual: failures in a row after which an endpoint is left alone, for ``min_penalty`` seconds at first."""

    max_failures: int
    min_penalty: float
    max_penalty: float
    jitter: float


class Backend(TypedDict):
    """A Service port a route sends ``weight`` shares of its requests to; ``found``: whether there is such a port."""

    namespace: str
    name: str
    port: int
    weight: int
    found: bool


class RouteRef(TypedDict):
    """An HTTPRoute as metrics and log lines name it."""

    group: str
    namespace: str
    name: str


class OutboundRoute(TypedDict):
    """One rule of an HTTPRoute of a Service; ``clients``: the only namespace it is for (a consumer's route), else None."""

    ref: RouteRef
    clients: str | None
    matches: list[Match]
    backends: list[Backend]
    policy: RoutePolicy


class Endpoint(TypedDict):
    """One ready address (API form, 10.x) of a service.

    ``identity`` is None for a pod outside the mesh; ``labels`` are the metric labels ``dst_*``.
    """

    address: str
    port: int
    identity: str | None
    labels: dict[str, str]


class ServicePort(TypedDict):
    """One port of a Service. ``remote_authority`` is set on a mirrored service: what the gateway must be asked for.

    ``policy`` is for its default route, which it has where ``routes`` is absent; ``opaque``: what it carries is not looked at.
    """

    namespace: str
    name: str
    port: int
    cluster_ip: str
    remote_authority: str | None
    endpoints: list[Endpoint]
    policy: NotRequired[RoutePolicy]
    accrual: NotRequired[Accrual]
    routes: NotRequired[list[OutboundRoute]]
    opaque: NotRequired[bool]


def port_key(namespace: str, name: str, port: int) -> str:
    """Names a service port in routes, clusters and access-log records: ``out|NAMESPACE|NAME|PORT``."""
    return f"out|{namespace}|{name}|{port}"


def service_key(service: ServicePort) -> str:
    return port_key(service["namespace"], service["name"], service["port"])


class Update(TypedDict):
    """Sections of a proxy's configuration; an absent one has not changed."""

    inbound: NotRequired[list[InboundPort]]
    services: NotRequired[list[ServicePort]]
