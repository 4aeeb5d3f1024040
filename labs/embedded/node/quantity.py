"""Kubernetes quantities: ``500m``, ``2Gi``, ``1e3``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

_DECIMAL = {
    suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate(["n", "u", "m", "", "k", "M", "G", "T", "P", "E"], -3)
}
_BINARY = {suffix: Decimal(2) ** (10 * power) for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], 1)}
_SUFFIXES = _DECIMAL | _BINARY


def parse(text: str | int | float) -> Decimal:
    """The value in the base unit (cores, bytes, pieces).

    >>> parse("500m"), parse("1Ki"), parse("1e3")
    (Decimal('0.500'), Decimal('1024'), Decimal('1E+3'))

    Raises:
        ValueError: not a quantity.
    """
    word = str(text).strip()
    number = word.rstrip("numkKMGTPEi") if not word[-1:].isdigit() else word
    try:
        return Decimal(number) * _SUFFIXES[word[len(number) :]]
    except (ArithmeticError, KeyError):
        raise ValueError(f"expected a quantity such as 500m or 2Gi; found {text!r}") from None


def milli(text: str | int) -> int:
    """In thousandths, rounded up."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


def whole(text: str | int) -> int:
    """In whole base units, rounded up."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two resource lists are equal, however they are spelled.

    >>> same({"cpu": "1", "memory": "1Gi"}, {"memory": "1024Mi", "cpu": "1000m"}), same({"cpu": "0"}, {})
    (True, False)
    """
    return one.keys() == other.keys() and all(parse(one[name]) == parse(other[name]) for name in one)


def requests(pod: dict[str, Any], resource: str) -> Decimal:
    """How much ``resource`` a pod requests: at pod level if given, else the total of its containers."""
    spec = pod["spec"]
    whole_pod = spec.get("resources", {})
    if resource in whole_pod.get("requests", {}) or resource in whole_pod.get("limits", {}):
        total = _asked(spec, resource)
    else:
        total = _containers(spec, resource)
    return total + parse(spec.get("overhead", {}).get(resource, 0))


def _containers(spec: dict[str, Any], resource: str) -> Decimal:
    """The sum of mains and sidecars, or the largest init step, whichever is more."""
    sidecars = Decimal(0)
    peak = Decimal(0)
    for container in spec.get("initContainers", []):
        asked = _asked(container, resource)
        if container.get("restartPolicy") == "Always":
            sidecars += asked
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + asked)
    return max(peak, sidecars + _total(spec["containers"], resource))


def _total(containers: Iterable[dict[str, Any]], resource: str) -> Decimal:
    return sum((_asked(container, resource) for container in containers), Decimal(0))


def _asked(container: dict[str, Any], resource: str) -> Decimal:
    resources = container.get("resources", {})
    return parse(resources.get("requests", {}).get(resource, resources.get("limits", {}).get(resource, 0)))
