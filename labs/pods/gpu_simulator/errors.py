"""What a GPU counts of its own errors, as NVML and DCGM name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ErrorCounts:
    """``dbe`` are double-bit errors since the last reset, ``dbe_aggregate`` over its life; rows are remapped memory rows."""

    dbe: int = 0
    dbe_aggregate: int = 0
    rows_uncorrectable: int = 0
    remap_pending: int = 0
    remap_failure: int = 0
    nvlink_errors: int = 0

    def plus(self, more: Mapping[str, int]) -> ErrorCounts:
        """The counts plus the errors of one event."""
        found = {name: getattr(self, name) + count for name, count in more.items()}
        return replace(self, **found, dbe_aggregate=self.dbe_aggregate + more.get("dbe", 0))

    def after_reset(self) -> ErrorCounts:
        """A reset remaps pending rows and clears the volatile counts; what is stored in the GPU stays.

        A GPU whose row could not be remapped was replaced: the new one has no errors.
        """
        if self.remap_failure:
            return ErrorCounts()
        return ErrorCounts(dbe_aggregate=self.dbe_aggregate, rows_uncorrectable=self.rows_uncorrectable)
