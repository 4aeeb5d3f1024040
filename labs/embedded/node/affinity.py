"""Whether a pod may run on a node: ``nodeSelector`` and required node affinity."""

from __future__ import annotations

from collections.abc import Mapping

from labs.embedded.node.model import Object


def matches(spec: Object, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node called ``name`` with ``labels`` satisfies the PodSpec ``spec``."""
    if any(labels.get(key) != value for key, value in spec.get("nodeSelector", {}).items()):
        return False
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term(term, labels, name) for term in required["nodeSelectorTerms"])


def _term(term: Object, labels: Mapping[str, str], name: str) -> bool:
    # An empty term matches nothing, says the API.
    expressions, fields = term.get("matchExpressions", []), term.get("matchFields", [])
    if not expressions and not fields:
        return False
    on_fields = all(_expression(item, {"metadata.name": name}) for item in fields)
    return on_fields and all(_expression(item, labels) for item in expressions)


def _expression(item: Object, labels: Mapping[str, str]) -> bool:
    found, operator = labels.get(item["key"]), item["operator"]
    values: list[str] = item.get("values", [])
    if operator == "In":
        return found in values
    if operator == "NotIn":
        return found not in values
    if operator in ("Exists", "DoesNotExist"):
        return (found is not None) is (operator == "Exists")
    return _compares(found, values[0], operator)


def _compares(found: str | None, limit: str, operator: str) -> bool:
    """``Gt`` and ``Lt``: whole numbers only; any other label satisfies neither."""
    try:
        return int(found or "") > int(limit) if operator == "Gt" else int(found or "") < int(limit)
    except ValueError:
        return False
