"""Linkerd's names in one place: labels, annotations, API groups, ports and identities.

Used by the stand-in's ``linkerd`` command, its programs, and all code that selects pods by Linkerd's labels.
"""

from __future__ import annotations

NAMESPACE = "linkerd"
MULTICLUSTER_NAMESPACE = "linkerd-multicluster"

# Labels of pods and namespaces
CONTROL_PLANE_NS = "linkerd.io/control-plane-ns"
CONTROL_PLANE_COMPONENT = "linkerd.io/control-plane-component"
EXTENSION = "linkerd.io/extension"
WORKLOAD_NS = "linkerd.io/workload-ns"
PROXY_OWNER_PREFIX = "linkerd.io/proxy-"
"""Followed by the kind of a pod's topmost owner in lower case: ``linkerd.io/proxy-deployment``."""

# Annotations that configure injection, and those that the injector writes
INJECT = "linkerd.io/inject"
CREATED_BY = "linkerd.io/created-by"
PROXY_VERSION = "linkerd.io/proxy-version"
TRUST_ROOT_SHA256 = "linkerd.io/trust-root-sha256"
CONFIG_PREFIX = "config.linkerd.io/"
ACCESS_LOG = "config.linkerd.io/access-log"
ADMISSION_WEBHOOKS = "config.linkerd.io/admission-webhooks"
DEFAULT_INBOUND_POLICY = "config.linkerd.io/default-inbound-policy"
ENABLE_GATEWAY = "config.linkerd.io/enable-gateway"
OPAQUE_PORTS = "config.linkerd.io/opaque-ports"

# Annotations of Services and routes
RETRY_PREFIX = "retry.linkerd.io/"
TIMEOUT_PREFIX = "timeout.linkerd.io/"
FAILURE_ACCRUAL = "balancer.linkerd.io/failure-accrual"
SUCCESS_RATE = "balancer.alpha.linkerd.io/failure-accrual-success-rate"

# Labels and annotations of exported, mirrored, flat and federated Services
EXPORTED = "mirror.linkerd.io/exported"
FEDERATED = "mirror.linkerd.io/federated"
MIRRORED_SERVICE = "mirror.linkerd.io/mirrored-service"
MIRRORED_GATEWAY = "mirror.linkerd.io/mirrored-gateway"
MIRROR_CLUSTER = "mirror.linkerd.io/cluster-name"
REMOTE_FULL_NAME = "mirror.linkerd.io/remote-svc-fq-name"
REMOTE_VERSION = "mirror.linkerd.io/remote-resource-version"
REMOTE_GATEWAY_IDENTITY = "mirror.linkerd.io/remote-gateway-identity"
REMOTE_DISCOVERY = "multicluster.linkerd.io/remote-discovery"
REMOTE_SERVICE = "multicluster.linkerd.io/remote-service"
LOCAL_DISCOVERY = "multicluster.linkerd.io/local-discovery"

# A gateway's own annotations, and its credentials
GATEWAY_IDENTITY = "mirror.linkerd.io/gateway-identity"
GATEWAY_PROBE_PATH = "mirror.linkerd.io/probe-path"
GATEWAY_PROBE_PERIOD = "mirror.linkerd.io/probe-period"
CREDENTIALS_CLUSTER = "multicluster.linkerd.io/cluster-name"
CREDENTIALS_CLUSTER_DOMAIN = "multicluster.linkerd.io/cluster-domain"
CREDENTIALS_TRUST_DOMAIN = "multicluster.linkerd.io/trust-domain"
CREDENTIALS_TYPE = "mirror.linkerd.io/remote-kubeconfig"

# API groups, versions and resources
POLICY = "policy.linkerd.io"
GATEWAY_API = "gateway.networking.k8s.io"
LINK_VERSION = "multicluster.linkerd.io/v1alpha3"
LINKS = f"{LINK_VERSION}/links"
LINK_CRD = "links.multicluster.linkerd.io"
SERVERS = "policy.linkerd.io/v1beta3/servers"
SERVERS_CRD = "servers.policy.linkerd.io"
AUTHORIZATION_POLICIES = "policy.linkerd.io/v1alpha1/authorizationpolicies"
MESH_TLS_AUTHENTICATIONS = "policy.linkerd.io/v1alpha1/meshtlsauthentications"
NETWORK_AUTHENTICATIONS = "policy.linkerd.io/v1alpha1/networkauthentications"
RATE_LIMIT_POLICIES = "policy.linkerd.io/v1alpha1/httplocalratelimitpolicies"
EGRESS_NETWORKS = "policy.linkerd.io/v1alpha1/egressnetworks"
POLICY_HTTP_ROUTES = "policy.linkerd.io/v1beta3/httproutes"
HTTP_ROUTES = "gateway.networking.k8s.io/v1/httproutes"
TLS_ROUTES = "gateway.networking.k8s.io/v1/tlsroutes"

# Controllers, as they are named in statuses, and the webhook
POLICY_CONTROLLER = "linkerd.io/policy-controller"
SERVICE_MIRROR = "linkerd.io/service-mirror"
INJECTOR_WEBHOOK = "linkerd-proxy-injector.linkerd.io"

# Ports of a proxy
OUTBOUND_PORT = 4140
GATEWAY_PORT = 4143
"""A proxy's inbound port; on the stand-in, only a gateway listens on it."""
ADMIN_PORT = 4191

TRUST_DOMAIN = "cluster.local"
"""Linkerd's default ``identityTrustDomain``."""


def identity_of(service_account: str, namespace: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """The mesh identity of a ServiceAccount, a DNS name.

    >>> identity_of("chat", "shop")
    'chat.shop.serviceaccount.identity.linkerd.cluster.local'
    """
    return f"{service_account}.{namespace}.{identity_domain(trust_domain)}"


def identity_domain(trust_domain: str = TRUST_DOMAIN) -> str:
    """The suffix shared by the identities of all ServiceAccounts in a trust domain."""
    return f"serviceaccount.identity.linkerd.{trust_domain}"
