"""The element types, as the field names them, with what exact checking must know of each."""

from __future__ import annotations

import dataclasses

from railgauge.errors import unknown


@dataclasses.dataclass(frozen=True)
class DType:
    """One element type.

    `exponent_bits` and `mantissa_bits` are those of IEEE 754 binary16/32/64, of bfloat16 and of
    the OCP 8-bit floating point specification (both 0 for integers); `signed` says whether negative
    values exist.
    """

    name: str
    itemsize: int
    signed: bool = True
    exponent_bits: int = 0
    mantissa_bits: int = 0

    @property
    def is_float(self) -> bool:
        return self.mantissa_bits > 0

    @property
    def exact_limit(self) -> int:
        """Largest m such that every integer up to m is exact (capped at 2^30)."""
        bits: int = self.mantissa_bits + 1 if self.is_float else self.itemsize * 8 - self.signed
        return min((1 << bits) - (not self.is_float), 1 << 30)


DTYPES = {
    d.name: d
    for d in (
        DType("int8", 1),
        DType("int16", 2),
        DType("int32", 4),
        DType("int64", 8),
        DType("uint8", 1, signed=False),
        DType("uint16", 2, signed=False),
        DType("uint32", 4, signed=False),
        DType("uint64", 8, signed=False),
        DType("float8_e4m3fn", 1, exponent_bits=4, mantissa_bits=3),
        DType("float8_e5m2", 1, exponent_bits=5, mantissa_bits=2),
        DType("float16", 2, exponent_bits=5, mantissa_bits=10),
        DType("bfloat16", 2, exponent_bits=8, mantissa_bits=7),
        DType("float32", 4, exponent_bits=8, mantissa_bits=23),
        DType("float64", 8, exponent_bits=11, mantissa_bits=52),
    )
}


def dtype_named(name: str) -> DType:
    """The DType of that name; raises UsageError with the closest one."""
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES, "railgauge list")
    return DTYPES[name]
