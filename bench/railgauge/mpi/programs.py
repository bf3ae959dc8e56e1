"""The `mpi` backend: a case as programs that call the MPI library's C functions."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from railgauge.buffers import Buffers
from railgauge.compute import HostCompute
from railgauge.dtypes import DTYPES, DType, dtype_named
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.layouts import Group as GroupFacts
from railgauge.legs import HostLeg
from railgauge.loop import Step, Table, execute, table
from railgauge.memory import HostMemory, Memory
from railgauge.mpi import calls
from railgauge.mpi.library import MPI, MpiGroup, cuda_aware, function_address, library_name
from railgauge.mpi.reducers import reduction_address, scale_address
from railgauge.needs import reads_clock
from railgauge.operations import OPERATIONS
from railgauge.plan import Case, Plan, cases
from railgauge.world import Bound, Plain, World

if TYPE_CHECKING:
    from railgauge.gpus.gpu import Gpu

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


class MpiBackend(Plain):
    """Programs that call the MPI library's C functions."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.library, self._plan, self._world = library_name(), plan, world
        self.memory: Memory = HostMemory()
        self._gpu: Gpu | None = None
        if plan.memory == "device":
            from railgauge.gpus.gpu import open_gpu

            self._gpu = open_gpu(plan, world)
            self.memory = self._gpu.memory
        self._ops: dict[tuple[str, str], Any] = {}

    # what the library can do --------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Raise UsageError for a dtype, reduction or call form that this MPI library lacks."""
        if plan.memory == "device":
            self._check_device(plan)
        for dtype in map(dtype_named, plan.dtypes):
            if plan.op_implementation == "user":
                continue
            if self._library_type(dtype) is None:
                raise self._lacking(f"--dtype {dtype.name}: no such MPI type")
            for op in plan.ops:
                if not self._reduces(dtype, op):
                    raise self._lacking(f"--dtype {dtype.name} --op {op}: no such reduction")
        for case in cases(plan):
            for symbol in calls.symbols(case, dtype_named(case.dtype).itemsize):
                if function_address(symbol) is None:
                    raise self._without(symbol, case)

    def _check_device(self, plan: Plan) -> None:
        if not cuda_aware():
            raise UsageError(
                f"--memory device: {self.library} says that it is not CUDA-aware: it would read a GPU's"
                " addresses as the host's.\n"
                "  expected: Open MPI with --with-cuda or UCX, MPICH with a GPU-aware build\n"
                "  next: railgauge run --backend nccl, or --memory host"
            )
        reduces = any(OPERATIONS[name].reduces for name in plan.operations)
        if reduces and (plan.op_implementation == "user" or "avg" in plan.ops):
            raise UsageError(
                "--memory device: a user-defined operation, and the division of avg, run on the CPU.\n"
                "  next: --op sum, or --memory host"
            )

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
        arguments = calls.Arguments(
            dtype=int(made.handle),
            itemsize=dtype.itemsize,
            op=self._op(plan, dtype, case.op) if case.op else 0,
            communicator=int(group.mpi.handle),
            in_place=int(MPI.IN_PLACE),
            info_null=int(MPI.INFO_NULL.handle),
            request_size=MPI._sizeof(MPI.Request),
            window=plan.window,
        )
        programs, spelt = [], []
        windowed = case.entry.windowed
        for slots in [buffers.slots] if windowed else [[slot] for slot in buffers.slots]:
            one = calls.program(case, facts, arguments, buffers.sends[0], slots)
            spelt.append(one)
            code = execute(self._table(one.setup))
            if code:
                raise NotMeasuredError(f"{case.describe()}: setting up: {self.explain(code)}")
            steps = self._steps(one)
            if case.op == "avg" and buffers.layout.receives:
                count = sum(s.count for s in buffers.layout.expected)
                steps.append(Step(scale_address(dtype), (slots[0], count, facts.n)))
            programs.append(table(steps))
        requests = [request for one in spelt for request in one.requests]
        stacked = np.stack(programs)
        return Bound(
            programs=stacked,
            leg=HostLeg(stacked, reads_clock(case, facts)),
            compute=HostCompute(),
            waits_at=calls.waits_at(spelt[0].iteration),
            barrier=group.barrier_program(),
            close=lambda: self._free(requests),
            keep=[spelt, arguments],
            flow_clock=spelt[0].clock,
        )

    def _free(self, requests: Sequence[int]) -> None:
        execute(self._table([("MPI_Request_free", (request,)) for request in requests]))

    def _steps(self, spelt: calls.Calls) -> list[Step]:
        """The steps of one iteration; a message of `flows` is waited for by its clock."""
        return [
            spelt.clock.step(self._address("MPI_Waitsome"))
            if name == calls.WAIT_EACH and spelt.clock
            else Step(self._address(name), arguments)
            for name, arguments in spelt.iteration
        ]

    def _table(self, steps: Sequence[calls.CallArguments]) -> Table:
        return table([Step(self._address(name), arguments) for name, arguments in steps])

    def _address(self, name: str) -> int:
        address = function_address(name)
        if address is None:
            raise UsageError(f"this MPI library has no {name}.\n  next: railgauge list")
        return address

    def explain(self, code: int) -> str:
        """The library's own words for an error code."""
        return str(MPI.Get_error_string(code))

    # what other backends have to do -----------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return self._gpu.facts() if self._gpu else {}

    def prepare(self) -> None:
        """On the host the loops are all that is compiled."""
        if self._gpu:
            self._gpu.prepare(self._plan, self._world, ())

    def close(self) -> None:
        """MPI_Finalize is the control plane's."""
        if self._gpu:
            self._gpu.close()
