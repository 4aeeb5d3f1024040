"""The errors of ``nvidia-smi``, each with the exit code that its manual gives for it."""

from __future__ import annotations

HELP = "Please run 'nvidia-smi -h' for help."


class SmiError(Exception):
    """The command ends with this message on stderr and exit code ``code``."""

    code = 1


class WrongUsage(SmiError):
    """An option or a value that nvidia-smi does not know either."""

    code = 2


class NotSimulated(SmiError):
    """nvidia-smi can do it, the simulator cannot; the code is that of an operation the device does not offer."""

    code = 3

    def __init__(self, what: str) -> None:
        super().__init__(
            f"not simulated: {what}. The simulator answers -L, -q, --query-gpu, --query-compute-apps, dmon, topo -m."
        )


class NotFound(SmiError):
    """No GPU of that index, UUID or bus id."""

    code = 6


class VersionMismatch(SmiError):
    """Driver and library do not match (NVML_ERROR_LIB_RM_VERSION_MISMATCH)."""

    code = 18
