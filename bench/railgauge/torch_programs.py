"""The `torch` backend: a case as programs that call back into Python, which calls torch.distributed.

That is what PyTorch's users pay for, so here Python does stand between two stamps: a step is a C
function that takes the GIL and makes the call. On the GPU, torch works on our stream, whose clock
stamps the iterations.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import datetime
import functools
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from railgauge.buffers import Buffers
from railgauge.compute import HostCompute
from railgauge.dtypes import DType, dtype_named
from railgauge.errors import HostError, NotMeasuredError, UsageError
from railgauge.layouts import Group as GroupFacts
from railgauge.layouts import partner, vector_counts
from railgauge.legs import HostLeg
from railgauge.loop import Step, c_address, table
from railgauge.memory import HostMemory, Memory
from railgauge.needs import reads_clock
from railgauge.operations import OPERATIONS
from railgauge.plan import Case, Plan
from railgauge.world import Bound, Plain, World, together

try:
    import torch
    import torch.distributed as dist
except ImportError as error:
    raise HostError(
        f"--backend torch needs PyTorch ({error}) on {socket.gethostname()}.\n"
        "  next: pip install 'railgauge[torch]'"
    ) from None

if TYPE_CHECKING:
    from railgauge.gpus.gpu import Gpu
    from railgauge.gpus.leg import DeviceTiming

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)
FAILED = 1
# named anew in PyTorch 2.13, which warns of the old names
_ALL_GATHER = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)
_REDUCE_SCATTER = getattr(dist, "reduce_scatter_single", dist.reduce_scatter_tensor)
_OPS = {"sum": "SUM", "prod": "PRODUCT", "min": "MIN", "max": "MAX", "avg": "AVG"}
_GLOO_OPS = ("sum", "prod", "min", "max")


class TorchBackend(Plain):
    """torch.distributed over one process group a round."""

    memory: Memory

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._gpu: Gpu | None = None
        self._timing: DeviceTiming | None = None
        self._failure = ""
        self._groups: dict[int, Any] = {}
        self._ranks: dict[int, list[int]] = {}
        self.memory = HostMemory()
        self._kind = "gloo"
        if plan.memory == "device":
            from railgauge.gpus.gpu import open_gpu

            self._gpu = open_gpu(plan, world)
            self.memory, self._kind = self._gpu.memory, "nccl"
            torch.cuda.set_device(self._gpu.device.facts.index)
            ours = torch.cuda.ExternalStream(self._gpu.device.stream)  # type: ignore[no-untyped-call]
            torch.cuda.set_stream(ours)
        self.library = f"PyTorch {torch.__version__}, {self._kind}"
        together(world, self._initialise)

    def _initialise(self) -> None:
        """The default process group, met through a store on rank 0 that MPI tells of."""
        world = self._world
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        host, port = world.broadcast((world.places[0].host, port))
        one_host = len({place.host for place in world.places}) == 1
        store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1" if one_host else host,
            port,
            world.size,
            is_master=world.rank == 0,
            timeout=datetime.timedelta(seconds=self._plan.timeout),
        )
        try:
            dist.init_process_group(self._kind, store=store, rank=world.rank, world_size=world.size)
        except RuntimeError as error:
            raise NotMeasuredError(f"torch.distributed: {error}") from None

    # what the library can do ----------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Raise UsageError for what gloo lacks."""
        if self._kind != "gloo":
            return
        reduces = any(OPERATIONS[name].reduces for name in plan.operations)
        if lacking := [op for op in plan.ops if op not in _GLOO_OPS]:
            raise UsageError(
                f"--op {lacking[0]}: gloo has no such reduction.\n  allowed: {', '.join(_GLOO_OPS)}"
            )
        narrow = [name for name in plan.dtypes if name.startswith("float8")]
        if reduces and narrow:
            raise UsageError(
                f"--dtype {narrow[0]}: gloo cannot reduce it.\n  next: --dtype bfloat16"
            )

    def facts(self) -> dict[str, Any]:
        return self._gpu.facts() if self._gpu else {}

    def prepare(self) -> None:
        """Compile the kernels that fill, check and stamp on the GPU."""
        if self._gpu:
            from railgauge.gpus.leg import DeviceTiming

            self._gpu.prepare(self._plan, self._world, DeviceTiming.needs(self._plan))
            self._timing = DeviceTiming(self._gpu.device, self._gpu.kernels)

    # groups -----------------------------------------------------------------------------------------

    def enter(self, group: Any) -> float | None:
        """A process group of the ranks of `group`; the seconds that its making took."""
        ranks = group.all_gather(self._world.rank)
        group.barrier()
        before = time.perf_counter()
        made = dist.new_group(ranks, use_local_synchronization=True)
        self._groups[id(group)], self._ranks[id(group)] = made, ranks
        return time.perf_counter() - before

    def leave(self, group: Any) -> None:
        dist.destroy_process_group(self._groups.pop(id(group)))
        del self._ranks[id(group)]

    # programs -----------------------------------------------------------------------------------------

    def bind(
        self, plan: Plan, case: Case, facts: GroupFacts, group: Any, buffers: Buffers
    ) -> Bound:
        """One callback an iteration, or two where it starts and waits apart."""
        closes = contextlib.ExitStack()
        kept: list[Any] = []
        programs = []
        for k, slot in enumerate(buffers.slots):
            call = self._call(case, facts, group, buffers, k, slot)
            parts: list[Callable[[], object]] = [functools.partial(call, False)]
            if case.call == "nonblocking":
                parts = _Pending(call).parts()
            steps = [self._step(part, kept) for part in parts]
            programs.append(table(steps))
        bare = np.stack(programs)
        waits_at = 1 if case.call == "nonblocking" else bare.shape[1]
        if self._timing:
            bound = self._timing.bound(plan, case, facts, group, bare, closes)
            return dataclasses.replace(bound, waits_at=waits_at, keep=kept)
        return Bound(
            programs=bare,
            waits_at=waits_at,
            barrier=group.barrier_program(),
            leg=HostLeg(bare, reads_clock(case, facts)),
            compute=HostCompute(),
            close=closes.close,
            keep=kept,
        )

    def _step(self, part: Callable[[], object], kept: list[Any]) -> Step:
        def called() -> int:
            try:
                part()
            except Exception as error:  # it must not pass through C
                self._failure = f"{type(error).__name__}: {error}"
                return FAILED
            return 0

        function = CALLBACK(called)
        kept.append(function)
        return Step(c_address(function), ())

    def _tensor(self, at: int, count: int, dtype: DType) -> torch.Tensor:
        """`count` elements at an address, of which torch takes nothing over."""
        kind = getattr(torch, dtype.name)
        nbytes = max(1, count) * dtype.itemsize
        if self._gpu is None:
            raw = torch.frombuffer((ctypes.c_uint8 * nbytes).from_address(at), dtype=torch.uint8)
        else:
            raw = torch.as_tensor(_DeviceBytes(at, nbytes), device="cuda")
        return raw.view(kind)[:count]

    def _call(
        self, case: Case, g: GroupFacts, group: Any, buffers: Buffers, k: int, slot: int
    ) -> Callable[[bool], Any]:
        """The call of one iteration: given whether to return at once, it returns works to wait for."""
        dtype, me = dtype_named(case.dtype), g.me
        layout, members = buffers.layout, self._ranks[id(group)]
        common = {"group": self._groups[id(group)]}
        root = members[case.root or 0]
        send = self._tensor(buffers.sends[k % len(buffers.sends)], layout.sends, dtype)
        receive = self._tensor(slot, layout.receives, dtype)
        if case.operation == "all_reduce":
            op = getattr(dist.ReduceOp, _OPS[case.op or "sum"])
            return lambda later: dist.all_reduce(receive, op, async_op=later, **common)
        if case.operation == "reduce_scatter":
            op = getattr(dist.ReduceOp, _OPS[case.op or "sum"])
            return lambda later: _REDUCE_SCATTER(receive, send, op, async_op=later, **common)
        if case.operation == "all_gather":
            return lambda later: _ALL_GATHER(receive, send, async_op=later, **common)
        if case.operation == "broadcast":
            return lambda later: dist.broadcast(receive, root, async_op=later, **common)
        if case.operation == "gather":
            blocks = list(receive.chunk(g.n)) if me == g.root else None
            return lambda later: dist.gather(send, blocks, root, async_op=later, **common)
        if case.operation == "scatter":
            blocks = list(send.chunk(g.n)) if me == g.root else None
            return lambda later: dist.scatter(receive, blocks, root, async_op=later, **common)
        if case.operation in ("alltoall", "alltoallv"):
            outgoing, incoming = [g.count] * g.n, [g.count] * g.n
            if case.operation == "alltoallv":
                outgoing, incoming = vector_counts(g)
            return lambda later: dist.all_to_all_single(
                receive, send, incoming, outgoing, async_op=later, **common
            )
        if case.operation == "barrier":
            return lambda later: dist.barrier(async_op=later, **common)
        if case.operation == "sendrecv":
            after, before = members[(me + 1) % g.n], members[(me - 1) % g.n]
            return lambda later: _exchanged(send, receive, after, before, later, common["group"])
        return self._ping_pong(send, receive, members[partner(me, g.n)], me < g.n // 2, common)

    def _ping_pong(
        self, send: Any, receive: Any, peer: int, first: bool, common: dict[str, Any]
    ) -> Callable[[bool], Any]:
        def call(_later: bool) -> None:
            if first:
                dist.send(send, peer, **common)
                dist.recv(receive, peer, **common)
            else:
                dist.recv(receive, peer, **common)
                dist.send(send, peer, **common)

        return call

    # how it goes --------------------------------------------------------------------------------------

    def explain(self, code: int) -> str:
        """What Python raised; other codes are the CUDA driver's."""
        if code != FAILED:
            from railgauge.gpus import cuda

            return cuda.explain(code)
        return f"torch.distributed: {self._failure}"

    def abort(self) -> None:
        """Let go of the process groups: calls that wait for other ranks return."""
        with contextlib.suppress(Exception):
            for group in self._groups.values():
                group.abort()

    def close(self) -> None:
        dist.destroy_process_group()
        if self._timing:
            self._timing.close()
        if self._gpu:
            self._gpu.close()


class _DeviceBytes:
    """Device memory as torch takes it over without a copy (CUDA array interface, version 3)."""

    def __init__(self, at: int, nbytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (at, False),
            "version": 3,
        }


class _Pending:
    """A call in two parts: start it, wait for it."""

    def __init__(self, call: Callable[[bool], Any]) -> None:
        self._call = call
        self._works: list[Any] = []

    def parts(self) -> list[Callable[[], object]]:
        return [self._start, self._wait]

    def _start(self) -> None:
        made = self._call(True)
        self._works = made if isinstance(made, list) else [made] if made is not None else []

    def _wait(self) -> None:
        for work in self._works:
            work.wait()


def _exchanged(
    send: Any, receive: Any, after: int, before: int, later: bool, group: Any
) -> list[Any]:
    """To the next rank and from the one before, at once; the works, waited for unless `later`."""
    operations = [
        dist.P2POp(dist.isend, send, after, group),
        dist.P2POp(dist.irecv, receive, before, group),
    ]
    works = list(dist.batch_isend_irecv(operations))
    if not later:
        for work in works:
            work.wait()
    return works
