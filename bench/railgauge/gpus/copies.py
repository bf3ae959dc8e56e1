"""Copies by a GPU: its own memory, the host's, or a peer's, which CUDA IPC maps into this process.

Where a peer's memory cannot be reached (another host, no peer access), NCCL's send and receive do
the copy, and the path says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from railgauge.buffers import Buffers
from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, Launches
from railgauge.gpus.memory import Kernels
from railgauge.gpus.peers import reached
from railgauge.hardware import bounds, links
from railgauge.hardware.links import Gpu, Hardware, Nic
from railgauge.layouts import BETWEEN_PAIRS, Group, copies, partner
from railgauge.loop import Step
from railgauge.plan import Case
from railgauge.records import Allowed
from railgauge.world import Communicator
from railgauge_kernels import copying
from railgauge_kernels.ladders import Kernel, fastest

#: (address to send from or None, address to receive at or None, bytes, peer) -> steps, through NCCL
Exchange = Callable[[int | None, int | None, int, int], list[Step]]


class Copies:
    """Programs of the operation `copy` on one rank; `path` says what carried the last one."""

    def __init__(self, device: Device, kernels: Kernels) -> None:
        self._device, self._kernels = device, kernels
        self._launches = Launches()
        self._hardware: Hardware | None = None
        self.path = ""
        self.allowed: Allowed | None = None

    @property
    def kernel(self) -> Kernel:
        """The one that copies for `_sm` on this GPU."""
        return fastest(copying.LADDER, self._device.facts.capability)

    def programs(
        self,
        case: Case,
        facts: Group,
        group: Communicator,
        buffers: Buffers,
        exchange: Exchange,
        closes: contextlib.ExitStack,
    ) -> list[list[Step]]:
        """The steps of each turn of the buffers; none on a rank that is only copied from or to."""
        form = case.call.removesuffix("_sm")
        sends, slots = buffers.sends, buffers.slots
        engine = "a kernel" if case.call.endswith("_sm") else "the copy engine"
        self.path = f"{form.replace('_', ' ')} by {engine}"
        self.allowed = self._allowed(case, facts, group)
        if case.call in BETWEEN_PAIRS:
            theirs = self._theirs(facts, group, buffers, closes)
            if theirs is None:
                self.path = f"{form} by NCCL send and receive: the peer's memory is out of reach"
                return [
                    self._exchanged(case, facts, send, slot, exchange)
                    for send, slot in zip(sends, slots, strict=True)
                ]
            if form == "push":
                slots = theirs[1]
            else:
                sends = theirs[0]
        if not copies(facts):
            return [[] for _ in buffers.slots]
        return [[self._copy(case, to, at)] for to, at in zip(slots, sends, strict=True)]

    def _allowed(self, case: Case, facts: Group, group: Communicator) -> Allowed:
        """The ceiling of this rank's path, from what both of its ends say of themselves."""
        self._hardware = self._hardware or links.hardware()
        mine = self._hardware.gpu(self._device.facts.uuid)
        nics = links.nearest_nics(mine, self._hardware.nics) if mine else ()
        everybody: list[tuple[Gpu | None, tuple[Nic, ...]]] = group.all_gather((mine, nics))
        theirs, their_nics = everybody[partner(facts.me, facts.n)]
        if mine is None or theirs is None:
            return Allowed(path="", GBps=None, words="unknown: NVML does not list the GPU")
        if case.call in BETWEEN_PAIRS:
            bound = bounds.between(mine, nics, theirs, their_nics)
        else:
            local = case.call.startswith("local")
            bound = bounds.local_bound(mine) if local else bounds.host_bound(mine)
        return Allowed(path=bound.path, GBps=bound.GBps, words=bound.words)

    def _exchanged(
        self, case: Case, facts: Group, send: int, slot: int, exchange: Exchange
    ) -> list[Step]:
        """What this rank sends and receives, of its layout's own two sides."""
        layout, peer = case.entry.layout(facts), partner(facts.me, facts.n)
        source = send if layout.sends else None
        return exchange(source, slot if layout.receives else None, case.nbytes, peer)

    def _copy(self, case: Case, to: int, source: int) -> Step:
        stream = self._device.stream
        if not case.call.endswith("_sm"):
            return cuda.copy(to, source, case.nbytes, stream)
        geometry = self.kernel.geometry(case.nbytes, self._device.facts.multiprocessors)
        function = self._kernels[self.kernel.function]
        return self._launches.step(function, geometry, stream, to, source, case.nbytes)

    def _theirs(
        self,
        facts: Group,
        group: Communicator,
        buffers: Buffers,
        closes: contextlib.ExitStack,
    ) -> tuple[list[int], list[int]] | None:
        """Send and receive buffers of the partner, as this process reaches them; None: it cannot."""
        peer = partner(facts.me, facts.n)
        bases = [base for base, _ in buffers.areas]
        mine = list(zip(bases, (buffers.sends, buffers.slots), strict=True))
        found = reached(self._device, group, mine, [peer], closes)
        return None if found is None else (found[peer][0], found[peer][1])
