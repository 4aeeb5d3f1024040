"""The mesh that Linkerd's rows need: installed and linked, if they are not yet, with the commands of notebooks 04 and 05."""

from __future__ import annotations

from labs import kube
from labs.errors import LabError
from labs.mesh import gateway_api
from labs.mesh.choice import mesh_for
from labs.paths import Paths
from tests.parity.context import ParityContext

MULTICLUSTER = "linkerd-multicluster"
CLUSTERS = ("app", "gpu")


def installed(context: ParityContext, cluster: str = "app") -> None:
    """The control plane runs in the cluster.

    Raises:
        LabError: it could not be installed.
    """
    context.once("the linkerd command", lambda: mesh_for(context.backend.can).install_cli(Paths.current().bin))
    context.once(f"mesh {cluster}", lambda: _install(context, cluster))


def linked(context: ParityContext) -> None:
    """Both clusters have the mesh and its multicluster extension, and app is linked to gpu.

    Raises:
        LabError: one of the steps failed.
    """
    context.once("link", lambda: _link(context))


def _install(context: ParityContext, cluster: str) -> None:
    if not kube.select(context.api(cluster), "Deployment", "linkerd"):
        made = {row.name: row for row in mesh_for(context.backend.can).make_certificates()}
        issuer = made[f"issuer-{cluster}"]
        gateway_api.install(context.clusters[cluster])
        context.piped(cluster, "install", "--crds")
        context.piped(
            cluster,
            "install",
            f"--identity-trust-anchors-file={made['ca'].certificate}",
            f"--identity-issuer-certificate-file={issuer.certificate}",
            f"--identity-issuer-key-file={issuer.key}",
        )
    checked = context.linkerd("check", "--wait", "120s", cluster=cluster, timeout=180)
    if checked.code:
        raise LabError(f"the mesh in cluster {cluster} is not well:\n{checked.text}", fix=f"linkerd check --context {cluster}")


def _link(context: ParityContext) -> None:
    for cluster, peer in (CLUSTERS, CLUSTERS[::-1]):
        installed(context, cluster)
        if not kube.select(context.api(cluster), "Deployment", MULTICLUSTER):
            context.piped(cluster, "multicluster", "install", "--set", f"controllers[0].link.ref.name={peer}")
    for cluster in CLUSTERS:
        for found in kube.select(context.api(cluster), "Deployment", MULTICLUSTER):
            name = found["metadata"]["name"]
            kube.wait(context.api(cluster), "Deployment", name, MULTICLUSTER, kube.rolled_out, timeout=90)
    if not kube.select(context.api(), "multicluster.linkerd.io/v1alpha3/Link", MULTICLUSTER):
        printed = context.linkerd(
            "multicluster",
            "link-gen",
            "--cluster-name=gpu",
            f"--api-server-address={context.backend.api_server('gpu')}",
            cluster="gpu",
        )
        context.clusters["app"].kubectl("apply", "-f", "-", input=printed.text)
