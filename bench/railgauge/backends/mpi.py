"""MPI on host memory: the control plane of every run, and the `mpi` backend.

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

from railgauge.launchers import no_mpi

mpi4py.rc.initialize = False  # importing MPI would enter it at MULTIPLE, and hold the GIL
try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:  # mpi4py looked for a library in vain
    raise no_mpi(str(error).replace("\n", "\n  | ")) from None

from railgauge import mpi_calls  # noqa: E402
from railgauge.buffers import Buffers  # noqa: E402
from railgauge.dtypes import DTYPES, DType, dtype_named  # noqa: E402
from railgauge.errors import NotMeasuredError, UsageError  # noqa: E402
from railgauge.layouts import Group as GroupFacts  # noqa: E402
from railgauge.loop import Step, Table, execute, table  # noqa: E402
from railgauge.plan import Case, Plan, cases  # noqa: E402
from railgauge.reducers import reduction_address, scale_address  # noqa: E402
from railgauge.world import Bound, Place  # noqa: E402

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
_MPI_TYPES = {
    **{name: f"{name.upper()}_T" for name in DTYPES if "int" in name},
    "float16": "FLOAT16_T",
    "bfloat16": "BFLOAT16_T",
    "float32": "FLOAT",
    "float64": "DOUBLE",
}
#: MPIX_BFLOAT16 of MPICH 5 (mpi.h), which mpi4py 4.1 does not name; believed if the type says so.
_MPICH_BFLOAT16 = 0x4C00024C
#: What MPICH 5 reduces bfloat16 by; for others it ends the process instead of returning an error.
_BFLOAT16_OPS = ("sum", "avg")
_MPI_OPS = {"sum": MPI.SUM, "avg": MPI.SUM, "prod": MPI.PROD, "min": MPI.MIN, "max": MPI.MAX}


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


class MpiBackend:
    """Programs that call the MPI library's C functions."""

    def __init__(self) -> None:
        self._ops: dict[tuple[str, str], Any] = {}

    # what the library can do --------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Raise UsageError for a dtype, reduction or call form that this MPI library lacks."""
        for dtype in map(dtype_named, plan.dtypes):
            if plan.op_implementation == "user":
                continue
            if self._library_type(dtype) is None:
                raise self._lacking(f"--dtype {dtype.name}: no such MPI type")
            for op in plan.ops:
                if not self._reduces(dtype, op):
                    raise self._lacking(f"--dtype {dtype.name} --op {op}: no such reduction")
        for case in cases(plan):
            for symbol in mpi_calls.symbols(case, dtype_named(case.dtype).itemsize):
                if function_address(symbol) is None:
                    raise self._without(symbol, case)

    def _without(self, symbol: str, case: Case) -> UsageError:
        what, advice = "persistent collectives", "--call blocking"
        if symbol.endswith("_c"):
            what, advice = (
                "counts of 2^31 elements and more",
                "with smaller sizes, or wider --dtype",
            )
        return UsageError(
            f"{case.describe()}: {library_name()} has no {symbol} ({what} came with MPI-4).\n"
            f"  next: railgauge run {advice}"
        )

    def _lacking(self, what: str) -> UsageError:
        return UsageError(
            f"{what} in {library_name()}.\n"
            "  next: --op-implementation user (a compiled user-defined operation), or another dtype"
        )

    def _library_type(self, dtype: DType) -> MPI.Datatype | None:
        made = getattr(MPI, _MPI_TYPES[dtype.name], MPI.DATATYPE_NULL)
        integers = MPI._sizeof(MPI.Datatype) == 4  # handles: elsewhere they are pointers
        if made == MPI.DATATYPE_NULL and dtype.name == "bfloat16" and integers:
            with contextlib.suppress(MPI.Exception):
                made = MPI.Datatype.fromhandle(_MPICH_BFLOAT16)
                made = made if "BFLOAT16" in made.Get_name() else MPI.DATATYPE_NULL
        return None if made == MPI.DATATYPE_NULL or made.Get_size() != dtype.itemsize else made

    def _reduces(self, dtype: DType, op: str) -> bool:
        if dtype.name == "bfloat16" and op not in _BFLOAT16_OPS:
            return False
        made = self._library_type(dtype)
        one = np.ones(dtype.itemsize, np.uint8)
        try:
            _MPI_OPS[op].Reduce_local([one, 1, made], [one.copy(), 1, made])
        except MPI.Exception:
            return False
        return True

    def _type(self, plan: Plan, dtype: DType) -> MPI.Datatype:
        made = self._library_type(dtype)
        if made is None and plan.op_implementation == "user":
            return MPI.UINT16_T  # carries the two bytes; only user-defined operations look inside
        assert made is not None
        return made

    def _op(self, plan: Plan, dtype: DType, op: str) -> int:
        if plan.op_implementation == "library":
            return int(_MPI_OPS[op].handle)
        if (dtype.name, op) not in self._ops:
            cell = (ctypes.c_uint64 * 1)()
            create = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
                function_address("MPI_Op_create") or 0
            )
            create(reduction_address(dtype, op), 1, ctypes.addressof(cell))
            width = MPI._sizeof(MPI.Op)
            self._ops[dtype.name, op] = int.from_bytes(bytes(cell)[:width], "little")
        return int(self._ops[dtype.name, op])

    # programs ------------------------------------------------------------------------------------

    def bind(
        self,
        plan: Plan,
        case: Case,
        facts: GroupFacts,
        group: MpiGroup,
        buffers: Buffers,
    ) -> Bound:
        """The steps of one iteration for each set of buffers of this rank."""
        dtype = dtype_named(case.dtype)
        made = self._type(plan, dtype)
        arguments = mpi_calls.Arguments(
            dtype=int(made.handle),
            itemsize=dtype.itemsize,
            op=self._op(plan, dtype, case.op) if case.op else 0,
            communicator=int(group.mpi.handle),
            in_place=int(MPI.IN_PLACE),
            info_null=int(MPI.INFO_NULL.handle),
            request_size=MPI._sizeof(MPI.Request),
            window=plan.window,
        )
        programs, made_calls = [], []
        windowed = case.entry.windowed
        for slots in [buffers.slots] if windowed else [[slot] for slot in buffers.slots]:
            calls = mpi_calls.program(case, facts, arguments, buffers.send, slots)
            made_calls.append(calls)
            code = execute(self._table(calls.setup))
            if code:
                raise NotMeasuredError(f"{case.describe()}: setting up: {self.explain(code)}")
            steps = self._steps(calls.iteration)
            if case.op == "avg" and buffers.layout.receives:
                count = sum(s.count for s in buffers.layout.expected)
                steps.append(Step(scale_address(dtype), (slots[0], count, facts.n)))
            programs.append(table(steps))
        handle = int(group.mpi.handle)
        requests = [request for calls in made_calls for request in calls.requests]
        return Bound(
            programs=np.stack(programs),
            waits_at=mpi_calls.waits_at(made_calls[0].iteration),
            barrier=self._table([("MPI_Barrier", (handle,))]),
            close=lambda: self._free(requests),
            keep=[made_calls, arguments],
        )

    def _free(self, requests: Sequence[int]) -> None:
        execute(self._table([("MPI_Request_free", (request,)) for request in requests]))

    def _steps(self, calls: Sequence[mpi_calls.CallArguments]) -> list[Step]:
        return [Step(self._address(name), arguments) for name, arguments in calls]

    def _table(self, calls: Sequence[mpi_calls.CallArguments]) -> Table:
        return table(self._steps(calls))

    def _address(self, name: str) -> int:
        address = function_address(name)
        if address is None:
            raise UsageError(f"this MPI library has no {name}.\n  next: railgauge list")
        return address

    def explain(self, code: int) -> str:
        """The library's own words for an error code."""
        return str(MPI.Get_error_string(code))


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
