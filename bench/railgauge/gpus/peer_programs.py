"""The `peer` backend: an all-reduce as one kernel on every GPU, which reads and writes the others' memory.

What NCCL adds at small sizes is the difference to this; and where copies between two GPUs fail here
too, NCCL is not the reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import Any

import numpy as np

from railgauge.buffers import Buffers
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.gpus import cuda
from railgauge.gpus.copies import Copies
from railgauge.gpus.cuda import Launches
from railgauge.gpus.gpu import open_gpu
from railgauge.gpus.leg import DeviceTiming
from railgauge.gpus.peers import reached
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import Step, table
from railgauge.memory import Memory
from railgauge.plan import Case, Plan, cases
from railgauge.records import Allowed, Choice
from railgauge.units import NANOSECONDS
from railgauge.world import Bound, Plain, World
from railgauge_kernels import reducing
from railgauge_kernels.ladders import Kernel

#: Lines for two calls and every rank lie in each GPU's memory: 4 x ranks x size.
MOST_LINES = 1 << 20
_WORD = 8


class PeerBackend(Plain):
    """One GPU of a node whose GPUs all reach each other's memory."""

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._gpu = open_gpu(plan, world)
        self._device, self._kernels = self._gpu.device, self._gpu.kernels
        self.memory: Memory = self._gpu.memory
        driver = self._device.facts.driver
        self.library = f"peer memory, CUDA driver {driver // 1000}.{driver % 1000 // 10}"
        self._timing: DeviceTiming | None = None
        self._copies = Copies(self._device, self._kernels)
        self._launches = Launches()
        self._status = self._device.allocate_host(_WORD)  # 1 + the rank that a kernel waited for
        self._looking = threading.Lock()  # the watchdog's thread reads it
        self._ranks: list[int] = []  # of the group whose case runs, in the world

    # what it can do -------------------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Raise UsageError for forms of a kernel that have no such case."""
        for case in cases(plan):
            if case.timing != "back_to_back":
                raise UsageError(
                    f"--timing {case.timing}: kernels wait for each other by themselves.\n"
                    "  next: --timing back_to_back"
                )
            if case.call == "one_shot" and case.placement == "in":
                raise UsageError(
                    "--call one_shot: every rank reads all inputs, which its own output may not"
                    " replace.\n  next: --placement out, or --call two_shot"
                )
            if case.call == "low_latency" and case.nbytes > MOST_LINES:
                raise UsageError(
                    f"--call low_latency: {case.nbytes} B would need {4 * plan.ranks} times as much for"
                    " lines.\n  expected: at most 1 MiB\n  next: --max-bytes 1M, or --call two_shot"
                )
        if plan.streams > 1:
            raise UsageError(f"--streams {plan.streams}: kernels of two streams would share flags")

    def facts(self) -> dict[str, Any]:
        return self._gpu.facts()

    def prepare(self) -> None:
        """Compile the kernels that the plan's cases call."""
        kernels = DeviceTiming.needs(self._plan)
        kernels += [self._kernel(case) for case in cases(self._plan)]
        self._gpu.prepare(self._plan, self._world, kernels)
        self._timing = DeviceTiming(self._device, self._kernels)

    def _kernel(self, case: Case) -> Kernel:
        if case.entry.copies:
            return self._copies.kernel
        return reducing.all_reduce(case.call, case.dtype)

    # programs -------------------------------------------------------------------------------------

    def bind(
        self, plan: Plan, case: Case, facts: GroupFacts, group: Any, buffers: Buffers
    ) -> Bound:
        """One launch for each turn of the buffers."""
        closes = contextlib.ExitStack()
        self._ranks = group.all_gather(self._world.rank)
        if case.entry.copies:
            sets = self._copies.programs(case, facts, group, buffers, _out_of_reach, closes)
        else:
            sets = self._all_reduces(case, facts, group, buffers, closes)
        bare = np.stack([table(steps) for steps in sets])
        assert self._timing is not None
        return self._timing.bound(plan, case, facts, group, bare, closes)

    def _all_reduces(
        self,
        case: Case,
        facts: GroupFacts,
        group: Any,
        buffers: Buffers,
        closes: contextlib.ExitStack,
    ) -> list[list[Step]]:
        device, kernel = self._device, self._kernel(case)
        geometry = kernel.geometry(case.nbytes, device.facts.multiprocessors)
        lines = -(-case.nbytes // _WORD)
        meeting = 2 * geometry.blocks * facts.n * _WORD
        if case.call == "low_latency":
            meeting = 2 * facts.n * lines * reducing.LINE
        met = self._zeroed(meeting, closes)
        epochs = self._zeroed(geometry.blocks * _WORD, closes)
        inputs = buffers.slots if buffers.in_place else buffers.sends
        mine = [inputs, buffers.slots, [met]]
        bases = (buffers.areas[1 if buffers.in_place else 0][0], buffers.areas[1][0], met)
        others = [rank for rank in range(facts.n) if rank != facts.me]
        theirs = reached(device, group, list(zip(bases, mine, strict=True)), others, closes)
        if theirs is None:
            raise _unreachable()
        theirs[facts.me] = mine
        # tables of addresses by rank: of the inputs and the outputs of each turn, and of the meeting
        columns = [
            [theirs[rank][kind][turn] for rank in range(facts.n)]
            for kind in (0, 1)
            for turn in range(len(buffers.slots))
        ]
        columns.append([theirs[rank][2][0] for rank in range(facts.n)])
        tables = device.allocate(_WORD * facts.n * len(columns))
        closes.callback(device.free, tables)
        device.upload(tables, np.array(columns, np.int64))
        at = [tables + _WORD * facts.n * row for row in range(len(columns))]
        place, ends = (facts.me, facts.n, case.count), (epochs, self._limit_ns(), self._status)
        steps = []
        for turn, (source, slot) in enumerate(zip(inputs, buffers.slots, strict=True)):
            ins, outs = at[turn], at[len(buffers.slots) + turn]
            arguments = {
                "one_shot": (ins, slot, *place, at[-1], *ends),
                "two_shot": (ins, outs, *place, at[-1], *ends),
                "low_latency": (source, slot, at[-1], *place, lines, *ends),
            }[case.call]
            function = self._kernels[kernel.function]
            steps.append([self._launches.step(function, geometry, device.stream, *arguments)])
        return steps

    def _zeroed(self, nbytes: int, closes: contextlib.ExitStack) -> int:
        """Device memory that other processes may map, all 0."""
        at = self._device.allocate_shared(nbytes)
        closes.callback(self._device.free, at)
        self._device.set_bytes(at, 0, nbytes)
        return at

    def _limit_ns(self) -> int:
        """A kernel outlasts the watchdog, which knows better who is late."""
        return int(2 * self._plan.timeout / NANOSECONDS)

    # how it goes ----------------------------------------------------------------------------------

    def choice(self, case: Case) -> Choice | None:
        path = self._copies.path if case.entry.copies else "peer memory"
        return Choice(transport=path)

    def allowed(self, case: Case) -> Allowed | None:
        return self._copies.allowed if case.entry.copies else None

    def explain(self, code: int) -> str:
        return cuda.explain(code)

    def fault(self) -> str:
        """The rank that a kernel waited for in vain."""
        with self._looking:
            late = ctypes.c_int64.from_address(self._status).value if self._status else 0
        if not late:
            return ""
        return f"the kernel of rank {self._ranks[late - 1]} did not come"

    def close(self) -> None:
        if self._timing:
            self._timing.close()
        with self._looking:
            self._device.free_host(self._status)
            self._status = 0
        self._device.close()


def _unreachable() -> NotMeasuredError:
    return NotMeasuredError(
        "a GPU of the group cannot reach another's memory: another host, no peer access, or a driver"
        " without CUDA IPC.\n  next: nvidia-smi topo -p2p r, or railgauge run --backend nccl"
    )


def _out_of_reach(*_: object) -> list[Step]:
    raise _unreachable()
