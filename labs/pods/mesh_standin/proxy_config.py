"""What the destination service tells a proxy: plain JSON, so both ends share types and nothing has to be parsed.

A stream of lines, each an `Update` with the sections that changed; the first line has all of them.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

CLUSTER_NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8")
"""Linkerd's default ``clusterNetworks`` (recordings/linkerd, file 26)."""
EVERYWHERE = ("0.0.0.0/0", "::/0")
DEFAULT_POLICIES = (
    "all-unauthenticated",
    "all-authenticated",
    "cluster-unauthenticated",
    "cluster-authenticated",
    "deny",
    "audit",
)


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
    """Admits a client in one of ``networks`` (API addresses, CIDR) with a listed identity; None: no identity needed, ``*``: any.

    Clients in one of the ``excepted`` networks are excluded.
    """

    ref: Ref
    networks: list[str]
    identities: list[str] | None
    excepted: NotRequired[list[str]]


class ValueMatch(TypedDict):
    """A request header or query parameter of that ``name`` has this ``value``; ``regex``: the value matches as a whole."""

    name: str
    value: str
    regex: bool


class Match(TypedDict):
    """One match of an HTTPRoute rule; ``path_type`` is ``PathPrefix``, ``Exact`` or ``RegularExpression``.

    ``host`` is a name or ``*.SUFFIX``, compared with the request's authority without its port.
    """

    path_type: str
    path: str
    host: NotRequired[str]
    method: NotRequired[str]
    headers: NotRequired[list[ValueMatch]]
    query: NotRequired[list[ValueMatch]]


EVERY_PATH: Match = {"path_type": "PathPrefix", "path": "/"}


class HeaderChanges(TypedDict):
    """Names to remove first, then (name, value) pairs to append: the sum of all header modifiers of a rule."""

    remove: list[str]
    append: list[list[str]]


class Redirect(TypedDict, total=False):
    """The answer ``status`` with a location; absent parts are the request's own. ``path`` or ``prefix``: the new one."""

    status: int
    scheme: str
    host: str
    port: int
    path: str
    prefix: str


class RouteFilters(TypedDict, total=False):
    """What to do to requests and answers of a rule or of a backend."""

    request: HeaderChanges
    response: HeaderChanges
    redirect: Redirect


class InboundRoute(TypedDict):
    """One rule of a route of a Server, or a built-in route."""

    ref: Ref
    matches: list[Match]
    authorizations: list[Authorization]
    filters: NotRequired[RouteFilters]


class RateLimit(TypedDict):
    """Requests per second a port admits: in total, per client identity, and for the clients that ``overrides`` name."""

    ref: Ref
    total: NotRequired[int]
    identity: NotRequired[int]
    overrides: list[RateOverride]


class RateOverride(TypedDict):
    """Requests per second that ``identities`` may send together."""

    rate: int
    identities: list[str]


class InboundPort(TypedDict):
    """How one port of the pod is served. ``opaque``: as TCP.

    ``authorizations`` are the Server's: they apply to each connection whose content is not looked at.
    """

    port: int
    server: Ref
    opaque: bool
    authorizations: list[Authorization]
    routes: list[InboundRoute]
    rate_limit: NotRequired[RateLimit]


class Retry(TypedDict):
    """Which answers to retry, at most ``limit`` times; ``timeout``: seconds an attempt may take until its headers."""

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
    """Failure accrual: an endpoint is avoided, for ``min_penalty`` seconds at first, after ``max_failures`` in a row.

    ``max_failures`` 0: never. With ``success_rate`` (mode ``unified``) also when the rate of successes falls too low.
    """

    max_failures: int
    min_penalty: float
    max_penalty: float
    jitter: float
    success_rate: NotRequired[SuccessRate]


class SuccessRate(TypedDict):
    """The share of successes below which an endpoint is taken out, of at least ``min_requests`` in ``window`` seconds."""

    threshold: float
    window: float
    min_requests: int


class Backend(TypedDict):
    """A Service port that gets ``weight`` shares of a route's requests.

    ``error``: why there is none; its share of the requests gets a 500 with this text.
    """

    namespace: str
    name: str
    port: int
    weight: int
    egress: NotRequired[bool]
    """The EgressNetwork of that name, that is, the request's original destination."""
    error: NotRequired[str]
    filters: NotRequired[RouteFilters]


class RouteRef(TypedDict):
    """An HTTPRoute as metrics and log lines name it."""

    group: str
    namespace: str
    name: str


class OutboundRoute(TypedDict):
    """One rule of an HTTPRoute of a Service; ``clients``: the only namespace it applies to (a consumer's route), else None."""

    ref: RouteRef
    clients: str | None
    matches: list[Match]
    backends: list[Backend]
    policy: RoutePolicy
    filters: NotRequired[RouteFilters]


class Network(TypedDict):
    """Addresses in ``cidr`` that are in none of ``excepted``."""

    cidr: str
    excepted: list[str]


class EgressRoute(TypedDict):
    """One rule of an HTTPRoute of an EgressNetwork, for requests to one port."""

    port: int
    rule: OutboundRoute


class EgressNetwork(TypedDict):
    """Addresses outside the cluster. ``allow``: whether requests that match none of its routes may pass."""

    namespace: str
    name: str
    networks: list[Network]
    allow: bool
    policy: RoutePolicy
    routes: list[EgressRoute]


class Endpoint(TypedDict):
    """One ready address (API form, 10.x) of a service.

    ``identity`` is None for a pod outside the mesh; ``labels`` are the metric labels ``dst_*``.
    """

    address: str
    port: int
    identity: str | None
    labels: dict[str, str]


class ServicePort(TypedDict):
    """One port of a Service. ``remote_authority`` is set on a mirrored service: the authority to ask the gateway for.

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
    egress: NotRequired[list[EgressNetwork]]
