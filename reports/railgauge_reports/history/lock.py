"""One at a time in a history, also where several hosts share its file system.

    with locked(history, "nightly"):
        ...

The lock is a file that only one can make: a file of a name of its own is linked to the lock's name, which
is atomic on NFS, where O_EXCL was not always, and on Lustre. It says who holds it. Where its holder was on
this host and is gone (no such process, or another one under that number, or the host was started since), it
is taken over. Of a holder on another host, or in another container, nobody here can tell whether it lives:
the error names host, process and age. Readers need no lock: what they read is replaced whole, or only grows.
"""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from railgauge.errors import NotMeasuredError
from railgauge.linux.kernel import boot_id
from railgauge.units import format_seconds

_PAUSE_SECONDS = 0.2


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock; `began` is the start of the process in clock ticks since its host's boot.

    `space` is the namespace in which `pid` is a number: containers of one host have their own.
    """

    host: str
    pid: int
    boot: str
    space: str
    began: int
    since: float
    what: str

    def sentence(self) -> str:
        """`nightly on login1, process 4711, for 12 min`."""
        age = max(0.0, time.time() - self.since)
        told = format_seconds(age) if age < 120 else f"{age / 60:.0f} min"
        if age >= 2 * 3600:
            told = f"{age / 3600:.0f} h"
        return f"{self.what} on {self.host}, process {self.pid}, for {told}"

    @property
    def is_gone(self) -> bool:
        """Was it on this host, and is it no more? Of other hosts: False, nobody knows."""
        if self.host != platform.node():
            return False
        if self.boot != boot_id():
            return True
        return self.space == _space() and self.began != _began(self.pid)


class HeldError(NotMeasuredError):
    """Somebody else holds the lock; `holder` is None where the file does not say who."""

    def __init__(self, message: str, holder: Holder | None) -> None:
        super().__init__(message)
        self.holder = holder


def lock_path(folder: Path, what: str) -> Path:
    """The file of the lock of that name."""
    return folder / f".railgauge-{what}.lock"


@contextlib.contextmanager
def locked(folder: Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock `what` of the folder; raises HeldError after `wait` seconds, where another one has it.

    Raises NotMeasuredError where the folder takes no files.
    """
    path = lock_path(folder, what)
    own = Holder(
        host=platform.node(),
        pid=os.getpid(),
        boot=boot_id(),
        space=_space(),
        began=_began(os.getpid()),
        since=time.time(),
        what=what,
    )
    until = time.monotonic() + wait
    while not _taken(path, own):
        holder = _holder(path)
        if holder is not None and holder.is_gone:
            _take_away(path, holder)
            continue
        if holder is None and not path.exists():
            continue  # it was given back meanwhile
        if time.monotonic() >= until:
            raise _held(path, holder)
        time.sleep(min(_PAUSE_SECONDS, max(0.0, until - time.monotonic())))
    try:
        yield
    finally:
        if _holder(path) == own:
            path.unlink(missing_ok=True)


def _taken(path: Path, own: Holder) -> bool:
    """Did the lock become ours?"""
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.encode(own))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
            # a reply that NFS lost leaves an error for a link that was made: the count knows
            return temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise NotMeasuredError(
            f"{path}: {error.strerror or error}.\n"
            f"  expected: a folder that this user may write\n  next: ls -ld {path.parent}"
        ) from None


def _holder(path: Path) -> Holder | None:
    """Who holds it; None where it is free by now, or the file is no lock of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None


def _take_away(path: Path, holder: Holder) -> None:
    """Remove the lock of one that is gone, unless somebody else has done so and holds it now."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.gone")
    with contextlib.suppress(OSError):
        path.rename(aside)
        if _holder(aside) != holder:
            path.hardlink_to(aside)  # it was another one's: back with it
        aside.unlink(missing_ok=True)


def _held(path: Path, holder: Holder | None) -> HeldError:
    who = holder.sentence() if holder else "somebody, and the file does not say who"
    return HeldError(
        f"{path.parent} is locked: {who}.\n"
        "  expected: one at a time\n"
        f"  next: wait for its end; where that process is gone for certain: rm {path}",
        holder,
    )


def _began(pid: int) -> int:
    """When a process began, in ticks since boot; -1 where there is none (proc(5), stat, field 22)."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return -1
    return int(told.rpartition(")")[2].split()[19])


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
