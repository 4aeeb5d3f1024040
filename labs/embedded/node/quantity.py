"""Kubernetes quantities: ``500m``, ``2Gi``, ``1e3``."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


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


def requests(pod: dict, resource: str) -> Decimal:
    """What a pod asks of ``resource``: mains and sidecars together, or the largest init step, whichever is more."""
    spec = pod["spec"]
    sidecars = Decimal(0)
    peak = Decimal(0)
    for container in spec.get("initContainers", []):
        asked = _asked(container, resource)
        if container.get("restartPolicy") == "Always":
            sidecars += asked
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + asked)
    return max(peak, sidecars + _total(spec["containers"], resource)) + parse(spec.get("overhead", {}).get(resource, 0))


def _total(containers: Iterable[dict], resource: str) -> Decimal:
    return sum((_asked(container, resource) for container in containers), Decimal(0))


def _asked(container: dict, resource: str) -> Decimal:
    resources = container.get("resources", {})
    return parse(resources.get("requests", {}).get(resource, resources.get("limits", {}).get(resource, 0)))
