"""What Numba CUDA kernels here are made of: memory by its address, and calls that need no device.

Kernels here take nothing but 64-bit integers, as `cuLaunchKernel` passes them and as the compiled
host loops do; Numba has no word for "the four bytes at this address", so these intrinsics are it.
All addresses are of global memory (device memory, a peer's, or mapped host memory) and must be
multiples of the width accessed: a GPU traps on others (PTX ISA, "Addresses as Operands").

Numba compiles an ordinary device function for the device that is present, and there need not be
one; `called` makes functions that are compiled with the kernel that calls them.

In Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1) the same names are plain Python on the memory
of the process; kernels are then given numpy.int64, which wrap as 64 bits do.
"""

from __future__ import annotations

import ctypes
import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import config

_WIDTHS = (1, 2, 4, 8)
_lock = threading.Lock()


def _simulated() -> dict[str, Any]:
    def load(width: int) -> Any:
        word = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_int64}[width]
        return lambda address: np.int64(word.from_address(int(address)).value)

    def store(width: int) -> Any:
        word = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_int64}[width]

        def stored(address: int, value: int) -> None:
            word.from_address(int(address)).value = int(value)

        return stored

    def load_pair(address: int) -> tuple[Any, Any]:
        if address % 16:
            raise ValueError(f"address {address:#x} is not a multiple of 16")
        return load(8)(address), load(8)(address + 8)

    def store_pair(address: int, low: int, high: int) -> None:
        if address % 16:
            raise ValueError(f"address {address:#x} is not a multiple of 16")
        store(8)(address, low)
        store(8)(address + 8, high)

    def atomic(combine: Any) -> Any:
        def combined(address: int, value: int) -> Any:
            with _lock:
                old = load(8)(address)
                store(8)(address, combine(old, value))
            return old

        return combined

    def load_fields(count: int) -> Any:
        return lambda address: tuple(load(8)(address + 8 * k) for k in range(count))

    def called(function: Callable[..., Any], _returned: int) -> Any:
        def wrapping(value: Any) -> Any:
            if isinstance(value, int):  # as 64 bits hold it
                return np.int64((value + 2**63) % 2**64 - 2**63)
            return tuple(map(wrapping, value)) if isinstance(value, tuple) else value

        return lambda *arguments: wrapping(function(*arguments))

    return {
        **{f"load_{w}": load(w) for w in _WIDTHS},
        **{f"store_{w}": store(w) for w in _WIDTHS},
        "called": called,
        "load_fields": load_fields,
        "load_pair": load_pair,
        "store_pair": store_pair,
        "atomic_add": atomic(lambda old, value: old + value),
        "atomic_min": atomic(min),
    }


def _compiled() -> dict[str, Any]:
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    pair = types.UniTuple(types.int64, 2)

    def pointer(builder: Any, address: Any, to: Any) -> Any:
        # address space 1 is global memory (NVVM IR specification): ld.global, not a generic ld
        return builder.inttoptr(address, ir.PointerType(to, addrspace=1))

    def load(width: int) -> Any:
        word = ir.IntType(8 * width)

        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            value = builder.load(pointer(builder, args[0], word), align=width)
            return builder.zext(value, ir.IntType(64)) if width < 8 else value

        return intrinsic(lambda _typing, address: (types.int64(address), codegen))

    def store(width: int) -> Any:
        word = ir.IntType(8 * width)

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            value = builder.trunc(args[1], word) if width < 8 else args[1]
            builder.store(value, pointer(builder, args[0], word), align=width)
            return context.get_dummy_value()

        return intrinsic(
            lambda _typing, _address, _value: (types.void(types.int64, types.int64), codegen)
        )

    def load_pair(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(64), 2)
        both = builder.load(pointer(builder, args[0], vector), align=16)
        halves = [builder.extract_element(both, ir.IntType(32)(k)) for k in (0, 1)]
        return context.make_tuple(builder, signature.return_type, halves)

    def store_pair(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(64), 2)
        both = vector(ir.Undefined)
        for k in (0, 1):
            both = builder.insert_element(both, args[1 + k], ir.IntType(32)(k))
        builder.store(both, pointer(builder, args[0], vector), align=16)
        return context.get_dummy_value()

    def atomic(operation: str) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            where = pointer(builder, args[0], ir.IntType(64))
            return builder.atomic_rmw(operation, where, args[1], "monotonic")

        return intrinsic(
            lambda _typing, _address, _value: (types.int64(types.int64, types.int64), codegen)
        )

    def load_fields(count: int) -> Any:
        fields = types.UniTuple(types.int64, count)

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            first = pointer(builder, args[0], ir.IntType(64))
            places = [builder.gep(first, [ir.IntType(32)(k)]) for k in range(count)]
            return context.make_tuple(builder, fields, [builder.load(p, align=8) for p in places])

        return intrinsic(lambda _typing, _address: (fields(types.int64), codegen))

    def called(function: Callable[..., Any], returned: int) -> Any:
        many = types.UniTuple(types.int64, returned)
        result = (types.void, types.int64)[returned] if returned < 2 else many

        def typing(_context: Any, *args: Any) -> Any:
            taken = (a if isinstance(a, types.BaseTuple) else types.int64 for a in args)

            def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                return context.compile_internal(builder, function, signature, values)

            return result(*taken), codegen

        parameters = list(inspect.signature(function).parameters.values())
        context = inspect.Parameter("_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typing.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        return intrinsic(typing)

    return {
        **{f"load_{w}": load(w) for w in _WIDTHS},
        **{f"store_{w}": store(w) for w in _WIDTHS},
        "called": called,
        "load_fields": load_fields,
        "load_pair": intrinsic(lambda _typing, _address: (pair(types.int64), load_pair)),
        "store_pair": intrinsic(
            lambda _typing, _address, _low, _high: (types.void(*[types.int64] * 3), store_pair)
        ),
        "atomic_add": atomic("add"),
        "atomic_min": atomic("min"),
    }


_primitives = _simulated() if config.ENABLE_CUDASIM else _compiled()

#: LOAD[w](address) -> int64: the w bytes at `address`, zero-extended. STORE[w](address, value).
LOAD = {w: _primitives[f"load_{w}"] for w in _WIDTHS}
STORE = {w: _primitives[f"store_{w}"] for w in _WIDTHS}
#: load_fields(n) is a function from an address to the tuple of the n int64 that begin there.
load_fields = _primitives["load_fields"]
#: load_pair(address) -> (int64, int64); store_pair(address, low, high): 16 bytes at once.
load_pair, store_pair = _primitives["load_pair"], _primitives["store_pair"]
#: atomic_add(address, value), atomic_min(address, value) -> what the int64 was before; relaxed.
atomic_add, atomic_min = _primitives["atomic_add"], _primitives["atomic_min"]


def called(function: Callable[..., Any], returned: int = 1) -> Any:
    """`function` for kernels to call: parameters are int64 or tuples, `returned` int64 come back."""
    return _primitives["called"](function, returned)
