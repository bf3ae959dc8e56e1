"""Device memory, and the kernels that fill and check it: the same functions as on the host."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from railgauge.errors import HostError
from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, Launches
from railgauge.inputs import WHERE
from railgauge.loop import Step, Table
from railgauge.memory import Checks
from railgauge_kernels import images, pattern
from railgauge_kernels.ladders import Geometry, Kernel

THREADS = 256
BLOCKS_EACH = 8  # of THREADS threads fill a multiprocessor (2,048 threads)
_FIELDS = pattern.SETTLED + 1  # of a report on the device
PER_THREAD = 4  # elements that make another block worth while


class Kernels:
    """The compiled kernels of one device, by name; loaded when they are first asked for."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._loaded: dict[str, int] = {}

    def prepare(self, itemsizes: Iterable[int], kernels: Iterable[Kernel]) -> None:
        """Compile and load fills and checks of these widths, and these kernels."""
        capability = self._device.facts.capability
        try:
            made = [images.pattern_image(itemsize, capability) for itemsize in itemsizes]
            sources = sorted({kernel.source for kernel in kernels})
            made += [images.cuda_image(source, capability) for source in sources]
        except images.ImageError as error:
            raise HostError(f"{error}\n  next: pip install 'railgauge[cuda13]'") from None
        for image in made:
            self._loaded |= self._device.load(image.code, image.functions)

    def __getitem__(self, name: str) -> int:
        return self._loaded[name]


class DeviceMemory:
    """Memory of one GPU, and pinned host memory beside it."""

    def __init__(self, device: Device, kernels: Kernels) -> None:
        self.device, self.kernels = device, kernels
        self._on_host: set[int] = set()

    def allocate(self, nbytes: int, byte: int, on_host: bool = False) -> int:
        """See `railgauge.memory.Memory`."""
        if on_host:
            at = self.device.allocate_host(nbytes)
            self._on_host.add(at)
            ctypes.memset(at, byte, nbytes)
        else:
            at = self._allocate(nbytes)
            self.device.set_bytes(at, byte, nbytes)
        return at

    def free(self, address: int) -> None:
        if address in self._on_host:
            self._on_host.remove(address)
            self.device.free_host(address)
        else:
            self._free(address)

    def _allocate(self, nbytes: int) -> int:
        return self.device.allocate_shared(nbytes)

    def _free(self, address: int) -> None:
        self.device.free(address)

    def available(self) -> int:
        return self.device.available()

    def checks(self, itemsize: int, record: npt.NDArray[np.int64]) -> Checks:
        return DeviceChecks(self.device, self.kernels, itemsize, record)


class DeviceChecks:
    """`Checks` by kernels; the reports reach the host with `done()`.

    One small allocation holds the record and both reports.
    """

    def __init__(
        self, device: Device, kernels: Kernels, itemsize: int, record: npt.NDArray[np.int64]
    ) -> None:
        self._device, self._kernels, self._itemsize = device, kernels, itemsize
        self._launches = Launches()
        self._at = device.allocate(8 * (pattern.FIELDS + 2 * _FIELDS))
        self._reports_at = self._at + 8 * pattern.FIELDS
        self._empty = np.zeros(_FIELDS, np.int64)
        self._empty[WHERE] = pattern.NOWHERE
        device.upload(self._at, np.concatenate([record, self._empty, self._empty]))
        self._pinned = device.allocate_host(2 * 8 * _FIELDS)
        both = np.ctypeslib.as_array((ctypes.c_int64 * (2 * _FIELDS)).from_address(self._pinned))
        both[:] = 0
        self.report: Table = both[:_FIELDS]
        self.guard_report: Table = both[_FIELDS:]

    def _run(self, name: str, elements: int, *parameters: int) -> Step:
        most = BLOCKS_EACH * self._device.facts.multiprocessors
        blocks = max(1, min(most, -(-elements // (THREADS * PER_THREAD))))
        geometry = Geometry(blocks, THREADS)
        return self._launches.step(self._kernels[name], geometry, self._device.stream, *parameters)

    def fill(self, at: int, count: int, rank: int, start: int, flip: int = 0) -> list[Step]:
        parameters = (at, count, self._at, rank, start, flip)
        return [self._run(f"fill_{self._itemsize}", count, *parameters)] if count else []

    def spoil(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        return self.fill(at, count, rank, start, flip=-1)

    def check(self, at: int, count: int, rank: int, start: int) -> list[Step]:
        if not count:
            return []
        parameters = (at, count, self._at, rank, start, self._reports_at)
        return [
            self._run(f"check_{self._itemsize}", count, *parameters),
            self._run(f"settle_{self._itemsize}", 1, *parameters),
        ]

    def guard(self, at: int, nbytes: int, byte: int) -> list[Step]:
        if not nbytes:
            return []
        report = self._reports_at + 8 * _FIELDS
        return [self._run("guard", nbytes, at, nbytes, byte, report)]

    def done(self) -> list[Step]:
        stream = self._device.stream
        arguments = (self._pinned, self._reports_at, 2 * 8 * _FIELDS, stream)
        return [
            Step(cuda.address("cuMemcpyDtoHAsync"), arguments),
            cuda.synchronise(stream),
        ]

    def forget_guards(self) -> None:
        self._device.upload(self._reports_at + 8 * _FIELDS, self._empty)

    def close(self) -> None:
        self._device.free(self._at)
        self._device.free_host(self._pinned)
