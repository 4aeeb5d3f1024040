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


def installed(stage: ParityContext, context: str = "app") -> None:
    """The control plane runs in the cluster.

    Raises:
        LabError: it could not be installed.
    """
    stage.once("the linkerd command", lambda: mesh_for(stage.backend.can).install_cli(Paths.current().bin))
    stage.once(f"mesh {context}", lambda: _install(stage, context))


def linked(stage: ParityContext) -> None:
    """Both clusters have the mesh and its multicluster extension, and app is linked to gpu.

    Raises:
        LabError: one of the steps failed.
    """
    stage.once("link", lambda: _link(stage))


def _install(stage: ParityContext, context: str) -> None:
    if not kube.select(stage.api(context), "Deployment", "linkerd"):
        made = {row.name: row for row in mesh_for(stage.backend.can).make_certificates()}
        issuer = made[f"issuer-{context}"]
        gateway_api.install(stage.clusters[context])
        stage.piped(context, "install", "--crds")
        stage.piped(
            context,
            "install",
            f"--identity-trust-anchors-file={made['ca'].certificate}",
            f"--identity-issuer-certificate-file={issuer.certificate}",
            f"--identity-issuer-key-file={issuer.key}",
        )
    checked = stage.linkerd("check", "--wait", "120s", context=context, timeout=180)
    if checked.code:
        raise LabError(f"the mesh in cluster {context} is not well:\n{checked.text}", fix=f"linkerd check --context {context}")


def _link(stage: ParityContext) -> None:
    for context, peer in (CLUSTERS, CLUSTERS[::-1]):
        installed(stage, context)
        if not kube.select(stage.api(context), "Deployment", MULTICLUSTER):
            stage.piped(context, "multicluster", "install", "--set", f"controllers[0].link.ref.name={peer}")
    for context in CLUSTERS:
        for found in kube.select(stage.api(context), "Deployment", MULTICLUSTER):
            name = found["metadata"]["name"]
            kube.wait(stage.api(context), "Deployment", name, MULTICLUSTER, kube.rolled_out, timeout=90)
    if not kube.select(stage.api(), "multicluster.linkerd.io/v1alpha3/Link", MULTICLUSTER):
        printed = stage.linkerd(
            "multicluster",
            "link-gen",
            "--cluster-name=gpu",
            f"--api-server-address={stage.backend.api_server('gpu')}",
            context="gpu",
        )
        stage.clusters["app"].kubectl("apply", "-f", "-", input=printed.text)
