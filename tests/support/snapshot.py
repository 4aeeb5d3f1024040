"""What is in the lab, without what changes by itself: two snapshots are equal when nothing was left behind."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import psutil

from labs import config
from labs.embedded import control
from labs.lab import Lab

KINDS = (
    "namespaces,nodes,deployments,daemonsets,services,configmaps,secrets,serviceaccounts,resourcequotas,poddisruptionbudgets,"
    "clusterroles,clusterrolebindings,roles,rolebindings,mutatingwebhookconfigurations,replicasets"
)
MESH_KINDS = (
    "servers.policy.linkerd.io,authorizationpolicies.policy.linkerd.io,meshtlsauthentications.policy.linkerd.io,"
    "links.multicluster.linkerd.io"
)
VOLATILE = ("resourceVersion", "generation", "managedFields", "uid", "creationTimestamp")
NOTES = ("deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history")
"""Annotations a rollback moves on."""


def objects(lab: Lab, kinds: str) -> dict[str, Any]:
    """Every object by cluster, kind and name, without status; of nodes whether they are Ready and how many GPUs they offer."""
    found: dict[str, Any] = {}
    for name, cluster in lab.clusters.items():
        for item in json.loads(cluster.kubectl("get", kinds, "-A", "-o", "json"))["items"]:
            meta, status = item["metadata"], item.pop("status", {})
            title = f"{name} {item['kind']} {meta.get('namespace', '-')}/{meta['name']}"
            for field in VOLATILE:
                meta.pop(field, None)
            meta["annotations"] = {key: value for key, value in meta.get("annotations", {}).items() if key not in NOTES}
            if item["kind"] == "Node":
                item["ready"] = [row["status"] for row in status["conditions"] if row["type"] == "Ready"]
                item["allocatable"] = status["allocatable"].get("nvidia.com/gpu")
            for hook in item.get("webhooks", []):
                hook["clientConfig"].pop("caBundle", None)  # the stand-in's injector makes a certificate when it starts
            if item["kind"] == "Secret" and item.get("type") == "kubernetes.io/service-account-token":
                item.pop("data", None)
            found[title] = item
    return found


def pods(lab: Lab) -> Counter[tuple[str, str, str, str]]:
    """How many pods each workload has, and in which state; loads aside, which come and go with the tests."""
    rows = [
        (name, row["namespace"], row["name"].rsplit("-", 2 if row["name"].count("-") > 2 else 1)[0], row["status"])
        for name, cluster in lab.clusters.items()
        for row in cluster.pods().to_dict("records")
    ]
    return Counter(row for row in rows if not row[2].startswith("load-"))


def processes() -> Counter[str]:
    """How many processes below the supervisor run each program; those of this test and of its load aside."""
    supervisor = psutil.Process(control.status()["pid"])
    names: Counter[str] = Counter()
    for process in supervisor.children(recursive=True):
        try:
            words = process.cmdline()
            text = " ".join(words).replace(str(config.ROOT), "")
        except psutil.Error:
            continue
        if process.status() == psutil.STATUS_STOPPED:
            names["stopped"] += 1
        if "loadgen" not in text:
            names[" ".join(word for word in text.split() if not any(c.isdigit() for c in word))[:80]] += 1
    return names
