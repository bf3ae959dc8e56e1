"""Memory of other processes' GPUs, mapped into this one by CUDA IPC."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device
from railgauge.world import Communicator

#: An allocation, and addresses inside it.
Area = tuple[int, Sequence[int]]


def reached(
    device: Device,
    group: Communicator,
    mine: Sequence[Area],
    peers: Sequence[int],
    closes: contextlib.ExitStack,
) -> dict[int, list[list[int]]] | None:
    """The addresses that each of `peers` gave, as this process reaches them; all ranks of the group call.

    None where this rank or one of its peers cannot reach all of its own: on another host, without
    peer access, or through an allocation that cannot be shared. All of them learn it.
    """
    shared: list[tuple[bytes, list[int]]] = []
    with contextlib.suppress(cuda.CudaError):
        shared = [(device.share(base), [a - base for a in inside]) for base, inside in mine]
    everybody = group.all_gather((shared, socket.gethostname()))
    found: dict[int, list[list[int]]] = {}
    closes.callback(group.barrier)  # nobody frees what another still has open
    for peer in peers:
        theirs, host = everybody[peer]
        with contextlib.suppress(cuda.CudaError):
            if host == socket.gethostname() and theirs:
                found[peer] = [
                    _opened(device, handle, offsets, closes) for handle, offsets in theirs
                ]
    complete = group.all_gather(len(found) == len(peers))
    return found if all(complete[rank] for rank in (group.rank, *peers)) else None


def _opened(
    device: Device, handle: bytes, offsets: Sequence[int], closes: contextlib.ExitStack
) -> list[int]:
    base = device.open_shared(handle)
    closes.callback(device.close_shared, base)
    return [base + offset for offset in offsets]
