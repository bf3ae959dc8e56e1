"""The MPI library: the control plane of every run, whatever moves the data.

The one module that imports mpi4py. MPI is entered at thread level FUNNELED, the least that a
process with a watchdog thread may ask for: mpi4py's own default, MULTIPLE, costs a factor of 1.6
to 6 at 8 B (README, "Thread level"). C functions are taken by address from the library that
mpi4py runs on, an interposed library (LD_PRELOAD) first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mpi4py
import numpy as np
import numpy.typing as npt

from railgauge.launching.launchers import no_mpi

mpi4py.rc.initialize = False  # importing MPI would enter it at MULTIPLE, and hold the GIL
try:
    from mpi4py import MPI as MPI  # for the programs of the backend too
except (ImportError, RuntimeError) as error:  # mpi4py looked for a library in vain
    raise no_mpi(str(error).replace("\n", "\n  | ")) from None

from railgauge.errors import NotMeasuredError  # noqa: E402
from railgauge.loop import Step, Table, table  # noqa: E402
from railgauge.world import Place  # noqa: E402

THREAD_LEVELS = {
    MPI.THREAD_SINGLE: "single",
    MPI.THREAD_FUNNELED: "funneled",
    MPI.THREAD_SERIALIZED: "serialized",
    MPI.THREAD_MULTIPLE: "multiple",
}
_INTERPOSED, _LIBRARY = ctypes.CDLL(None), ctypes.CDLL(MPI.__file__)


def _initialise() -> float:
    """MPI_Init_thread at FUNNELED, without the GIL: the watchdog's thread goes on. Its seconds."""
    before = time.perf_counter()
    _LIBRARY.MPI_Init_thread(None, None, MPI.THREAD_FUNNELED, ctypes.byref(ctypes.c_int()))
    seconds = time.perf_counter() - before
    for communicator in (MPI.COMM_WORLD, MPI.COMM_SELF):
        communicator.Set_errhandler(MPI.ERRORS_RETURN)  # as mpi4py does: errors are exceptions
    return seconds


INIT_SECONDS = _initialise()


def function_address(name: str) -> int | None:
    """Address of an MPI C function, None where the library has none."""
    for library in (_INTERPOSED, _LIBRARY):
        with contextlib.suppress(AttributeError):
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    return None


def library_name() -> str:
    """`MPICH 5.0.2`, `Open MPI v5.0.11`: the first words of MPI_Get_library_version."""
    words = re.split(r"[,\n]", MPI.Get_library_version())[0].replace("Version:", "").split()
    return " ".join(words)


def cuda_aware() -> bool:
    """Does the library say that it takes addresses of CUDA memory?

    Open MPI: MPIX_Query_cuda_support (mpi-ext.h). MPICH: MPIX_GPU_query_support with
    MPIX_GPU_SUPPORT_CUDA = 0 (mpi_proto.h); a library with neither does not.
    """
    if "MPICH" in library_name():
        found = ctypes.c_int(0)
        asked = function_address("MPIX_GPU_query_support")
        if asked is None:
            return False
        query = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(asked)
        return query(0, ctypes.addressof(found)) == 0 and found.value == 1
    asked = function_address("MPIX_Query_cuda_support")
    return asked is not None and ctypes.CFUNCTYPE(ctypes.c_int)(asked)() == 1


class MpiGroup:
    """A communicator with the few things that the control plane needs."""

    def __init__(self, communicator: MPI.Comm) -> None:
        self.mpi = MPI.Intracomm(communicator)
        self.rank, self.size = communicator.rank, communicator.size

    def barrier(self) -> None:
        self.mpi.Barrier()

    def broadcast(self, value: Any, root: int = 0) -> Any:
        return self.mpi.bcast(value, root)

    def gather(self, value: Any) -> list[Any] | None:
        return self.mpi.gather(value)

    def all_gather(self, value: Any) -> list[Any]:
        return self.mpi.allgather(value)

    def maximum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Element by element, the largest value of any rank."""
        result = np.empty_like(values)
        self.mpi.Allreduce(values, result, MPI.MAX)
        return result

    def gather_values(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """The values of all ranks one after the other, int64 [total], on rank 0 (None elsewhere)."""
        flat = np.ascontiguousarray(values).ravel()
        counts = self.mpi.gather(flat.size)
        result = np.empty(sum(counts), np.int64) if counts is not None else None
        self.mpi.Gatherv(flat, None if result is None else (result, counts))
        return result

    def barrier_program(self) -> Table:
        address = function_address("MPI_Barrier")
        assert address is not None
        return table([Step(address, (int(self.mpi.handle),))])

    def free(self) -> None:
        self.mpi.Free()

    def exchange_clocks(
        self, peer: int, rounds: int, clock: Callable[[], int]
    ) -> list[tuple[int, int, int]]:
        """Rank `peer` asks rank 0 for its clock `rounds` times; (sent, answered, received) there."""
        stamp = np.zeros(1, np.int64)
        if self.rank == 0:
            for _ in range(rounds):
                self.mpi.Recv(stamp, peer)
                stamp[0] = clock()
                self.mpi.Send(stamp, peer)
        if self.rank != peer:
            return []
        made = []
        for _ in range(rounds):
            sent = clock()
            self.mpi.Send(stamp, 0)
            self.mpi.Recv(stamp, 0)
            made.append((sent, int(stamp[0]), clock()))
        return made


class MpiWorld(MpiGroup):
    """COMM_WORLD, the ranks of each node, and where everybody runs."""

    def __init__(self) -> None:
        super().__init__(MPI.COMM_WORLD)
        self.thread_level = THREAD_LEVELS[MPI.Query_thread()]
        self.library = library_name()
        self.init_seconds = INIT_SECONDS
        self.node = MpiGroup(self.mpi.Split_type(MPI.COMM_TYPE_SHARED))
        leads = self.mpi.Split(0 if self.node.rank == 0 else MPI.UNDEFINED)
        self.leaders = MpiGroup(leads) if leads != MPI.COMM_NULL else None
        index = self.node.broadcast(self.leaders.rank if self.leaders else None)
        self.places: Sequence[Place] = self.all_gather(
            Place(self.rank, socket.gethostname(), index, self.node.rank, os.getpid())
        )

    def meet(self) -> Callable[[], bool]:
        """MPI_Ibarrier, and MPI_Test of it."""
        request = self.mpi.Ibarrier()
        return lambda: bool(request.Test())

    def split(self, ranks: Sequence[int] | None) -> MpiGroup | None:
        """The communicator of `ranks` (ascending, the same tuple on all of them)."""
        color = MPI.UNDEFINED if ranks is None else min(ranks)
        made = self.mpi.Split(color, self.rank)
        return MpiGroup(made) if made != MPI.COMM_NULL else None

    def in_turns(self, work: Callable[[], None]) -> None:
        """Rank 0, then the first rank of every node, then the rest; the first error ends all."""
        turn = 0 if self.rank == 0 else 1 if self.node.rank == 0 else 2
        for now in range(3):
            failure = None
            if turn == now:
                try:
                    work()
                except Exception as error:  # reported by all, so that no rank waits for ever
                    failure = f"rank {self.rank}: {type(error).__name__}: {error}"
            failures = [f for f in self.all_gather(failure) if f]
            if failures:
                raise NotMeasuredError(f"preparing the compiled loops failed.\n  {failures[0]}")


def finalize() -> None:
    """MPI_Finalize, once."""
    if not MPI.Is_finalized():
        _LIBRARY.MPI_Finalize()  # without the GIL, as MPI_Init


def abort(code: int) -> None:
    """End the whole job from one rank; does not return."""
    MPI.COMM_WORLD.Abort(code)


@contextlib.contextmanager
def timed_communicator(world: MpiWorld) -> Iterator[Callable[[], float]]:
    """Duplicate COMM_WORLD and say how long it took: communicator creation is a result too."""
    world.barrier()
    before = time.perf_counter()
    made = world.mpi.Dup()
    seconds = time.perf_counter() - before
    try:
        yield lambda: seconds
    finally:
        made.Free()
