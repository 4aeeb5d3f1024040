"""Renders the manifests that ``linkerd install``, ``multicluster install`` and ``viz install`` print."""

from __future__ import annotations

import copy
import itertools
import re
from functools import cache
from typing import Any

import jinja2
import yaml

from labs import config
from labs.errors import UsageError
from labs.wire import linkerd

FOLDER = config.CLUSTERS / "embedded" / "linkerd-standin"
IMAGE = "boring-ops-lab/mesh-standin:dev"
VERSION: str = config.versions()["linkerd"]["version"]
CREATED_BY = f"linkerd/cli {VERSION} stand-in"
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 2103,
}

Manifest = dict[str, Any]


@cache
def _defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
    return defaults


def values_for(chart: str, assignments: tuple[str, ...]) -> dict[str, Any]:
    """The chart's defaults with ``--set`` assignments (``a.b[0].c=value``, several with commas) applied.

    Raises:
        UsageError: an assignment has no ``=``, or its top-level value is unknown to the stand-in (it would have no effect).
    """
    values: dict[str, Any] = copy.deepcopy(_defaults()[chart])
    for assignment in (part for text in assignments for part in re.split(r"(?<!\\),", text)):
        path, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"expected --set KEY=VALUE; found {assignment!r}")
        keys = [int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", path)]
        if not keys or keys[0] not in values:
            known = ", ".join(values)
            raise UsageError(f"the stand-in does not know the value {path!r}; it honours: {known}", fix="leave it out here")
        _assign(values, keys, yaml.safe_load(value))
    return values


def _assign(values: Any, keys: list[str | int], value: Any) -> None:
    for key, following in itertools.pairwise(keys):
        empty: Any = [] if isinstance(following, int) else {}
        values = _slot(values, key, empty)
    if isinstance(keys[-1], int):
        _slot(values, keys[-1], None)
    values[keys[-1]] = value


def _slot(values: Any, key: Any, empty: Any) -> Any:
    """``values[key]``, created if it does not exist; as in Helm, a list can grow by one element at a time."""
    if isinstance(values, list):
        if key > len(values):
            raise UsageError(f"--set names element [{key}] of a list of {len(values)}", fix="count from [0] without a gap")
        if key == len(values):
            values.append(empty)
        return values[key]
    return values.setdefault(key, empty)


def render(template: str, values: dict[str, Any], **context: Any) -> list[Manifest]:
    """The manifests of a template in ``clusters/embedded/linkerd-standin``."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string((FOLDER / template).read_text()).render(
        values=values,
        image=IMAGE,
        version=VERSION,
        created_by=CREATED_BY,
        created={linkerd.CREATED_BY: CREATED_BY},
        hardened=HARDENED,
        **context,
    )
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def crds() -> list[Manifest]:
    """The policy CRDs. As for Linkerd, Gateway API's CRDs are installed before: ``clusters/gateway-api``."""
    found: list[Manifest] = yaml.safe_load((FOLDER / "crds.yaml").read_text())["items"]
    return found


def control_plane(values: dict[str, Any], trust_anchors: str, issuer_certificate: str, issuer_key: str) -> list[Manifest]:
    """Namespace, configuration, identity material, and the three programs with their RBAC."""
    stored = {
        "linkerdVersion": VERSION,
        "standIn": True,
        "clusterDomain": "cluster.local",
        "clusterNetworks": values["clusterNetworks"],
        "identityTrustAnchorsPEM": trust_anchors,
        "identityTrustDomain": "cluster.local",
    }
    return render(
        "control-plane.yaml.j2",
        values,
        labels={linkerd.CONTROL_PLANE_NS: "linkerd", "app.kubernetes.io/part-of": "boring-ops-lab"},
        components=yaml.safe_load((FOLDER / "components.yaml").read_text()),
        stored_values=yaml.safe_dump(stored, sort_keys=False),
        trust_anchors=trust_anchors,
        issuer_certificate=issuer_certificate,
        issuer_key=issuer_key,
    )


def multicluster(values: dict[str, Any]) -> list[Manifest]:
    """The gateway, the account that a linked cluster uses, and a controller per link."""
    return render(
        "multicluster.yaml.j2",
        values,
        labels={linkerd.EXTENSION: "multicluster", "app.kubernetes.io/part-of": "boring-ops-lab"},
    )


def viz(values: dict[str, Any]) -> list[Manifest]:
    """A namespace and the address of the lab's Prometheus."""
    if values["prometheus"]["enabled"]:
        raise UsageError(
            "the stand-in has no Prometheus of its own",
            fix="linkerd viz install (it uses the lab's, in the namespace monitoring)",
        )
    return render("viz.yaml.j2", values)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(manifests: list[Manifest]) -> str:
    """One stream for ``kubectl apply -f -``, with a document per manifest and without YAML anchors."""
    return "".join(f"---\n{yaml.dump(manifest, Dumper=_NoAliases, sort_keys=False, width=120)}" for manifest in manifests)
