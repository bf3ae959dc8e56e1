"""Where buffers lie, and who fills and checks them there.

`Memory` is the boundary: host memory here, device memory in `railgauge.gpus.memory`. Fills and checks
are steps of a program, so that they run inside the compiled loops.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from railgauge.inputs import Checker, guard_check_address, new_report
from railgauge.loop import MEMSET, Step, Table, execute, table


class Checks(Protocol):
    """Fills and checks one case's data; what checks found lies in `report` and `guard_report`.

    Both are int64[4] on the host (see `railgauge.inputs`), and true once `done()` has run too.
    """

    report: Table
    guard_report: Table

    def fill(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        """Write elements start ... start+count of `rank`'s stream (or of REDUCED)."""

    def spoil(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        """Write the complement of what `fill` writes."""

    def check(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        """Compare with what `fill` writes; adds to `report`."""

    def guard(self, at: int, nbytes: int, byte: int) -> list[Step]:
        """Compare every byte with `byte`; adds to `guard_report`."""

    def done(self) -> list[Step]:
        """Steps that wait for those before them and bring the reports to the host."""

    def forget_guards(self) -> None:
        """Empty `guard_report`."""

    def close(self) -> None:
        """Give back what the checks themselves take."""


class Memory(Protocol):
    """Memory of one kind, on one rank."""

    def allocate(self, nbytes: int, byte: int, on_host: bool = False) -> int:
        """Address of that many bytes, all of them `byte`; on a page.

        `on_host`: host memory that the device can reach. Raises NotMeasuredError.
        """

    def free(self, address: int) -> None:
        """Give an allocation back."""

    def available(self) -> int:
        """Bytes that new allocations may take."""

    def checks(self, itemsize: int, record: npt.NDArray[np.int64]) -> Checks:
        """What fills and checks elements of that width with a `railgauge.inputs.data_record`."""


class HostMemory:
    """Anonymous private memory; shared one is a file in memory, which gets no huge pages."""

    def __init__(self) -> None:
        self._maps: dict[int, mmap.mmap] = {}

    def allocate(self, nbytes: int, byte: int, on_host: bool = False) -> int:
        del on_host  # it always is
        made = mmap.mmap(-1, max(1, nbytes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = int(np.frombuffer(made, np.uint8).ctypes.data)
        execute(table([Step(MEMSET, (address, byte, nbytes))]))
        self._maps[address] = made
        return address

    def free(self, address: int) -> None:
        self._maps.pop(address).close()

    def available(self) -> int:
        return available_memory()

    def checks(self, itemsize: int, record: npt.NDArray[np.int64]) -> Checks:
        return HostChecks(itemsize, record)


class HostChecks:
    """`Checks` of host memory: compiled functions that act at once."""

    def __init__(self, itemsize: int, record: npt.NDArray[np.int64]) -> None:
        self._checker, self._record = Checker(itemsize), record
        self.report, self.guard_report = new_report(), new_report()

    def fill(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        return [self._checker.fill(at, count, self._record, rank, start)]

    def spoil(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        return [self._checker.spoil(at, count, self._record, rank, start)]

    def check(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        return [self._checker.check(at, count, self._record, rank, start, self.report)]

    def guard(self, at: int, nbytes: int, byte: int) -> list[Step]:
        return [Step(guard_check_address(), (at, nbytes, byte, self.guard_report.ctypes.data))]

    def done(self) -> list[Step]:
        return []

    def forget_guards(self) -> None:
        self.guard_report[:] = 0

    def close(self) -> None:
        """Nothing is held."""


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that new allocations may take: MemAvailable of the host, or less that a cgroup leaves."""
    host = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in lines_of(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            host = int(line.split()[1]) * 1024
    return min([host, *_left_by_cgroups(root)])


def _left_by_cgroups(root: Path) -> Iterator[int]:
    """Bytes left below the limit of each memory cgroup that this process is in (versions 1 and 2).

    A container may see the host's path and only its own folder, the top one: what is missing in
    between is passed over. Cached files are given back under pressure, so they count as free.
    """
    for line in lines_of(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        inner = top / path.strip("/")
        for folder in (inner, *inner.parents):
            most, used = lines_of(folder / limit), lines_of(folder / usage)
            if most and used and most[0] != "max":
                cached = (
                    s.split()[1]
                    for s in lines_of(folder / "memory.stat")
                    if s.startswith("inactive_file ")
                )
                yield max(0, int(most[0]) - int(used[0]) + int(next(cached, 0)))
            if folder == top:
                break


def lines_of(path: Path) -> list[str]:
    """The lines of a file, none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
