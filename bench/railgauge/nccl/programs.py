"""The `nccl` backend: a case as programs that call NCCL's C functions on a stream.

NCCL is reached through nccl4py, the vendor's bindings; the programs call the same library by
address. MPI is the control plane: it carries the unique ids and the agreements.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import ml_dtypes  # noqa: F401 - NumPy learns the names of narrow floats
import msgspec
import numpy as np

from railgauge.buffers import Buffers
from railgauge.dtypes import dtype_named
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.gpus import cuda
from railgauge.gpus.copies import Copies, Exchange
from railgauge.gpus.cuda import Device
from railgauge.gpus.gpu import functional_variables, open_gpu
from railgauge.gpus.leg import DeviceTiming
from railgauge.gpus.memory import DeviceMemory, Kernels
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import Step, Table, execute, table
from railgauge.memory import Memory
from railgauge.nccl import calls, library
from railgauge.nccl.log import NcclLog
from railgauge.plan import Case, Plan, cases
from railgauge.records import Allowed, Choice
from railgauge.world import Bound, Plain, World, together

SYMMETRIC = 1  # NCCL_WIN_COLL_SYMMETRIC (nccl.h)
SUCCESS, IN_PROGRESS, LAST_RESULT = 0, 7, 8
HOST_IMMEDIATE = 1  # ncclScalarHostImmediate (nccl.h)


class NcclMemory(DeviceMemory):
    """Memory that NCCL allocates, where it is to be registered."""

    def __init__(self, device: Device, kernels: Kernels, nccl: Any, registered: bool) -> None:
        super().__init__(device, kernels)
        self._nccl, self._registered = nccl, registered

    def _allocate(self, nbytes: int) -> int:
        if not self._registered:
            return super()._allocate(nbytes)
        return int(self._nccl.mem_alloc(max(1, nbytes)))

    def _free(self, address: int) -> None:
        if self._registered:
            self._nccl.mem_free(address)
        else:
            super()._free(address)


class NcclBackend(Plain):
    """One GPU of the run; `library` names NCCL's version."""

    memory: Memory

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world = plan, world
        self._communicators: dict[int, list[Any]] = {}  # of a group, one a stream
        self._alive: list[Any] = []  # what the watchdog's thread may ask
        self._gpu = open_gpu(plan, world)
        self._device, self._kernels = self._gpu.device, self._gpu.kernels
        os.environ.update(functional_variables(plan, world.rank))
        self._log = NcclLog(plan, world.rank)
        self._nccl = together(world, library.load)
        self._bindings = self._nccl.bindings
        self.library = self._nccl.name
        self._config = together(world, lambda: self._nccl.configuration(plan.config))
        registered = plan.register != "none"
        self.memory = NcclMemory(self._device, self._kernels, self._bindings, registered)
        self._streams = [self._device.stream]
        self._streams += [self._device.new_stream() for _ in range(plan.streams - 1)]
        self._selections: dict[str, Any] = {}  # by algorithm; calls point to them
        self._timing: DeviceTiming | None = None
        self._note = self._device.allocate(64)
        self._copies = Copies(self._device, self._kernels)

    # what the library can do ----------------------------------------------------------------------

    def check(self, plan: Plan) -> None:
        """Raise UsageError on all ranks for what NCCL, or the GPU of any of them, lacks."""
        together(self._world, lambda: self._check(plan))

    def _check(self, plan: Plan) -> None:
        self._nccl.check(plan, self._device.facts)
        for case in cases(plan):
            if case.entry.copies and case.timing != "back_to_back":
                raise UsageError(
                    f"--timing {case.timing}: a copy is one rank's work, the other side does not take"
                    " part.\n  next: --timing back_to_back"
                )
            if plan.streams > 1 and (case.entry.even or case.entry.windowed):
                raise UsageError(
                    f"--streams {plan.streams}: {case.operation} measures one stream.\n"
                    "  next: --operation all_reduce, or without --streams"
                )

    def facts(self) -> dict[str, Any]:
        return self._gpu.facts()

    def prepare(self) -> None:
        """Compile the kernels that the plan's cases call."""
        kernels = DeviceTiming.needs(self._plan)
        if "copy" in self._plan.operations:
            kernels.append(self._copies.kernel)
        self._gpu.prepare(self._plan, self._world, kernels)
        self._timing = DeviceTiming(self._device, self._kernels)

    # groups -----------------------------------------------------------------------------------------

    def enter(self, group: Any) -> float | None:
        """ncclCommInit for the group, a communicator for every stream; seconds of the first one."""
        made, first = [], 0.0
        core = self._nccl.core
        self._log.begin()
        for _ in self._streams:
            unique = bytes(core.get_unique_id()) if group.rank == 0 else b""
            identity = core.UniqueId.from_bytes(group.broadcast(unique))
            group.barrier()
            before = time.perf_counter()
            with self._speaking("ncclCommInitRank"):
                made.append(core.Communicator.init(group.size, group.rank, identity, self._config))
            self._log.open()
            first = first or time.perf_counter() - before
        self._communicators[id(group)] = made
        self._alive += made
        return first

    def leave(self, group: Any) -> None:
        for communicator in self._communicators.pop(id(group)):
            self._alive.remove(communicator)
            with self._speaking("ncclCommDestroy"):
                communicator.destroy()

    @contextlib.contextmanager
    def _speaking(self, what: str) -> Any:
        """NCCL's exceptions as errors with its own last words."""
        try:
            yield
        except self._bindings.NCCLError as error:
            last = self._nccl.last_words() or "it said nothing more"
            raise NotMeasuredError(
                f"{what}: {error}\n  {self.library}: {last}\n"
                "  next: the same command with NCCL_DEBUG=INFO in the environment"
            ) from None

    # programs -----------------------------------------------------------------------------------------

    def bind(
        self, plan: Plan, case: Case, facts: GroupFacts, group: Any, buffers: Buffers
    ) -> Bound:
        """The steps of one iteration for each turn of the buffers, and how they are timed."""
        closes = contextlib.ExitStack()
        communicators = self._communicators[id(group)]
        self._register(group, buffers, communicators, closes)
        if case.entry.copies:
            exchange = self._exchange(int(communicators[0].ptr))
            sets = self._copies.programs(case, facts, group, buffers, exchange, closes)
        else:
            sets = self._collectives(plan, case, facts, buffers, communicators, closes)
        bare = np.stack([table(steps) for steps in sets])
        assert self._timing is not None
        graph = (lambda turns: self._graph(turns, closes)) if case.call == "graph" else None
        return self._timing.bound(plan, case, facts, group, bare, closes, graph=graph)

    def _register(
        self,
        group: Any,
        buffers: Buffers,
        communicators: list[Any],
        closes: contextlib.ExitStack,
    ) -> None:
        """Register the buffers with every communicator (a window is registered by all ranks)."""
        nccl = self._bindings
        for communicator in communicators:
            handle = nccl.Comm(communicator.ptr)
            for address, nbytes in buffers.areas:
                if self._plan.register == "local":
                    made = nccl.comm_register(handle, address, nbytes)
                    closes.callback(nccl.comm_deregister, handle, made)
                elif self._plan.register == "symmetric":
                    (most,) = group.maximum(np.array([nbytes], np.int64))
                    if int(most) != nbytes:
                        continue  # only what all ranks have alike can be symmetric
                    window = nccl.comm_window_register(handle, address, nbytes, SYMMETRIC)
                    closes.callback(nccl.comm_window_deregister, handle, window)

    def _collectives(
        self,
        plan: Plan,
        case: Case,
        facts: GroupFacts,
        buffers: Buffers,
        communicators: list[Any],
        closes: contextlib.ExitStack,
    ) -> list[list[Step]]:
        """The steps of each turn; with several streams a turn runs one operation on each of them."""
        dtype = dtype_named(case.dtype)
        selection = 0
        if case.algorithm:
            if case.algorithm not in self._selections:
                self._selections[case.algorithm] = self._nccl.selection(case.algorithm)
            selection = int(self._selections[case.algorithm].ptr)
        arguments = [
            calls.Arguments(
                dtype=calls.DATA_TYPES[dtype.name],
                itemsize=dtype.itemsize,
                op=self._op(case, facts.me, communicator, closes),
                communicator=int(communicator.ptr),
                stream=stream,
                window=plan.window,
                note=self._note,
                has=self._nccl.has,
                selection=selection,
            )
            for communicator, stream in zip(communicators, self._streams, strict=True)
        ]
        if case.entry.windowed:
            made = calls.program(case, facts, arguments[0], buffers.sends[0], buffers.slots)
            return [self._steps(made)]
        width = plan.streams
        turns = []
        for first in range(0, len(buffers.slots), width):
            lanes = []
            for k, lane in enumerate(arguments):
                send = buffers.sends[(first + k) % len(buffers.sends)]
                slot = buffers.slots[first + k]
                lanes.append(self._steps(calls.program(case, facts, lane, send, [slot])))
            turns.append(self._joined(lanes, closes))
        return turns

    def _exchange(self, communicator: int) -> Exchange:
        """Bytes sent to and received from a peer, as one group."""

        def exchange(send: int | None, receive: int | None, nbytes: int, peer: int) -> list[Step]:
            end = (nbytes, calls.DATA_TYPES["int8"], peer, communicator, self._device.stream)
            made: list[calls.CallArguments] = [calls.GROUP_START]
            made += [("ncclSend", (send, *end))] if send is not None else []
            made += [("ncclRecv", (receive, *end))] if receive is not None else []
            return self._steps([*made, calls.GROUP_END])

        return exchange

    def _joined(self, lanes: list[list[Step]], closes: contextlib.ExitStack) -> list[Step]:
        """One operation on every stream: all begin after the last turn, and the first waits for all."""
        if len(lanes) == 1:
            return lanes[0]
        main, others = self._streams[0], self._streams[1:]
        events = [self._device.new_event(timed=False) for _ in lanes]
        for event in events:
            closes.callback(self._device.free_event, event)
        steps = [cuda.record(events[0], main)]
        steps += [cuda.wait_for(events[0], stream) for stream in others]
        steps += [step for lane in lanes for step in lane]
        for event, stream in zip(events[1:], others, strict=True):
            steps += [cuda.record(event, stream), cuda.wait_for(event, main)]
        return steps

    def _graph(self, programs: Table, closes: contextlib.ExitStack) -> Table:
        """All turns as one graph: the program that launches it."""
        stream = self._device.stream
        # once without: what NCCL sets up at a first call is not to be part of the graph
        code = execute(np.concatenate([*programs, table([cuda.synchronise(stream)])]))
        self._checked(code)
        with self._device.captured(stream) as made:
            code = execute(np.concatenate(list(programs)))
        self._checked(code)
        closes.callback(self._device.free_graph, made[0])
        return table([cuda.launch_graph(made[0], stream)])[None]

    def _checked(self, code: int) -> None:
        if code:
            raise NotMeasuredError(f"making a CUDA graph: {self.explain(code)}")

    def _op(self, case: Case, me: int, communicator: Any, closes: contextlib.ExitStack) -> int:
        if case.op != "premul_sum":
            return calls.RED_OPS.get(case.op or "", 0)
        # what odd ranks bring is doubled: see `railgauge_kernels.pattern`
        scalar = np.array([1 + me % 2]).astype(np.dtype(case.dtype))
        nccl, handle = self._bindings, self._bindings.Comm(communicator.ptr)
        kind = calls.DATA_TYPES[case.dtype]
        made = int(nccl.red_op_create_pre_mul_sum(scalar.ctypes.data, kind, HOST_IMMEDIATE, handle))
        closes.callback(nccl.red_op_destroy, made, handle)
        return made

    def _steps(self, made: list[calls.CallArguments]) -> list[Step]:
        return [Step(self._nccl.address(name), arguments) for name, arguments in made]

    # how it goes --------------------------------------------------------------------------------------

    def choice(self, case: Case) -> Choice | None:
        """Algorithm, protocol and transport as NCCL's log names them; of a copy, its path."""
        if case.entry.copies:
            return Choice(transport=self._copies.path)
        told = self._log.choice(case)
        if case.algorithm:  # NCCL fails where it cannot take it
            told = msgspec.structs.replace(told or Choice(), algorithm=case.algorithm.upper())
        return told

    def allowed(self, case: Case) -> Allowed | None:
        """Of a copy: NVLink, PCIe, the NICs, or the GPU's memory, whatever it goes through."""
        return self._copies.allowed if case.entry.copies else None

    def explain(self, code: int) -> str:
        """NCCL's words and its last error; codes above its own are the driver's."""
        if code > LAST_RESULT:
            return cuda.explain(code)
        last = self._nccl.last_words()
        words = self._nccl.core.get_error_string(code)
        return f"NCCL: {words} ({code})" + (f": {last}" if last else "")

    def fault(self) -> str:
        """What an operation that was enqueued ran into, told by any communicator."""
        for communicator in list(self._alive):
            try:
                code = int(communicator.get_async_error())
            except Exception:  # it is being destroyed
                continue
            if code not in (SUCCESS, IN_PROGRESS):
                return self.explain(code)
        return ""

    def abort(self) -> None:
        """ncclCommAbort: kernels that wait for other ranks end, and with them the host's waits."""
        for communicator in list(self._alive):
            with contextlib.suppress(Exception):  # nothing can be done about it any more
                communicator.abort()

    def close(self) -> None:
        if self._timing:
            self._timing.close()
        self._log.close()
        self._device.free(self._note)
        for stream in self._streams[1:]:
            self._device.free_stream(stream)
        self._device.close()
