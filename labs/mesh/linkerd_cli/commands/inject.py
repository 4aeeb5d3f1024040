"""``linkerd inject`` and ``uninject``: add or remove the annotation that asks the proxy injector for a proxy, in YAML."""

from __future__ import annotations

from typing import IO, Any

import click
import yaml

from labs.mesh.linkerd_cli.manifests import Manifest, to_yaml
from labs.wire import linkerd

TEMPLATES = {
    "Pod": ("metadata",),
    "Namespace": ("metadata",),
    **{
        kind: ("spec", "template", "metadata")
        for kind in ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job")
    },
    "CronJob": ("spec", "jobTemplate", "spec", "template", "metadata"),
}
"""Where each kind has the metadata whose annotations apply to its pods."""


@click.command()
@click.argument("file", type=click.File("r"))
@click.option("--manual", is_flag=True, hidden=True)
def inject(file: IO[str], manual: bool) -> None:
    """Add the annotation to the workloads of FILE ("-" is standard input); the injector adds the proxy when pods are created."""
    if manual:
        raise click.UsageError("the stand-in has no --manual: its webhook injects every proxy")
    _transform(file, "enabled", "injected")


@click.command()
@click.argument("file", type=click.File("r"))
def uninject(file: IO[str]) -> None:
    """Remove the annotation."""
    _transform(file, None, "uninjected")


def _transform(file: IO[str], value: str | None, verb: str) -> None:
    found = [manifest for manifest in yaml.safe_load_all(file) if manifest]
    report: list[str] = []
    for manifest in found:
        for item in manifest.get("items", [manifest]) if manifest.get("kind") == "List" else [manifest]:
            changed = annotate(item, value)
            name = f'{item.get("kind", "").lower()} "{item.get("metadata", {}).get("name", "")}"'
            report.append(f"{name} {verb if changed else 'skipped'}")
    click.echo(to_yaml(found), nl=False)
    click.echo("\n" + "\n".join(report) + "\n", err=True)


def annotate(manifest: Manifest, value: str | None) -> bool:
    """Set the annotation (None: remove it) where the manifest's pods get it from; False if the manifest creates no pods."""
    path = TEMPLATES.get(manifest.get("kind", ""))
    if path is None:
        return False
    metadata: dict[str, Any] = manifest
    for key in path:
        metadata = metadata.setdefault(key, {})
    annotations = metadata.setdefault("annotations", {}) or {}
    metadata["annotations"] = annotations
    if value is None:
        annotations.pop(linkerd.INJECT, None)
    else:
        annotations[linkerd.INJECT] = value
    return True
