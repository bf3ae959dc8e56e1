"""What `railgauge kernels` times on one GPU: each kernel on arrays of ours, and what it must leave there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes  # noqa: F401 - NumPy learns the names of narrow floats
import numpy as np
import numpy.typing as npt

from railgauge.dtypes import dtype_named
from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, Launches
from railgauge.gpus.memory import DeviceMemory, Kernels
from railgauge.inputs import WRONG, data_record
from railgauge.loop import Step, execute, table
from railgauge.memory import Checks
from railgauge_kernels import bandwidth, burning, copying, pattern, reducing
from railgauge_kernels.ladders import Kernel, Traffic

Bytes = npt.NDArray[np.uint8]

WINDOW = (
    1 << 20
)  # bytes at either end and in the middle of an array that are compared with the twin
SCALE, BYTE, POISON = 3, 0x5A, 0xA5
#: Bytes of which every float of ours is finite and of moderate size, whatever its type.
LOW_BYTE, HIGH_BYTE = 0x20, 0x40
CHECKED = (("float32", None), ("float32", "sum"), ("bfloat16", "sum"), ("int8", "sum"))
RANKS = 8  # of the reduction whose result is filled and checked


@dataclasses.dataclass(frozen=True)
class Work:
    """One row to be. `steps` are one launch; `right` says whether they left what they must.

    `prepare` is what has to happen before launches are timed, since all works share the arrays.
    """

    family: str
    kernel: str
    steps: list[Step]
    traffic: Traffic
    right: Callable[[], bool]
    operations: int = 0
    prepare: tuple[Step, ...] = ()


class Arrays:
    """Two inputs and an output of `nbytes` each on the device, and the inputs on the host."""

    def __init__(self, device: Device, nbytes: int) -> None:
        self.device, self.nbytes = device, nbytes
        random = np.random.default_rng(1)
        self.hosts = [random.integers(LOW_BYTE, HIGH_BYTE, nbytes, np.uint8) for _ in range(2)]
        self.inputs = [device.allocate(nbytes) for _ in range(2)]
        for at, values in zip(self.inputs, self.hosts, strict=True):
            device.upload(at, values)
        self.out = device.allocate(nbytes)
        self.small = device.allocate(64)
        self.table = device.allocate(16)
        device.upload(self.table, np.array(self.inputs, np.int64))

    def windows(self) -> Iterator[slice]:
        """The first, the middle and the last bytes, at multiples of 16."""
        size = min(WINDOW, self.nbytes)
        for begin in (0, (self.nbytes - size) // 2, self.nbytes - size):
            yield slice(begin // 16 * 16, begin // 16 * 16 + size)

    def agrees(self, twin: Callable[[Bytes, Bytes], npt.NDArray[Any]]) -> bool:
        """Is the output, where it is looked at, what the twin makes of the inputs?"""
        for window in self.windows():
            expected = twin(self.hosts[0][window], self.hosts[1][window])
            found = np.empty(window.stop - window.start, np.uint8)
            self.device.download(found, self.out + window.start)
            if not np.array_equal(found, expected.view(np.uint8)):
                return False
        return True


class Works:
    """The works of one device, in ladders; one stream, one set of arrays."""

    def __init__(self, device: Device, nbytes: int) -> None:
        self._device, self._kernels = device, Kernels(device)
        self._arrays = Arrays(device, nbytes)
        self._launches = Launches()
        self._memory = DeviceMemory(device, self._kernels)

    def all(self) -> list[Work]:
        """Compile and bind everything that this GPU runs; raises NotMeasuredError."""
        capability = self._device.facts.capability
        ladders = (
            *(copying.LADDER, copying.BIDIRECTIONAL, bandwidth.READ, bandwidth.WRITE),
            *(bandwidth.TRIAD, burning.LADDER),
        )
        named = [kernel for ladder in ladders for kernel in ladder]
        named += [kernel for dtype in reducing.REDUCED for kernel in reducing.reduce(dtype)]
        named = [kernel for kernel in named if kernel.capability <= capability]
        itemsizes = {dtype_named(name).itemsize for name, _ in CHECKED}
        self._kernels.prepare(sorted(itemsizes), named)
        works = [self._driver(), *self._copies(), *self._bandwidths(), *self._reductions()]
        works += [*self._checks(), *self._burns()]
        return [work for work in works if work.steps]

    def run(self, work: Work) -> bool:
        """Do the work once over a spoiled output; is what it left right?"""
        self._device.set_bytes(self._arrays.out, POISON, self._arrays.nbytes)
        self._device.set_bytes(self._arrays.small, 0, 8)
        code = execute(table([*work.steps, cuda.synchronise(self._device.stream)]))
        if code:
            raise cuda.CudaError(f"{work.kernel}: {cuda.explain(code)}")
        return work.right()

    def _launch(self, kernel: Kernel, nbytes: int, *parameters: int) -> list[Step]:
        """None where the GPU does not run that version."""
        if kernel.capability > self._device.facts.capability:
            return []
        geometry = kernel.geometry(nbytes, self._device.facts.multiprocessors)
        function = self._kernels[kernel.function]
        return [self._launches.step(function, geometry, self._device.stream, *parameters)]

    def _copied(self) -> bool:
        return self._arrays.agrees(lambda a, _: a)

    def _driver(self) -> Work:
        a = self._arrays
        step = cuda.copy(a.out, a.inputs[0], a.nbytes, self._device.stream)
        return Work("driver", "cuMemcpyAsync", [step], copying.traffic(a.nbytes), self._copied)

    def _copies(self) -> Iterator[Work]:
        a = self._arrays
        for kernel in copying.LADDER:
            steps = self._launch(kernel, a.nbytes, a.out, a.inputs[0], a.nbytes)
            yield Work("copy", kernel.function, steps, copying.traffic(a.nbytes), self._copied)
        half = a.nbytes // 2  # one half forth, the other one back, in the same launch
        for kernel in copying.BIDIRECTIONAL:
            places = (a.out, a.inputs[0], a.out + half, a.inputs[0] + half)
            steps = self._launch(kernel, half, *places, half)
            yield Work("copy", kernel.function, steps, copying.traffic(2 * half), self._copied)

    def _bandwidths(self) -> Iterator[Work]:
        a, n = self._arrays, self._arrays.nbytes
        for kernel in bandwidth.READ:
            steps = self._launch(kernel, n, a.inputs[0], n, a.small)
            yield Work("read", kernel.function, steps, bandwidth.read_traffic(n), self._summed)
        for kernel in bandwidth.WRITE:
            steps = self._launch(kernel, n, a.out, n, BYTE)
            yield Work("write", kernel.function, steps, bandwidth.write_traffic(n), self._written)
        for kernel in bandwidth.TRIAD:
            steps = self._launch(kernel, n, a.out, *a.inputs, SCALE, n // 4)
            yield Work("triad", kernel.function, steps, bandwidth.triad_traffic(n), self._triad)

    def _summed(self) -> bool:
        found = np.zeros(1, np.uint64)
        self._device.download(found, self._arrays.small)
        return int(found[0]) == bandwidth.read_twin(self._arrays.hosts[0])

    def _written(self) -> bool:
        return self._arrays.agrees(lambda a, _: np.full_like(a, BYTE))

    def _triad(self) -> bool:
        def twin(a: Bytes, b: Bytes) -> npt.NDArray[Any]:
            return bandwidth.triad_twin(a.view(np.float32), b.view(np.float32), SCALE)

        return self._arrays.agrees(twin)

    def _reductions(self) -> Iterator[Work]:
        a = self._arrays
        traffic = reducing.reduce_traffic(len(a.inputs), a.nbytes)
        for name in reducing.REDUCED:
            dtype = np.dtype(name)

            def right(dtype: np.dtype[Any] = dtype) -> bool:
                return a.agrees(lambda x, y: reducing.twin([x.view(dtype), y.view(dtype)]))

            for kernel in reducing.reduce(name):
                parameters = (a.out, a.table, len(a.inputs), a.nbytes // dtype.itemsize)
                steps = self._launch(kernel, a.nbytes, *parameters)
                yield Work("reduce", kernel.function, steps, traffic, right)

    def _checks(self) -> Iterator[Work]:
        """The product's own fills and checks, of what is moved and of what is summed up."""
        a = self._arrays
        for name, op in CHECKED:
            dtype = dtype_named(name)
            count = a.nbytes // dtype.itemsize
            source = 1 if op is None else pattern.REDUCED
            checks = self._memory.checks(dtype.itemsize, data_record(dtype, op, RANKS, 1))
            fill, check = (part(a.out, count, source, 0) for part in (checks.fill, checks.check))
            kind, whole = f"{name} {op or 'moved'}", (*fill, *checks.done())
            filled = functools.partial(_filled, checks, check)
            checked = functools.partial(_checked, checks, fill, check, count)
            yield Work("fill", kind, fill, Traffic(0, a.nbytes), filled)
            yield Work("check", kind, check, Traffic(a.nbytes, 0), checked, prepare=whole)

    def _burns(self) -> Iterator[Work]:
        multiprocessors = self._device.facts.multiprocessors
        blocks = multiprocessors * burning.BLOCKS_EACH
        threads = min(blocks, self._arrays.nbytes // (4 * burning.THREADS)) * burning.THREADS
        rounds = max(8, self._arrays.nbytes >> 17)
        stream, nbytes = self._device.stream, burning.traffic(threads).written
        begun = cuda.set_bytes(self._arrays.out, POISON, nbytes, stream)  # floats that are almost 0
        for kernel in burning.LADDER:
            steps = self._launch(kernel, nbytes, self._arrays.out, rounds)

            def right(kernel: Kernel = kernel) -> bool:
                state = np.zeros(burning.THREADS, np.float32)
                self._device.download(state, self._arrays.out)
                if kernel.function == "burn_tensor":
                    return np.array_equal(state[:32], burning.tensor_twin())
                before = np.full(4 * burning.THREADS, POISON, np.uint8).view(np.float32)
                return np.array_equal(state, burning.burn_twin(before, rounds))

            yield Work(
                family="burn",
                kernel=kernel.function,
                steps=steps,
                traffic=burning.traffic(threads),
                right=right,
                operations=burning.operations(kernel, threads, rounds),
                prepare=(begun,),
            )


def _wrong(checks: Checks, steps: Sequence[Step]) -> int:
    """How many wrong elements these steps find."""
    before = int(checks.report[WRONG])
    if code := execute(table([*steps, *checks.done()])):
        raise cuda.CudaError(cuda.explain(code))
    return int(checks.report[WRONG]) - before


def _filled(checks: Checks, check: Sequence[Step]) -> bool:
    return _wrong(checks, check) == 0


def _checked(checks: Checks, fill: Sequence[Step], check: Sequence[Step], count: int) -> bool:
    """Nearly every element of the poison is wrong (a byte may be right by chance), of data none."""
    poison = _wrong(checks, check)
    return poison >= count * 9 // 10 and _wrong(checks, [*fill, *check]) == 0
