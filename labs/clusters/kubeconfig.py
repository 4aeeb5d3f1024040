"""One kubeconfig with a context per cluster, from those that the tools give, under names that all backends share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from labs.errors import NotFound
from labs.paths import Paths
from labs.wire.replace_file import write_private


def merge(documents: Mapping[str, str]) -> str:
    """The kubeconfigs of single clusters as one; each cluster, user and context gets the cluster's name.

    Args:
        documents: cluster name → its kubeconfig (YAML). Where it has several contexts, the current one counts.

    Raises:
        NotFound: a kubeconfig lacks its current context, or the cluster or user that this names.
    """
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, text in documents.items():
        found = yaml.safe_load(text)
        context = _entry(found, "contexts", found.get("current-context") or "")["context"]
        merged["clusters"].append({"name": name, "cluster": _entry(found, "clusters", context["cluster"])["cluster"]})
        merged["users"].append({"name": name, "user": _entry(found, "users", context["user"])["user"]})
        merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    merged["current-context"] = next(iter(documents), "")
    return yaml.safe_dump(merged, sort_keys=False)


def _entry(document: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = document.get(kind) or []
    for row in rows:
        if row["name"] == name:
            return row
    raise NotFound(f"entry under {kind} of a kubeconfig", name, [row["name"] for row in rows], fix="kubectl config view")


def write(documents: Mapping[str, str]) -> None:
    """Write ``.lab/kubeconfig``, readable by its owner only."""
    write_private(Paths.current().kubeconfig, merge(documents))


def contexts() -> set[str]:
    """The contexts of ``.lab/kubeconfig``; none if there is no such file."""
    if not Paths.current().kubeconfig.exists():
        return set()
    return {row["name"] for row in yaml.safe_load(Paths.current().kubeconfig.read_text())["contexts"]}
