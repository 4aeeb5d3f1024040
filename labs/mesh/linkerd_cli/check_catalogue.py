"""All checks, in the order in which Linkerd runs them."""

from __future__ import annotations

from labs.mesh.linkerd_cli import checks_control_plane as control
from labs.mesh.linkerd_cli import checks_identity as identity
from labs.mesh.linkerd_cli import checks_multicluster as multicluster
from labs.mesh.linkerd_cli import checks_viz as viz
from labs.mesh.linkerd_cli.checking import Category, Check

LINKS = multicluster.for_links
KUBERNETES = (
    Category(
        "kubernetes-api",
        [
            Check("can initialize the client", control.can_query, "k8s-api", fatal=True),
            Check("can query the Kubernetes API", control.can_query, "k8s-api", fatal=True),
        ],
    ),
    Category("kubernetes-version", [Check("is running the minimum Kubernetes API version", control.is_recent, "k8s-version")]),
)
GATEWAY_API = Category(
    "gateway-api-crd", [Check("Gateway API CRDs are installed", control.has_gateway_api, "pre-k8s-gateway-api")]
)
VERSION = Category("linkerd-version", [Check("cli is Linkerd's own", control.is_standin, "the-command", own=True)])
_RBAC = "rbac.authorization.k8s.io"

PRE_INSTALL = (
    *KUBERNETES,
    Category(
        "pre-kubernetes-setup",
        [
            Check("control plane namespace does not already exist", control.namespace_is_free, "pre-ns"),
            Check("can create non-namespaced resources", control.can_create("clusterroles", _RBAC, None), "pre-k8s-cluster-k8s"),
            Check("can create ServiceAccounts", control.can_create("serviceaccounts"), "pre-k8s"),
            Check("can create Services", control.can_create("services"), "pre-k8s"),
            Check("can create Deployments", control.can_create("deployments", "apps"), "pre-k8s"),
            Check("can create ConfigMaps", control.can_create("configmaps"), "pre-k8s"),
            Check("can create Secrets", control.can_create("secrets"), "pre-k8s"),
        ],
    ),
    VERSION,
)

CONTROL_PLANE = (
    *KUBERNETES,
    GATEWAY_API,
    Category(
        "linkerd-existence",
        [
            Check("'linkerd-config' config map exists", control.config_exists, "l5d-existence-linkerd-config", fatal=True),
            Check(
                "control plane replica sets are ready",
                control.replica_sets_ready,
                "l5d-existence-replicasets",
                retry=True,
                fatal=True,
            ),
            Check("no unschedulable pods", control.no_unschedulable, "l5d-existence-unschedulable-pods", retry=True, fatal=True),
            Check("control plane pods are ready", control.pods_ready, "l5d-api-control-ready", retry=True, fatal=True),
            control.networks_contain("node podCIDRs", control.node_ranges),
            control.networks_contain("pods", control.pod_addresses),
            control.networks_contain("services", control.service_addresses),
        ],
    ),
    Category(
        "linkerd-config",
        [
            Check("control plane Namespace exists", control.namespace_exists, "l5d-existence-ns"),
            Check(
                "control plane ClusterRoles exist", control.exist(f"{_RBAC}/v1/clusterroles", "ClusterRoles"), "l5d-existence-cr"
            ),
            Check(
                "control plane ClusterRoleBindings exist",
                control.exist(f"{_RBAC}/v1/clusterrolebindings", "ClusterRoleBindings"),
                "l5d-existence-crb",
            ),
            Check(
                "control plane ServiceAccounts exist",
                control.exist("serviceaccounts", "ServiceAccounts", "linkerd"),
                "l5d-existence-sa",
            ),
            Check("control plane CustomResourceDefinitions exist", control.crds_exist, "l5d-existence-crd"),
            Check("control plane MutatingWebhookConfigurations exist", control.webhook_exists, "l5d-existence-mwc"),
        ],
    ),
    Category(
        "linkerd-identity",
        [
            Check("certificate config is valid", identity.certificate_config_valid, "l5d-identity-cert-config-valid", fatal=True),
            Check(
                "trust anchors are using supported crypto algorithm",
                identity.supported(identity.anchors),
                "l5d-identity-trustAnchors-use-supported-crypto",
            ),
            Check(
                "trust anchors are within their validity period",
                identity.within_validity(identity.anchors),
                "l5d-identity-trustAnchors-are-time-valid",
                fatal=True,
            ),
            Check(
                "trust anchors are valid for at least 60 days",
                identity.lasting(identity.anchors),
                "l5d-identity-trustAnchors-not-expiring-soon",
            ),
            Check(
                "issuer cert is using supported crypto algorithm",
                identity.supported(identity.issuer),
                "l5d-identity-issuer-cert-uses-supported-crypto",
            ),
            Check(
                "issuer cert is within its validity period",
                identity.issuer_within_validity,
                "l5d-identity-issuer-cert-is-time-valid",
                fatal=True,
            ),
            Check(
                "issuer cert is valid for at least 60 days", identity.issuer_lasting, "l5d-identity-issuer-cert-not-expiring-soon"
            ),
            Check(
                "issuer cert is issued by the trust anchor",
                identity.issuer_signed_by_anchor,
                "l5d-identity-issuer-cert-issued-by-trust-anchor",
            ),
        ],
    ),
    Category(
        "linkerd-webhooks-and-apisvc-tls",
        [
            Check(
                "proxy-injector webhook has valid cert",
                identity.within_validity(identity.webhook_certificates, "anchors not within their validity period:"),
                "l5d-proxy-injector-webhook-cert-valid",
                fatal=True,
            ),
            Check(
                "proxy-injector cert is valid for at least 60 days",
                identity.lasting(identity.webhook_certificates),
                "l5d-proxy-injector-webhook-cert-not-expiring-soon",
            ),
            Check("proxy-injector webhook injects", control.webhook_injects, "checks", retry=True, own=True),
        ],
    ),
    VERSION,
    Category(
        "control-plane-version",
        [
            Check("can retrieve the control plane version", control.control_plane_version, "l5d-version-control"),
            Check("control plane and cli versions match", control.versions_match, "l5d-version-control"),
        ],
    ),
)

EXTENSIONS = {
    "multicluster": Category(
        "linkerd-multicluster",
        [
            Check("Link CRD exists", multicluster.link_crd_exists, "l5d-multicluster-link-crd-exists", fatal=True),
            Check("Link resources are valid", LINKS(multicluster.is_valid), "l5d-multicluster-links-are-valid", fatal=True),
            Check("Link and CLI versions match", LINKS(multicluster.made_by_this_version), "l5d-multicluster-links-version"),
            Check(
                "remote cluster access credentials are valid",
                LINKS(multicluster.can_list_services),
                "l5d-smc-target-clusters-access",
            ),
            Check("clusters share trust anchors", LINKS(multicluster.shares_anchors), "l5d-multicluster-clusters-share-anchors"),
            Check(
                "service mirror controller has required permissions",
                LINKS(multicluster.has_permissions),
                "l5d-multicluster-source-rbac-correct",
            ),
            Check(
                "service mirror controllers are running",
                LINKS(multicluster.controller_runs),
                "l5d-multicluster-service-mirror-running",
                retry=True,
            ),
            Check(
                "extension is managing controllers",
                LINKS(multicluster.controller_is_managed),
                "l5d-multicluster-managed-controllers",
            ),
            Check(
                "probe services able to communicate with all gateway mirrors",
                LINKS(multicluster.gateway_is_alive),
                "l5d-multicluster-gateways-endpoints",
                retry=True,
            ),
            Check(
                "all mirror services have endpoints", multicluster.mirrors_have_endpoints, "l5d-multicluster-services-endpoints"
            ),
            Check(
                "all mirror services are part of a Link", multicluster.mirrors_have_links, "l5d-multicluster-orphaned-services"
            ),
            Check(
                "multicluster extension proxies are healthy",
                multicluster.proxies_healthy,
                "l5d-multicluster-proxy-healthy",
                retry=True,
            ),
        ],
    ),
    "viz": Category(
        "linkerd-viz",
        [
            Check("linkerd-viz Namespace exists", viz.namespace_exists, "l5d-viz-ns-exists", fatal=True),
            Check("prometheus is installed and configured correctly", viz.prometheus_answers, "l5d-viz-prometheus", retry=True),
            Check(
                "data plane proxy metrics are present in Prometheus", viz.has_proxy_metrics, "l5d-viz-data-plane-prom", retry=True
            ),
        ],
    ),
}
"""By the value of the label ``linkerd.io/extension`` on an extension's namespace."""

EXTENSION_NAMESPACES = Category(
    "linkerd-extension-checks",
    [
        Check("namespace configuration for extensions", control.extension_namespaces, "l5d-extension-namespaces"),
    ],
)


def data_plane(namespace: str | None) -> Category:
    """The checks that ``linkerd check --proxy`` adds."""
    return Category("linkerd-data-plane", [control.proxies_ready(namespace)])
