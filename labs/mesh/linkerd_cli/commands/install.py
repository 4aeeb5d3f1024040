"""``linkerd install`` and ``uninstall``: YAML on standard output, for ``kubectl apply -f -`` and ``kubectl delete -f -``."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from labs.errors import LabError
from labs.mesh import certificates
from labs.mesh.linkerd_cli import manifests
from labs.mesh.linkerd_cli.cluster import Target, find, items
from labs.mesh.linkerd_cli.manifests import Manifest
from labs.wire import linkerd
from labs.wire.kube_api import KubeApi

GATEWAY_API_CRD = "httproutes.gateway.networking.k8s.io"
CRD_KIND = "apiextensions.k8s.io/v1/customresourcedefinitions"
CLUSTER_KINDS = {
    "rbac.authorization.k8s.io/v1/clusterrolebindings": ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    "rbac.authorization.k8s.io/v1/clusterroles": ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
    ),
    CRD_KIND: ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "namespaces": ("v1", "Namespace"),
}
"""Cluster-wide kinds, and namespaces, in the order in which they may be deleted."""
Identity = tuple[str, str, str]
"""Trust anchors, issuer certificate, issuer key: PEM."""


@click.command()
@click.option("--crds", is_flag=True, help="Print only the CRDs, which you install first.")
@click.option("--identity-trust-anchors-file", "anchors", type=click.Path(exists=True, path_type=Path))
@click.option("--identity-issuer-certificate-file", "certificate", type=click.Path(exists=True, path_type=Path))
@click.option("--identity-issuer-key-file", "key", type=click.Path(exists=True, path_type=Path))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one of the chart's values.")
@click.option("--ignore-cluster", is_flag=True, help="Do not check what the cluster already has.")
@click.pass_obj
def install(
    target: Target,
    crds: bool,
    anchors: Path | None,
    certificate: Path | None,
    key: Path | None,
    assignments: tuple[str, ...],
    ignore_cluster: bool,
) -> None:
    """Print the manifests of the stand-in's control plane."""
    values = manifests.values_for("control-plane", assignments)
    if crds:
        if not ignore_cluster:
            target.run(refuse_without_gateway_api)
        click.echo(manifests.to_yaml(manifests.crds()), nl=False)
        return
    identity = read_identity(anchors, certificate, key) if anchors and certificate and key else None
    if identity is None and (anchors or certificate or key):
        raise LabError("a trust anchor, an issuer certificate and an issuer key must be specified together, or none of them")
    if not ignore_cluster:
        target.run(lambda api: refuse_if_not_ready(api, identity is not None))
    click.echo(manifests.to_yaml(manifests.control_plane(values, *(identity or new_identity()))), nl=False)


def read_identity(anchors: Path, certificate: Path, key: Path) -> Identity:
    """The text of the three files, after checking that they belong together.

    Raises:
        LabError: the issuer was not signed by one of the anchors, has expired, or its key belongs to another certificate.
    """
    found = certificates.load(certificate, key)
    if found is None:
        raise LabError(f"expected {certificate} to be a valid PEM certificate and {key} its ECDSA key")
    roots = x509.load_pem_x509_certificates(anchors.read_bytes())
    if not any(issued_by(found.certificate, root) for root in roots):
        raise LabError(f"invalid credentials: no certificate in {anchors} signed {certificate}")
    return anchors.read_text(), certificate.read_text(), key.read_text()


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate`` and is its named issuer."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def new_identity() -> Identity:
    """A trust anchor and an issuer for this cluster alone, valid for a year; Linkerd also makes them if it is given none."""
    anchor = certificates.make_anchor(dt.timedelta(days=365))
    issuer = certificates.make_issuer(anchor)
    return anchor.certificate_pem, issuer.certificate_pem, issuer.key_pem


async def refuse_without_gateway_api(api: KubeApi) -> None:
    """Raise LabError, as Linkerd does, unless Gateway API is installed."""
    if await find(api, CRD_KIND, None, GATEWAY_API_CRD) is None:
        raise LabError(
            "The Gateway API CRDs must be installed prior to installing Linkerd.",
            fix="kubectl apply --server-side -k clusters/gateway-api",
        )


async def refuse_if_not_ready(api: KubeApi, has_identity: bool) -> None:
    """Raise LabError if CRDs are missing, or if a second install would silently replace the trust anchor."""
    if await find(api, CRD_KIND, None, linkerd.SERVERS_CRD) is None:
        raise LabError("Linkerd CRDs must be installed first", fix="linkerd install --crds | kubectl apply -f -")
    if not has_identity and await find(api, "configmaps", "linkerd", "linkerd-config"):
        raise LabError(
            "Linkerd is installed already; without identity files a second install would replace its trust anchor",
            fix="give the --identity-* flags of the first install",
        )


@click.command()
@click.option("--force", "-f", is_flag=True, help="Uninstall even if meshed workloads remain.")
@click.pass_obj
def uninstall(target: Target, force: bool) -> int:
    """Print what `kubectl delete -f -` should remove to uninstall the control plane."""
    hindrances = [] if force else target.run(in_the_way)
    for sentence, names in hindrances:
        click.echo("\n\t* ".join([sentence, *names]), err=True)
    if hindrances:
        return 1
    click.echo(manifests.to_yaml(target.run(lambda api: removable(api, linkerd.CONTROL_PLANE_NS))), nl=False)
    return 0


async def in_the_way(api: KubeApi) -> list[tuple[str, list[str]]]:
    """What must be removed before the control plane, with Linkerd's message for each: extensions, and pods with a proxy."""
    namespaces = await items(api, "namespaces", labelSelector=linkerd.EXTENSION)
    extensions = {item["metadata"]["name"]: item["metadata"]["labels"][linkerd.EXTENSION] for item in namespaces}
    pods = [item["metadata"] for item in await items(api, "pods", labelSelector=linkerd.CONTROL_PLANE_NS)]
    injected = [pod["name"] for pod in pods if pod["namespace"] != "linkerd" and pod["namespace"] not in extensions]
    found = [
        ("Please uninstall the following extensions before uninstalling the control-plane:", sorted(extensions.values())),
        ("Please uninject the following pods before uninstalling the control-plane:", injected),
    ]
    return [(sentence, names) for sentence, names in found if names]


async def removable(api: KubeApi, label: str) -> list[Manifest]:
    """The cluster-wide objects with ``label``, the namespace last.

    Raises:
        LabError: nothing is installed.
    """
    found = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": item["metadata"]["name"]}}
        for resource, (version, kind) in CLUSTER_KINDS.items()
        for item in await items(api, resource, labelSelector=label)
    ]
    if not found:
        raise LabError("No resources found to uninstall")
    return found
