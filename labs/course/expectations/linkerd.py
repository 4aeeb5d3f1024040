"""Notebook 04: the mesh is installed in both clusters and holds the model server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.course.checks import Finding, check
from labs.course.expectations.cluster_objects import deployments_available, meshed

if TYPE_CHECKING:
    from labs.lab import Lab

CONTROL_PLANE = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")


@check("04.1", "the control plane is available in both clusters", hint="run the cell of step 3 again", within=60)
def control_planes_run(lab: Lab) -> Finding:
    findings = {name: deployments_available(cluster, "linkerd", *CONTROL_PLANE) for name, cluster in lab.clusters.items()}
    bad = [f"{name}: {finding.found}" for name, finding in findings.items() if not finding.ok]
    return Finding(not bad, "; ".join(bad) or "in app and gpu")


@check("04.2", "every model server has a ready proxy", hint="run the cell of step 4 again", within=60)
def model_server_is_meshed(lab: Lab) -> Finding:
    return meshed(lab.gpu, "ml", "app.kubernetes.io/name=model-server")


@check("04.3", "both clusters trust the same anchor", hint="run steps 1 and 3 again: both installations need the same ca.crt")
def anchors_match(lab: Lab) -> Finding:
    path = "jsonpath={.data.ca-bundle\\.crt}"
    words = "get", "configmap", "linkerd-identity-trust-roots", "-n", "linkerd", "-o", path
    bundles = {cluster.kubectl(*words).strip() for cluster in lab.clusters.values()}
    return Finding(len(bundles) == 1 and "" not in bundles, "the same" if len(bundles) == 1 else "they differ")
