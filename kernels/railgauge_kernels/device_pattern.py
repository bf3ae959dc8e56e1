"""Fill, check, settle and guard on the device: Numba CUDA kernels of the functions in pattern.py.

They take the same 64-bit integers as their twins on the host. A report is int64[5] in device
memory, see WRONG ... SETTLED. `check` counts wrong elements and keeps the lowest address of one;
`settle`, launched behind it, writes down what stood there.

Addresses must be multiples of the element's width. A thread moves 16 bytes at a time; what lies
before the first and behind the last multiple of 16 goes element by element.

Importing this module imports numba.cuda.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import cuda

from railgauge_kernels import pattern
from railgauge_kernels.device_intrinsics import (
    LOAD,
    STORE,
    atomic_add,
    atomic_min,
    called,
    load_fields,
    load_pair,
    store_pair,
)
from railgauge_kernels.pattern import EXPECTED, FOUND, NOWHERE, SETTLED, WHERE, WRONG

ITEMSIZES = (1, 2, 4, 8)
#: Threads a block.
BLOCK = 256
#: Number of 64-bit parameters of each kernel.
PARAMETERS = {"fill": 6, "check": 6, "settle": 6, "guard": 4}

_KIND, _TOLERANCE = pattern.KIND, pattern.TOLERANCE
_MOVED, _SUM, _PROD = pattern.MOVED, pattern.SUM, pattern.PROD
_load_record = load_fields(pattern.FIELDS)
_load_8, _store_8, _load_1 = LOAD[8], STORE[8], LOAD[1]


def _mask(itemsize: int) -> int:
    """The bits of one element in a signed 64-bit integer."""
    return -1 if itemsize == 8 else (1 << 8 * itemsize) - 1


def _on_device(function: Any) -> Any:
    returned = function.__annotations__["return"].count("int")  # "int", "tuple[int, int]"
    return called(function, returned)


_moved, _sum, _prod, _extreme, _reduction = (
    pattern.compiled(name, _on_device)
    for name in (
        "moved",
        "contributed_sum",
        "contributed_prod",
        "contributed_extreme",
        "reduced",
    )
)


@called
def _reduced(record, _rank, index):  # type: ignore[no-untyped-def]
    """`pattern.reduced` with the parameters of its siblings."""
    return _reduction(record, index)


@called
def _thread():  # type: ignore[no-untyped-def]
    return cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x


@called
def _threads():  # type: ignore[no-untyped-def]
    return cuda.gridDim.x * cuda.blockDim.x


def _whole_pairs(at, count, itemsize):  # type: ignore[no-untyped-def]
    """(elements before the first multiple of 16 bytes, 16-byte pairs of words from there on)."""
    head = min((-at & 15) // itemsize, count)
    return head, ((count - head) * itemsize) // 16


_body = called(_whole_pairs, 2)


def _fill_with(element: Any, itemsize: int) -> Any:
    """Device function: `fill` for one kind of stream."""
    store = STORE[itemsize]
    bits, lanes, mask = 8 * itemsize, 8 // itemsize, _mask(itemsize)

    def fill(at, count, record, rank, start, flip):  # type: ignore[no-untyped-def]
        head, pairs = _body(at, count, itemsize)
        thread, threads = _thread(), _threads()
        body, index = at + head * itemsize, start + head
        pair = thread
        while pair < pairs:
            low, high = 0, 0
            for half in range(2):  # the compiler unrolls both loops
                word = 0
                for lane in range(lanes):
                    one = element(record, rank, index + (2 * pair + half) * lanes + lane)
                    word |= ((one ^ flip) & mask) << (bits * lane)
                if half == 0:
                    low = word
                else:
                    high = word
            store_pair(body + 16 * pair, low, high)
            pair += threads
        whole = pairs * 2 * lanes
        edge = thread
        while edge < count - whole:
            i = edge if edge < head else edge + whole
            store(at + i * itemsize, element(record, rank, start + i) ^ flip)
            edge += threads

    return called(fill, 0)


def _check_one(element: Any, itemsize: int) -> Any:
    """Device function: 1 where element i is wrong, else 0."""
    load, sign, mask = LOAD[itemsize], 8 * itemsize - 1, _mask(itemsize)

    def check_one(at, record, rank, start, i):  # type: ignore[no-untyped-def]
        expected = element(record, rank, start + i) & mask
        found = load(at + i * itemsize)
        # Not abs(): the difference of 64-bit values may wrap. Where the sign bits agree it cannot,
        # and where they differ the values are no neighbours.
        tolerance = record[_TOLERANCE]
        far = (found - expected > tolerance) | (expected - found > tolerance)
        return far | ((found ^ expected) >> sign & 1)

    return called(check_one)


def _check_with(element: Any, itemsize: int) -> Any:
    """Device function: `check` for one kind of stream; (wrong elements, lowest address of one)."""
    check_one = _check_one(element, itemsize)
    bits, lanes, mask = 8 * itemsize, 8 // itemsize, _mask(itemsize)

    def differs(at, record, rank, start, pairs):  # type: ignore[no-untyped-def]
        """Bits in which any pair of this thread is not as expected, all of them ORed."""
        thread, threads = _thread(), _threads()
        difference = 0
        pair = thread
        while pair < pairs:
            # two loads in flight; at the end the second is the first again, which does no harm
            other = pair + threads if pair + threads < pairs else pair
            a, b = load_pair(at + 16 * pair)
            c, d = load_pair(at + 16 * other)
            for k in range(4):  # the compiler unrolls both loops
                found = (a if k == 0 else b) if k < 2 else (c if k == 2 else d)
                index = start + (2 * (pair if k < 2 else other) + (k & 1)) * lanes
                word = 0
                for lane in range(lanes):
                    word |= (element(record, rank, index + lane) & mask) << (bits * lane)
                difference |= found ^ word
            pair += 2 * threads
        return difference

    differs = called(differs)

    def check(at, count, record, rank, start):  # type: ignore[no-untyped-def]
        head, pairs = _body(at, count, itemsize)
        thread, threads = _thread(), _threads()
        wrong, where, whole = 0, NOWHERE, pairs * 2 * lanes
        if differs(at + head * itemsize, record, rank, start + head, pairs) != 0:  # type: ignore[no-untyped-call]
            step = thread * 2 * lanes  # once more, one by one
            while step < whole:
                for i in range(head + step, head + step + 2 * lanes):
                    one = check_one(at, record, rank, start, i)
                    wrong += one
                    where = min(where, at + i * itemsize if one else NOWHERE)
                step += threads * 2 * lanes
        edge = thread
        while edge < count - whole:
            i = edge if edge < head else edge + whole
            one = check_one(at, record, rank, start, i)
            wrong += one
            where = min(where, at + i * itemsize if one else NOWHERE)
            edge += threads
        return wrong, where

    return called(check, 2)


def _fill(itemsize: int) -> Any:
    moved, reduced, added, multiplied, extreme = (
        _fill_with(element, itemsize) for element in (_moved, _reduced, _sum, _prod, _extreme)
    )

    def fill(at, count, parameters, rank, start, flip):  # type: ignore[no-untyped-def]
        """Write elements start ... start+count of `rank`'s stream, XOR `flip` (0 or -1), to `at`."""
        record = _load_record(parameters)
        if record[_KIND] == _MOVED:
            moved(at, count, record, rank, start, flip)
        elif rank < 0:
            reduced(at, count, record, rank, start, flip)
        elif record[_KIND] == _SUM:
            added(at, count, record, rank, start, flip)
        elif record[_KIND] == _PROD:
            multiplied(at, count, record, rank, start, flip)
        else:
            extreme(at, count, record, rank, start, flip)

    return fill


def _check(itemsize: int) -> Any:
    moved, reduced = (_check_with(element, itemsize) for element in (_moved, _reduced))

    def check(at, count, parameters, rank, start, report):  # type: ignore[no-untyped-def]
        """Compare with what `fill` writes; adds to WRONG and lowers WHERE."""
        record = _load_record(parameters)
        if record[_KIND] == _MOVED:
            wrong, where = moved(at, count, record, rank, start)
        else:
            wrong, where = reduced(at, count, record, rank, start)
        if wrong > 0:
            atomic_add(report + 8 * WRONG, wrong)
            atomic_min(report + 8 * WHERE, where)

    return check


def _settle(itemsize: int) -> Any:
    load = LOAD[itemsize]
    mask = _mask(itemsize)

    def settle(at, count, parameters, rank, start, report):  # type: ignore[no-untyped-def]
        """If the lowest wrong element lies here, write down its expected and found bits; 1 thread."""
        where = _load_8(report + 8 * WHERE)
        inside = at <= where < at + count * itemsize
        if _thread() == 0 and inside and where != _load_8(report + 8 * SETTLED):
            record = _load_record(parameters)
            index = start + (where - at) // itemsize
            expected = _reduction(record, index)
            if record[_KIND] == _MOVED:
                expected = _moved(record, rank, index)
            _store_8(report + 8 * EXPECTED, expected & mask)
            _store_8(report + 8 * FOUND, load(where))
            _store_8(report + 8 * SETTLED, where)

    return settle


def guard(at, nbytes, byte, report):  # type: ignore[no-untyped-def]
    """Count bytes that differ from `byte` and settle the lowest one; one block does all of it."""
    wrong, where = 0, NOWHERE
    if cuda.blockIdx.x == 0:
        i = cuda.threadIdx.x
        while i < nbytes:
            if _load_1(at + i) != byte:
                wrong += 1
                where = min(where, at + i)
            i += cuda.blockDim.x
        if wrong > 0:
            atomic_add(report + 8 * WRONG, wrong)
            atomic_min(report + 8 * WHERE, where)
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            where = atomic_min(report + 8 * WHERE, NOWHERE)  # a read that no cache can answer
            if at <= where < at + nbytes and where != _load_8(report + 8 * SETTLED):
                _store_8(report + 8 * EXPECTED, byte)
                _store_8(report + 8 * FOUND, _load_1(where))
                _store_8(report + 8 * SETTLED, where)


def kernels(itemsize: int) -> dict[str, Callable[..., None]]:
    """The kernels for elements of `itemsize` bytes, by the names under which an image has them."""
    return {
        f"fill_{itemsize}": _fill(itemsize),
        f"check_{itemsize}": _check(itemsize),
        f"settle_{itemsize}": _settle(itemsize),
        "guard": guard,
    }
