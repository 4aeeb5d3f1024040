"""The metrics of proxies, as ``linkerd diagnostics`` prints them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from labs.errors import CommandFailed
from tests.parity.context import ParityContext


def samples(context: ParityContext, namespace: str, name: str, metric: str, **labels: str) -> list[Sample]:
    """Samples of a metric with these labels, of all proxies of a Deployment.

    Raises:
        CommandFailed: the proxies could not be asked.
    """
    ran = context.linkerd("diagnostics", "proxy-metrics", "-n", namespace, f"deploy/{name}")
    if ran.code:
        raise CommandFailed(["linkerd", "diagnostics", "proxy-metrics"], ran.code, ran.text)
    # Several pods repeat the same families: only the sample lines matter here.
    lines = "\n".join(line for line in ran.text.splitlines() if line.startswith(metric)) + "\n"
    found = [sample for family in text_string_to_metric_families(lines) for sample in family.samples]
    return [sample for sample in found if sample.name == metric and labels.items() <= sample.labels.items()]


def labels_of(found: list[Sample], *names: str) -> dict[str, str | None] | None:
    """These labels of the first sample, None for one that it lacks; None where there is no sample."""
    return {name: found[0].labels.get(name) for name in names} if found else None
