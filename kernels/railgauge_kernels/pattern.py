"""The data that is moved and reduced: what a rank puts in, and what must come out, element by element.

Every function here is plain integer arithmetic on 64-bit integers with explicit masks, so that
CPython, Numba on the host and Numba CUDA on the device give the same bits. Nothing is compiled
here: the caller decorates.

A *stream* is the endless sequence of elements of one rank in one case; element `index` of it
is a pure function of (seed, rank, index). Two kinds exist:

- **moved** data (broadcast, all_gather, ...): pseudo-random bits of the element's width;
- **reduced** data: values whose reduction over all ranks is exact in the element type *in any
  order of evaluation*, depends on the index, and has a closed form that costs O(1) however
  many ranks there are. In element i every rank has a position p = (rank + rotation(i)) mod n:

  - sum, avg: rank contributes +-(weight(p) + [rank owns i] * b(i)) * 2^e(i), weight(p) =
    1 + (p & `weight_mask`) for p < `active`, else 0; the total is +-(all weights + b(i)) * 2^e(i).
  - prod: position 0 brings an odd integer, positions 1 and 2 a factor 2, floats a factor 1/2
    at positions 3 and 4; signed types a sign at every odd position.
  - min, max: +-(base(i) + min(p, `cap`)) * 2^e(i).

  A *premultiplied* sum multiplies what a rank brings by 1 (even ranks) or 2 (odd ranks) first.

  All partial results are integers (times a power of two) of at most `exact_limit`, so that no
  order of additions rounds (the idea is nccl-tests', verifiable.cu; this closed form is ours).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

Record = Sequence[int]  # the fields below, a tuple where it is compiled
MASK32 = 0xFFFFFFFF

#: In place of a rank: the reduction over all ranks.
REDUCED = -1

MOVED, SUM, PROD, EXTREME = 0, 1, 2, 3

# Fields of a parameter record (int64 each), filled in by the caller.
(
    KIND,
    SEED,
    RANKS,
    SIGNED,  # 1 where half of the elements are negative (never for prod), else 0
    EXPONENT_BITS,
    MANTISSA_BITS,
    ITEM_BITS,
    WEIGHT_MASK,  # sum: weight(p) = 1 + (p & WEIGHT_MASK)
    ACTIVE,  # sum: positions from here on contribute 0
    CHOICES,  # number of values that b(i), the odd factor or base(i) can take
    STEP,  # sum: b(i) = FIRST + STEP * k
    FIRST,  # sum: smallest b(i); min, max: smallest base(i); prod: 1 where signs are used
    CAP,  # min, max: largest distance from the base; prod: 1 where halves are used
    SPREAD,  # number of exponents that 2^e(i) can take
    LOWEST,  # smallest e(i)
    TOTAL_FIRST,  # the result's magnitude is TOTAL_FIRST + TOTAL_STEP * k
    TOTAL_STEP,
    SWING,  # min, max: what is added to the magnitude where the element is negative
    TOTAL_SIGN,  # prod: 1 where the result is negative
    TOTAL_EXPONENT,  # prod, premultiplied sum: the exponent of the result
    PREMULTIPLIED,  # sum: 1 where the library multiplies each contribution (see `contributed_sum`)
    TOLERANCE,  # units in the last place by which the result may differ: 0 wherever it is exact
) = range(22)
FIELDS = 22


#: Fields of the report of a check, int64 each: number of wrong elements; address of the first one
#: (on a device the lowest, NOWHERE before any); the expected and the found bits there. A device's
#: report has one more, the address to which these two belong.
WRONG, WHERE, EXPECTED, FOUND, SETTLED = range(5)
NOWHERE = 2**63 - 1


def compiled(name: str, decorate: Callable[[Any], Any]) -> Any:
    """The function of that name here, it and all that it calls decorated for a compiler."""
    function = globals()[name]
    names = dict(globals())
    for used in function.__code__.co_names:
        if isinstance(names.get(used), types.FunctionType):
            names[used] = compiled(used, decorate)
    made = types.FunctionType(function.__code__, names, name)
    made.__annotations__ = function.__annotations__
    return decorate(made)


def mix(value: int, seed: int) -> int:
    """32 well-mixed bits of (value, seed).

    The shape of C. Wellons' `lowbias32`, its second multiplier shortened to 31 bits so that no
    product leaves a signed 64-bit integer.
    """
    x = (value ^ (value >> 32) ^ seed) & MASK32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK32
    x = ((x ^ (x >> 15)) * 0x46CA68B1) & MASK32
    return x ^ (x >> 16)


def below(random32: int, n: int) -> int:
    """An integer in [0, n) from 32 random bits, without a division; n < 2^31."""
    return (random32 * n) >> 32


def moved(record: Record, rank: int, index: int) -> int:
    """Bits of element `index` of `rank`'s stream of moved data; narrow types take the low ones."""
    key = mix(rank * 0x9E3779B + 1, record[SEED])
    low = mix(index, key)
    return (mix(low, key ^ 0x5BD1E995) << 32) | low


def encode(record: Record, magnitude: int, negative: int, exponent: int) -> int:
    """Bits of +-magnitude * 2^exponent (magnitude < 2^31) in the record's type; it fits exactly.

    Integers come back in two's complement, of which narrow types take the low bits.
    Free of branches, so that compilers vectorise the loops around it.
    """
    mantissa_bits = record[MANTISSA_BITS]
    if mantissa_bits == 0:
        return (magnitude << exponent) * (1 - 2 * negative)
    # position of the leading bit
    rest = magnitude
    lead = (rest > 0xFFFF) * 16
    rest >>= lead
    step = (rest > 0xFF) * 8
    lead += step
    rest >>= step
    step = (rest > 0xF) * 4
    lead += step
    rest >>= step
    step = (rest > 0x3) * 2
    lead += step
    rest >>= step
    lead += rest > 1
    # the bits below it, left-aligned at bit 52, then brought to their place
    mantissa = ((magnitude << 31) >> lead) & 0x7FFFFFFF
    mantissa = (mantissa << 21) >> (52 - mantissa_bits)
    bias = (1 << (record[EXPONENT_BITS] - 1)) - 1
    bits = (negative << (record[ITEM_BITS] - 1)) | ((lead + exponent + bias) << mantissa_bits)
    return (bits | mantissa) * (magnitude != 0)


def element_facts(record: Record, index: int) -> tuple[int, int, int, int]:
    """(choice, exponent, negative, random32) of element `index`, the same on every rank."""
    random = mix(index, record[SEED])
    exponent = record[LOWEST] + (((random & 0xFF) * record[SPREAD]) >> 8)
    return below(random, record[CHOICES]), exponent, record[SIGNED] & (random >> 8), random


def reduced(record: Record, index: int) -> int:
    """Bits of element `index` of the reduction over all ranks: O(1) in the number of ranks."""
    choice, exponent, negative, _ = element_facts(record, index)
    magnitude = record[TOTAL_FIRST] + record[TOTAL_STEP] * choice + record[SWING] * negative
    return encode(
        record, magnitude, negative ^ record[TOTAL_SIGN], exponent + record[TOTAL_EXPONENT]
    )


def position_of(record: Record, rank: int, random: int) -> tuple[int, int]:
    """The rank's place in the rotation of one element, and the bits that chose the rotation."""
    rotation = mix(random, 0x2545F491)
    position = rank + below(rotation, record[RANKS])
    return position - record[RANKS] * (position >= record[RANKS]), rotation


def contributed_sum(record: Record, rank: int, index: int) -> int:
    """Bits of element `index` that `rank` puts into a sum or an average."""
    choice, exponent, negative, random = element_facts(record, index)
    position, rotation = position_of(record, rank, random)
    owner = below(mix(rotation, 0x38495AB5), record[RANKS])
    magnitude = (position < record[ACTIVE]) * (1 + (position & record[WEIGHT_MASK]))
    magnitude += (owner == rank) * (record[FIRST] + record[STEP] * choice)
    # premultiplied: the library doubles what odd ranks bring, so even ranks bring it doubled
    return encode(record, magnitude, negative, exponent + record[PREMULTIPLIED] * (1 - (rank & 1)))


def contributed_prod(record: Record, rank: int, index: int) -> int:
    """Bits of element `index` that `rank` puts into a product."""
    choice, _, _, random = element_facts(record, index)
    position, _ = position_of(record, rank, random)
    magnitude = 1 + (position == 0) * 2 * choice
    halves = record[CAP] * ((position == 3) + (position == 4))
    exponent = (position == 1) + (position == 2) - halves
    return encode(record, magnitude, record[FIRST] & position, exponent)


def contributed_extreme(record: Record, rank: int, index: int) -> int:
    """Bits of element `index` that `rank` puts into a minimum or a maximum."""
    choice, exponent, negative, random = element_facts(record, index)
    position, _ = position_of(record, rank, random)
    above = position - (position - record[CAP]) * (position > record[CAP])
    return encode(record, record[FIRST] + choice + above, negative, exponent)
