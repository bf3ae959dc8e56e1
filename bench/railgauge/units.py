"""Sizes and their words: the only place that knows 2^20 and 10^9.

Sizes are binary (`64K` = `64KiB` = 65,536 bytes, as nccl-tests, OSU and IMB read them);
bandwidths are decimal (1 GB/s = 10^9 bytes a second).
"""

from __future__ import annotations

import re
from fractions import Fraction

from railgauge.errors import UsageError

_SUFFIX = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:iB|B)?|B)?", re.IGNORECASE)
NANOSECONDS = 1e-9
GIGA = 1e9


def parse_size(text: str, field: str = "size") -> int:
    """Bytes of `8`, `64K`, `4KiB`, `1.5M`, `1G`; raises UsageError that names `field`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{field}: {text!r} is not a size.\n"
            "  expected: a number of bytes with an optional binary suffix K, M, G, T"
            " (8, 64K, 4KiB, 1G)\n"
            "  next: railgauge run --help"
        )
    exact = Fraction(match[1]) * 2 ** _SUFFIX[(match[2] or "").upper()]
    if exact.denominator != 1:
        raise UsageError(
            f"{field}: {text!r} is {float(exact)} bytes; a size is a whole number of bytes"
        )
    return int(exact)


def parse_factor(factor: float) -> float:
    """The step factor of a size range; raises UsageError unless it is above 1."""
    if not factor > 1:
        raise UsageError(
            f"--step-factor: {factor:g} does not grow.\n"
            "  expected: a factor above 1 (2 doubles the size from row to row)\n"
            "  next: railgauge run -b 8 -e 1M -f 2"
        )
    return factor


def size_range(first: int, last: int, factor: float) -> tuple[int, ...]:
    """Sizes first, first*factor, ... up to and including last (bytes)."""
    factor = parse_factor(factor)
    if first > last:
        raise UsageError(
            f"--min-bytes {first} is above --max-bytes {last}.\n"
            f"  expected: -b at most -e\n  next: railgauge run -b {last} -e {first}"
        )
    if first == 0:
        return (0, *(size_range(1, last, factor) if last else ()))
    sizes, exact = [], float(first)
    while exact <= last:
        sizes.append(int(exact))
        exact *= factor
    return tuple(dict.fromkeys(sizes))


def parse_sizes(text: str, factor: float) -> tuple[int, ...]:
    """`8,64K,1M:16M` (a range grows by `factor`, `1M:16M:4` by its own) as sorted bytes."""
    sizes: list[int] = []
    for item in text.split(","):
        first, *rest = item.split(":")
        low = parse_size(first, "--sizes")
        if not rest:
            sizes.append(low)
            continue
        if len(rest) > 2:
            raise UsageError(f"--sizes: {item!r} is not FIRST:LAST or FIRST:LAST:FACTOR")
        try:
            step = float(rest[1]) if len(rest) == 2 else factor
        except ValueError:
            raise UsageError(
                f"--sizes: the factor {rest[1]!r} in {item!r} is not a number"
            ) from None
        sizes.extend(size_range(low, parse_size(rest[0], "--sizes"), step))
    return tuple(sorted(set(sizes)))


def format_size(nbytes: int) -> str:
    """`65536` -> `64K`; a size that is no whole multiple stays in bytes."""
    for suffix, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if nbytes and nbytes % (1 << shift) == 0:
            return f"{nbytes >> shift}{suffix}"
    return str(nbytes)


def format_seconds(seconds: float) -> str:
    """Three significant digits with the unit: `0.42 us`, `1.53 ms`, `2.1 s`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * scale:  # what rounds to 1000 of the next unit is 1 of this one
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"
