"""The latency between two GPUs of a node, or within one: flags that each writes into the other's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, Launches
from railgauge.gpus.memory import Kernels
from railgauge.loop import Step, execute, table
from railgauge.units import NANOSECONDS
from railgauge_kernels.ladders import Geometry, Kernel
from railgauge_kernels.waiting import FLAG, PING_PONG

ROUND_TRIPS, LIMIT_NS = 200, 5_000_000_000
ONE = Geometry(1, 1)


class Flight(msgspec.Struct, frozen=True, kw_only=True):
    """Half a round trip between two GPUs, by their bus ids; the median over all round trips.

    `reached` is False where one of them cannot write to the other's memory.
    """

    kernel: str
    first: str
    second: str
    reached: bool
    round_trips: int = 0
    one_way_seconds: float | None = None
    least_seconds: float | None = None


class _Side:
    """A flag in the memory of one GPU, and the stream of its kernel."""

    def __init__(self, device: Device) -> None:
        self.device = device
        device.enter()
        self.kernels = Kernels(device)
        self.kernels.prepare((), PING_PONG)
        self.stream = device.new_stream()
        self.flag = device.allocate(FLAG)
        self.stamps = device.allocate(8 * (ROUND_TRIPS + 1))
        self.status = device.allocate(8)
        self._launches = Launches()
        # The driver loads a kernel at its first launch, and may wait for what runs by then: the
        # other side's kernel, which waits for this one (CUDA C++ Programming Guide, Lazy Loading).
        for kernel in PING_PONG:
            self.begin(kernel, self, True, 0, round_trips=0)
        self.end()

    def begin(
        self, kernel: Kernel, peer: _Side, first: bool, base: int, round_trips: int = ROUND_TRIPS
    ) -> None:
        """Enqueue this side's kernel."""
        self.device.enter()
        parameters = (self.flag, peer.flag, int(first), base, round_trips, LIMIT_NS)
        step = self._launches.step(
            self.kernels[kernel.function], ONE, self.stream, *parameters, self.stamps, self.status
        )
        _run([step])

    def end(self) -> None:
        self.device.enter()
        _run([cuda.synchronise(self.stream)])

    def clear(self) -> None:
        self.device.enter()
        for at in (self.flag, self.status):
            self.device.set_bytes(at, 0, 8)


def _run(steps: list[Step]) -> None:
    if code := execute(table(steps)):
        raise cuda.CudaError(f"flags: {cuda.explain(code)}")


def flights(devices: Sequence[Device], rounds: int) -> Iterator[Flight]:
    """Of every GPU with itself and every pair; raises CudaError."""
    firsts, seconds = ([_Side(device) for device in devices] for _ in range(2))
    for i, first in enumerate(firsts):
        for second in seconds[i:]:
            one, other = first.device, second.device
            reached = one is other or (one.reach(other) and other.reach(one))
            for kernel in PING_PONG:
                made = _flown(kernel, first, second, rounds) if reached else []
                yield Flight(
                    kernel=kernel.function,
                    first=one.facts.bus_id,
                    second=other.facts.bus_id,
                    reached=reached,
                    round_trips=len(made),
                    one_way_seconds=float(np.median(made)) / 2 * NANOSECONDS if made else None,
                    least_seconds=min(made) / 2 * NANOSECONDS if made else None,
                )


def _flown(kernel: Kernel, first: _Side, second: _Side, rounds: int) -> list[int]:
    """What each round trip took, in ns."""
    first.clear()
    second.clear()
    made: list[int] = []
    for number in range(rounds):
        base = number * ROUND_TRIPS
        second.begin(kernel, first, False, base)
        first.begin(kernel, second, True, base)
        second.end()
        first.end()
        stamps, late = np.zeros(ROUND_TRIPS + 1, np.int64), np.zeros(1, np.int64)
        first.device.download(stamps, first.stamps)
        first.device.download(late, first.status)
        if late[0]:
            raise cuda.CudaError(
                f"{kernel.function} between {first.device.facts.bus_id} and"
                f" {second.device.facts.bus_id}: no answer to round trip {late[0]} within"
                f" {LIMIT_NS * NANOSECONDS:g} s"
            )
        made += np.diff(stamps).tolist()
    return made
