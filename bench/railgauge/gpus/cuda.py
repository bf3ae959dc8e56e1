"""The CUDA driver: a device with its memory, streams, events, graphs and kernels, and functions by address.

Through NVIDIA's own bindings of the driver API (cuda.bindings), not through a library that owns
memory and streams itself: the compiled loops call the driver's C functions by address, so handles
must be the driver's, and a test can put a driver of its own in its place. The one module that
imports cuda.bindings; nothing loads it unless a plan asks for device memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from railgauge.errors import HostError, NotMeasuredError, UsageError
from railgauge.loop import Step
from railgauge_kernels.ladders import Geometry

try:
    from cuda.bindings import driver
except ImportError as error:
    raise HostError(
        f"device memory needs the CUDA bindings ({error}).\n  next: pip install 'railgauge[cuda13]'"
    ) from None

LEAST_DRIVER = 12_000  # CUDA 12: cubins of any 12.x or 13.x compiler need a driver of that major
_NAMES = {  # of the driver's entry points where the plain name is an older form
    "cuMemcpyDtoHAsync": "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync": "cuMemcpyHtoDAsync_v2",
}
_UNIT = 2 << 20
_ALREADY = 704  # CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED (cuda.h)
_IPC_BYTES = 64  # CU_IPC_HANDLE_SIZE (cuda.h)
_PORTABLE_MAPPED = 3  # CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP (cuda.h)


class CudaError(NotMeasuredError):
    """A call of the driver failed."""


class DeviceMemoryError(CudaError):
    """The device has no room for an allocation."""


def call(function: Any, *arguments: Any) -> Any:
    """A driver function's result (None, a value or a tuple); raises CudaError in its own words."""
    code, *results = function(*arguments)
    if int(code):
        kind = DeviceMemoryError if int(code) == 2 else CudaError  # CUDA_ERROR_OUT_OF_MEMORY
        raise kind(f"{function.__name__}: {explain(int(code))}")
    return results[0] if len(results) == 1 else tuple(results) or None


def explain(code: int) -> str:
    """`CUDA_ERROR_OUT_OF_MEMORY (2): out of memory`."""
    try:
        result = driver.CUresult(code)
    except ValueError:
        return f"CUDA error {code}"
    texts = [driver.cuGetErrorName(result)[1], driver.cuGetErrorString(result)[1]]
    name, words = (text.decode() if text else "CUDA error" for text in texts)
    return f"{name} ({code}): {words}"


@functools.cache
def address(name: str) -> int:
    """Address of a driver function, for steps of a program."""
    library = ctypes.CDLL("libcuda.so.1")
    return ctypes.cast(getattr(library, _NAMES.get(name, name)), ctypes.c_void_p).value or 0


def device_count() -> int:
    """How many GPUs this process sees; raises HostError where there is no driver or an old one."""
    try:
        code, *_ = driver.cuInit(0)
    except RuntimeError as error:  # the library itself is missing
        raise HostError(
            f"no NVIDIA driver on this host: {str(error).rstrip('.')}.\n"
            "  next: nvidia-smi, or railgauge run --backend mpi"
        ) from None
    if int(code):
        raise HostError(f"cuInit: {explain(int(code))}.\n  next: nvidia-smi")
    version = int(call(driver.cuDriverGetVersion))
    if version < LEAST_DRIVER:
        raise HostError(
            f"the NVIDIA driver speaks CUDA {version // 1000}.{version % 1000 // 10}, too old.\n"
            f"  expected: at least CUDA {LEAST_DRIVER // 1000}\n  next: update the driver"
        )
    return int(call(driver.cuDeviceGetCount))


@dataclasses.dataclass(frozen=True)
class DeviceFacts:
    """What a GPU is. `uuid` tells whether two ranks, in whatever containers, share it."""

    index: int
    name: str
    uuid: str
    bus_id: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    driver: int


class Device:
    """A GPU, its primary context (current in this thread) and a stream of ours."""

    def __init__(self, index: int) -> None:
        self._device = call(driver.cuDeviceGet, index)
        self._context = call(driver.cuDevicePrimaryCtxRetain, self._device)
        self.enter()
        self.facts = self._read_facts(index)
        self.stream = self.new_stream()
        self._modules: list[Any] = []

    def enter(self) -> None:
        """Make the context current in the calling thread."""
        call(driver.cuCtxSetCurrent, self._context)

    def _attribute(self, name: str) -> int:
        asked = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(call(driver.cuDeviceGetAttribute, asked, self._device))

    def _read_facts(self, index: int) -> DeviceFacts:
        words = call(driver.cuDeviceGetName, 128, self._device)
        uuid = bytes(call(driver.cuDeviceGetUuid, self._device).bytes)
        bus = call(driver.cuDeviceGetPCIBusId, 32, self._device)
        return DeviceFacts(
            index=index,
            name=words.split(b"\0")[0].decode(),
            uuid=uuid.hex(),
            bus_id=bus.split(b"\0")[0].decode(),
            capability=(
                self._attribute("COMPUTE_CAPABILITY_MAJOR"),
                self._attribute("COMPUTE_CAPABILITY_MINOR"),
            ),
            multiprocessors=self._attribute("MULTIPROCESSOR_COUNT"),
            memory_bytes=int(call(driver.cuDeviceTotalMem, self._device)),
            driver=int(call(driver.cuDriverGetVersion)),
        )

    def reach(self, other: Device) -> bool:
        """Let kernels here use the memory of another GPU of this process; False: the hardware cannot."""
        self.enter()
        if not int(call(driver.cuDeviceCanAccessPeer, self._device, other._device)):
            return False
        code, *_ = driver.cuCtxEnablePeerAccess(other._context, 0)
        if int(code) not in (0, _ALREADY):
            raise CudaError(f"cuCtxEnablePeerAccess: {explain(int(code))}")
        return True

    # memory -------------------------------------------------------------------------------------

    def available(self) -> int:
        """Free bytes of the device's memory."""
        return int(call(driver.cuMemGetInfo)[0])

    def allocate(self, nbytes: int) -> int:
        """Address of device memory; raises DeviceMemoryError."""
        return int(call(driver.cuMemAlloc, max(1, nbytes)))

    def allocate_shared(self, nbytes: int) -> int:
        """Address of device memory for `share`; raises DeviceMemoryError.

        Whole units of 2 MiB, in which the driver maps memory: a smaller allocation may share its unit
        with others, and a peer that opens it would see all of them.
        """
        return self.allocate(-(-max(1, nbytes) // _UNIT) * _UNIT)

    def free(self, at: int) -> None:
        call(driver.cuMemFree, at)

    def allocate_host(self, nbytes: int) -> int:
        """Address of zeroed, pinned host memory that all devices reach at the same address."""
        at = int(call(driver.cuMemHostAlloc, max(1, nbytes), _PORTABLE_MAPPED))
        ctypes.memset(at, 0, nbytes)
        return at

    def free_host(self, at: int) -> None:
        call(driver.cuMemFreeHost, at)

    # our stream does not wait for the default one: what is to be in order goes through it

    def set_bytes(self, at: int, byte: int, nbytes: int) -> None:
        """Fill device memory; done when it returns."""
        call(driver.cuMemsetD8Async, at, byte, nbytes, self.stream)
        call(driver.cuStreamSynchronize, self.stream)

    def upload(self, at: int, values: npt.NDArray[Any]) -> None:
        """Copy to the device; done when it returns."""
        call(driver.cuMemcpyHtoDAsync, at, values.ctypes.data, values.nbytes, self.stream)
        call(driver.cuStreamSynchronize, self.stream)

    def download(self, values: npt.NDArray[Any], at: int) -> None:
        """Copy from the device; done when it returns."""
        call(driver.cuMemcpyDtoHAsync, values.ctypes.data, at, values.nbytes, self.stream)
        call(driver.cuStreamSynchronize, self.stream)

    def share(self, at: int) -> bytes:
        """A handle by which another process on this host can open the allocation at `at`."""
        made = call(driver.cuIpcGetMemHandle, at)
        return ctypes.string_at(int(made.getPtr()), _IPC_BYTES)

    def open_shared(self, handle: bytes) -> int:
        """The address in this process of another's allocation (peer access is enabled lazily)."""
        wanted = driver.CUipcMemHandle()
        ctypes.memmove(int(wanted.getPtr()), handle, _IPC_BYTES)
        flag = driver.CUipcMem_flags.CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS
        return int(call(driver.cuIpcOpenMemHandle, wanted, flag))

    def close_shared(self, at: int) -> None:
        call(driver.cuIpcCloseMemHandle, at)

    # streams, events, graphs ------------------------------------------------------------------------

    def new_stream(self) -> int:
        """A stream that does not wait for the default one."""
        return int(call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING))

    def free_stream(self, stream: int) -> None:
        call(driver.cuStreamDestroy, stream)

    def new_event(self, *, timed: bool = True) -> int:
        flags = driver.CUevent_flags
        kind = flags.CU_EVENT_DEFAULT if timed else flags.CU_EVENT_DISABLE_TIMING
        return int(call(driver.cuEventCreate, kind))

    def free_event(self, event: int) -> None:
        call(driver.cuEventDestroy, event)

    def nanoseconds(self, first: int, last: int) -> int:
        """Time between two events that have happened; the driver gives ms in single precision."""
        return int(float(call(driver.cuEventElapsedTime, first, last)) * 1e6)

    @contextlib.contextmanager
    def captured(self, stream: int) -> Iterator[list[int]]:
        """Inside, `stream` records instead of running; afterwards the list holds the graph to launch."""
        made: list[int] = []
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        call(driver.cuStreamBeginCapture, stream, mode)
        try:
            yield made
        finally:
            graph = call(driver.cuStreamEndCapture, stream)
        made.append(int(call(driver.cuGraphInstantiate, graph, 0)))
        call(driver.cuGraphDestroy, graph)

    def free_graph(self, graph: int) -> None:
        call(driver.cuGraphExecDestroy, graph)

    # kernels ----------------------------------------------------------------------------------------

    def load(self, code: bytes, names: Sequence[str]) -> dict[str, int]:
        """The kernels of an image (CUBIN, or PTX that ends with a 0 byte), by name."""
        module = call(driver.cuModuleLoadData, code)
        self._modules.append(module)
        return {
            name: int(call(driver.cuModuleGetFunction, module, name.encode())) for name in names
        }

    def close(self) -> None:
        """Give the context back; what was allocated goes with it."""
        for module in self._modules:
            call(driver.cuModuleUnload, module)
        call(driver.cuStreamDestroy, self.stream)
        call(driver.cuDevicePrimaryCtxRelease, self._device)


# steps ----------------------------------------------------------------------------------------------


class Launches:
    """Steps that launch kernels whose parameters are all 64 bits wide; keeps the parameters."""

    def __init__(self) -> None:
        self._launch = address("cuLaunchKernel")
        self._kept: list[npt.NDArray[np.int64]] = []

    def step(self, kernel: int, geometry: Geometry, stream: int, *parameters: int) -> Step:
        """One launch on `stream`; an empty grid is never launched by the caller."""
        values = np.array([p if p < 2**63 else p - 2**64 for p in parameters], np.int64)
        pointers = values.ctypes.data + 8 * np.arange(len(values), dtype=np.int64)
        self._kept += [values, pointers]
        blocks, threads, shared = geometry
        shape = (blocks, 1, 1, threads, 1, 1, shared)
        return Step(self._launch, (kernel, *shape, stream, pointers.ctypes.data, 0))


def synchronise(stream: int) -> Step:
    """Wait until a stream is empty; fails with whatever went wrong on the device."""
    return Step(address("cuStreamSynchronize"), (stream,))


def record(event: int, stream: int) -> Step:
    return Step(address("cuEventRecord"), (event, stream))


def wait_for(event: int, stream: int) -> Step:
    """Let `stream` go on only after `event`."""
    return Step(address("cuStreamWaitEvent"), (stream, event, 0))


def launch_graph(graph: int, stream: int) -> Step:
    return Step(address("cuGraphLaunch"), (graph, stream))


def set_bytes(at: int, byte: int, nbytes: int, stream: int) -> Step:
    return Step(address("cuMemsetD8Async"), (at, byte, nbytes, stream))


def copy(to: int, source: int, nbytes: int, stream: int) -> Step:
    """By the copy engine; unified addressing tells where both sides lie."""
    return Step(address("cuMemcpyAsync"), (to, source, nbytes, stream))


def choose_device(local_rank: int, ranks_here: int, functional: bool) -> int:
    """The index of this rank's GPU among those that it sees.

    A launcher may show every rank one GPU of its own (Slurm's --gpus-per-task=1). Raises UsageError
    where a node has more ranks than GPUs and sharing was not asked for.
    """
    count = device_count()
    if count == 0:
        raise HostError(
            "no GPU is visible on this host.\n"
            "  next: nvidia-smi, and look at CUDA_VISIBLE_DEVICES; or railgauge run --backend mpi"
        )
    if count > 1 and ranks_here > count and not functional:
        raise UsageError(
            f"{ranks_here} ranks on this host, but only {count} GPUs are visible.\n"
            f"  next: start {count} ranks a host, or --functional to let ranks share a GPU"
        )
    return local_rank % count
