"""Every error the lab raises on purpose.

Each says what was expected, what was found, and (``.fix``) what to type next::

    LabError
    ├── UsageError            the call is wrong: nothing was changed (exit code 2)
    ├── MachineError          this machine lacks something the lab needs
    │   ├── AddressTaken      another process listens where the lab must
    │   ├── DiskFull          less free disk than the next step needs
    │   ├── EngineUnusable    no Docker engine answers, or it refuses the connection, or it is too small
    │   ├── NameTaken         something of this name exists that the lab did not create
    │   ├── WrongVersion      a program is older than the pinned version
    │   └── UnsupportedPlatform   this backend does not work on this machine
    ├── NotRunning            no lab is up in this checkout
    ├── OtherLabRunning       another checkout's lab runs on this machine
    ├── OldLayout             another version made this checkout's lab, or its record is damaged
    ├── BundleError           an offline bundle is damaged, or made for another machine or version
    ├── BuildError            compiling or verifying the embedded programs failed
    ├── DownloadError         a published file is not available
    │   ├── SiteUnreachable       its site does not answer, or not to the end
    │   └── ChecksumMismatch      it is not what its project published
    ├── StepFailed            a named step of bring-up or tear-down failed
    ├── CommandFailed         a program the lab ran exited with an error
    ├── Taken                 something else holds what a step needs
    ├── TimedOut              something did not become true in time
    ├── NotFound              a name that should exist does not (``.known`` lists those that do)
    ├── QueryError            PromQL that Prometheus refused
    └── CheckFailed           a notebook's check looked at the cluster and it was not as expected
"""

from __future__ import annotations

import errno
from collections.abc import Sequence


class LabError(Exception):
    """Base of the tree. ``str(error)`` is the message followed by the fix, ready for a terminal."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  try: {self.fix}" if self.fix else self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of a traceback: the lab raises these on purpose, and the code's path helps no learner."""
        return [f"{type(self).__name__}: {line}" if number == 0 else line for number, line in enumerate(str(self).splitlines())]


class UsageError(LabError):
    """The call is wrong; nothing was changed."""

    exit_code = 2


class MachineError(LabError):
    """This machine lacks something the lab needs."""


class AddressTaken(MachineError):
    """Another process listens where the lab must."""


class DiskFull(MachineError):
    """Less free disk than the next step needs."""


class EngineUnusable(MachineError):
    """No Docker engine answers, or it refuses the connection, or it is too small."""


class NameTaken(MachineError):
    """Something of this name exists that the lab did not create; it stays untouched."""


class WrongVersion(MachineError):
    """A program is older than the pinned version."""


class UnsupportedPlatform(MachineError):
    """This backend does not work on this machine."""


def of_this_machine(error: OSError) -> MachineError | None:
    """``error`` as one of the machine's, if it is: a full or read-only disk, another user's file, too many open files."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space is left on the disk{where}", fix="free some space, then the same command again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MachineError(f"{error.strerror}{where}", fix="lab doctor (it says which files belong to another user)")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return MachineError(f"{error.strerror}{where}", fix="lab doctor (it says how many files may be open)")
    return None


class NotRunning(LabError):
    """No lab is up in this checkout."""


class OtherLabRunning(LabError):
    """Another checkout's lab runs on this machine."""


class OldLayout(LabError):
    """Another version of this program made this checkout's lab, or its record is damaged: only ``lab down`` understands it."""


class BuildError(LabError):
    """Compiling or verifying the embedded programs failed."""


class DownloadError(LabError):
    """A published file is not available."""


class SiteUnreachable(DownloadError):
    """Its site does not answer, or not to the end."""


class ChecksumMismatch(DownloadError):
    """It is not what its project published."""


class BundleError(LabError):
    """An offline bundle is damaged, or made for another machine or version; nothing was changed."""


class StepFailed(LabError):
    """A named step of bring-up or tear-down failed."""

    def __init__(self, step: str, message: str, *, fix: str = "") -> None:
        super().__init__(f"{step}: {message}", fix=fix)
        self.step = step


class CommandFailed(LabError):
    """A program the lab ran exited with an error."""

    def __init__(self, command: Sequence[str], returncode: int, output: str, *, fix: str = "") -> None:
        super().__init__(f"{' '.join(command)!r} exited with {returncode}: {output.strip()[-2000:]}", fix=fix)
        self.command = list(command)
        self.returncode = returncode
        self.output = output


class Taken(LabError):
    """Something else holds what a step needs; nothing was changed."""


class TimedOut(LabError):
    """Something did not become true in time."""


class NotFound(LabError):
    """A name that should exist does not."""

    def __init__(self, kind: str, name: str, known: Sequence[str] = (), *, fix: str = "") -> None:
        listing = f"; there are: {', '.join(sorted(known))}" if known else ""
        super().__init__(f"no {kind} named {name!r}{listing}", fix=fix)
        self.known = sorted(known)


class QueryError(LabError):
    """PromQL that Prometheus refused."""


class CheckFailed(LabError):
    """A notebook's check looked at the cluster and it was not as expected."""
