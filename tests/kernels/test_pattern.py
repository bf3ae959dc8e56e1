"""The data that is moved and reduced is the same everywhere, exact in any order, and never dull."""

from __future__ import annotations

import functools
import itertools

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from railgauge.dtypes import DTYPES, DType
from railgauge.errors import UsageError
from railgauge.inputs import WRONG, Checker, data_record, new_report
from railgauge.loop import execute, table
from railgauge.operations import REDUCTIONS
from railgauge_kernels import pattern

NUMPY = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in DTYPES}
COMBINE = {
    **dict.fromkeys(("sum", "avg", "premul_sum"), np.add),
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}
CONTRIBUTED = {
    "premul_sum": pattern.contributed_sum,
    "sum": pattern.contributed_sum,
    "avg": pattern.contributed_sum,
    "prod": pattern.contributed_prod,
    "min": pattern.contributed_extreme,
    "max": pattern.contributed_extreme,
}
FLOATS = [name for name, dtype in DTYPES.items() if dtype.is_float]
ML_DTYPES = [name for name in FLOATS if hasattr(ml_dtypes, name)]  # which NumPy itself lacks
SEEDS = st.integers(0, 2**31 - 1)
SEVERAL = (1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 63, 64, 65, 126, 127, 128, 129, 255, 256, 257, 1000)


def words(dtype: DType) -> np.dtype[np.unsignedinteger]:
    return np.dtype(f"uint{8 * dtype.itemsize}")


def compiled(
    dtype: DType, record: npt.NDArray[np.int64], rank: int, start: int, count: int
) -> npt.NDArray[np.unsignedinteger]:
    """Bits as the compiled loops write them."""
    out = np.zeros(count, words(dtype))
    fill = Checker(dtype.itemsize).fill(out.ctypes.data, count, record, rank, start)
    assert execute(table([fill])) == 0
    return out


def exact(values: npt.NDArray) -> npt.NDArray[np.longdouble]:
    """The same numbers in a type that holds every one of ours, 64-bit integers too."""
    if values.dtype.name in ML_DTYPES:
        values = values.astype(np.float32)
    return values.astype(np.longdouble)


def rounded(values: npt.NDArray[np.longdouble], name: str) -> npt.NDArray:
    """The nearest numbers of the type; through float32, which holds all of ours, where it is narrow."""
    wide = values.astype(np.float32) if name in ML_DTYPES else values
    return wide.astype(NUMPY[name])


def contributions(
    dtype: DType, op: str, ranks: int, seed: int, count: int, reciprocal: bool = False
) -> list[npt.NDArray]:
    record = data_record(dtype, op, ranks, seed, reciprocal)
    made = (compiled(dtype, record, rank, 0, count) for rank in range(ranks))
    return [bits.view(NUMPY[dtype.name]) for bits in made]


def multiplied(op: str, parts: list[npt.NDArray]) -> list[npt.NDArray]:
    """What is added up: a premultiplied sum takes twice what an odd rank brings, exactly."""
    if op != "premul_sum":
        return parts
    made = [part * part.dtype.type(1 + rank % 2) for rank, part in enumerate(parts)]
    for rank, (once, part) in enumerate(zip(made, parts, strict=True)):
        assert np.array_equal(exact(once), exact(part) * (1 + rank % 2))
    return made


def reduction(
    dtype: DType, op: str, ranks: int, seed: int, count: int, reciprocal: bool = False
) -> npt.NDArray:
    record = data_record(dtype, op, ranks, seed, reciprocal)
    return compiled(dtype, record, pattern.REDUCED, 0, count).view(NUMPY[dtype.name])


def checkable(dtype: DType, op: str, ranks: int, reciprocal: bool = False) -> bool:
    try:
        data_record(dtype, op, ranks, 1, reciprocal)
    except UsageError:
        return False
    return True


def reduce_in_random_order(op: str, parts: list[npt.NDArray], order: np.random.Generator):
    """A random tree of reductions in the type itself; every partial result must be exact."""
    combine = COMBINE[op]
    open_ends = [(part, exact(part)) for part in parts]
    while len(open_ends) > 1:
        left = open_ends.pop(order.integers(len(open_ends)))
        at = order.integers(len(open_ends))
        right = open_ends[at]
        made = combine(left[0], right[0])
        true = combine(left[1], right[1])
        assert np.array_equal(exact(made), true)
        open_ends[at] = (made, true)
    return open_ends[0]


# the same bits everywhere --------------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
@given(rank=st.integers(0, 2**20), index=st.integers(0, 2**45), seed=SEEDS)
@settings(max_examples=40)
def test_interpreted_and_compiled_moved_data_have_the_same_bits(name, rank, index, seed):
    dtype = DTYPES[name]
    record = data_record(dtype, None, 2, seed)
    mask = 2 ** (8 * dtype.itemsize) - 1
    expected = [pattern.moved(record.tolist(), rank, index + k) & mask for k in range(5)]
    assert compiled(dtype, record, rank, index, 5).tolist() == expected


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", DTYPES)
@given(index=st.integers(0, 2**45), seed=SEEDS, data=st.data())
@settings(max_examples=20)
def test_interpreted_and_compiled_reduced_data_have_the_same_bits(name, op, index, seed, data):
    dtype = DTYPES[name]
    possible = [ranks for ranks in range(1, 101) if checkable(dtype, op, ranks)]
    ranks = data.draw(st.sampled_from(possible))
    record = data_record(dtype, op, ranks, seed)
    rank = data.draw(st.integers(0, ranks - 1))
    mask = 2 ** (8 * dtype.itemsize) - 1
    plain = record.tolist()
    indices = range(index, index + 5)
    contributed = [CONTRIBUTED[op](plain, rank, i) & mask for i in indices]
    assert compiled(dtype, record, rank, index, 5).tolist() == contributed
    reduced = [pattern.reduced(plain, i) & mask for i in indices]
    assert compiled(dtype, record, pattern.REDUCED, index, 5).tolist() == reduced


@given(value=st.integers(0, 2**62), seed=st.integers(0, pattern.MASK32), n=st.integers(1, 2**31))
def test_mix_and_below_stay_in_range_and_compile_to_the_same_bits(value, seed, n):
    mixed = pattern.mix(value, seed)
    assert 0 <= mixed <= pattern.MASK32
    assert compiled_mix(value, seed) == mixed
    assert 0 <= pattern.below(mixed, n) < n
    assert compiled_below(mixed, n) == pattern.below(mixed, n)


compiled_mix, compiled_below = njit(pattern.mix), njit(pattern.below)
compiled_encode = njit(pattern.encode)


@pytest.mark.parametrize(
    ("name", "op", "contributed", "reduced"),
    [
        ("float32", "sum", 0x42200000, 0x4BF8D3E8),
        ("int8", "prod", 0x01, 0x1C),
        ("bfloat16", "max", 0x4402, 0x4402),
        ("float16", "avg", 0x4D00, 0x5E50),
        ("uint16", "min", 0x3E38, 0x3E34),
    ],
)
def test_data_stays_what_it_was_in_the_first_release(name, op, contributed, reduced):
    # a kernel elsewhere, or an older journal, speaks of these bits
    dtype = DTYPES[name]
    record = data_record(dtype, op, 5, 9)
    assert int(compiled(dtype, record, 3, 1000, 1)[0]) == contributed
    assert int(compiled(dtype, record, pattern.REDUCED, 1000, 1)[0]) == reduced


def test_moved_data_stays_what_it_was_in_the_first_release():
    dtype = DTYPES["uint64"]
    record = data_record(dtype, None, 2, 1)
    assert int(compiled(dtype, record, 1, 2, 1)[0]) == 0x7DE6B8BB4E2DF2AE
    assert (pattern.mix(1, 0), pattern.mix(12345, 678)) == (0x088B4700, 0x788C7FEE)


# numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLOATS)
@given(data=st.data())
@settings(max_examples=200)
def test_encoded_floats_are_what_numpy_converts(name, data):
    dtype = DTYPES[name]
    record = data_record(dtype, "sum", 2, 1)
    magnitude = data.draw(st.integers(0, min(dtype.exact_limit, 2**31 - 1)))
    # normal numbers alone: from 2^(1 - bias), and below the largest finite one
    bias = 2 ** (dtype.exponent_bits - 1) - 1
    exponent = data.draw(st.integers(1 - bias, max(1 - bias, bias - magnitude.bit_length())))
    exponent = max(exponent, -300)
    negative = data.draw(st.integers(0, 1)) if magnitude else 0
    value = np.float64(-magnitude if negative else magnitude) * np.float64(2.0) ** exponent
    expected = int(np.array([value]).astype(NUMPY[name]).view(words(dtype))[0])
    mask = 2 ** (8 * dtype.itemsize) - 1
    plain = pattern.encode(record.tolist(), magnitude, negative, exponent) & mask
    fast = int(compiled_encode(record, magnitude, negative, exponent)) & mask
    assert (plain, fast) == (expected, expected)


@pytest.mark.parametrize("name", [name for name in DTYPES if name not in FLOATS])
@given(magnitude=st.integers(0, 127), negative=st.integers(0, 1))
def test_encoded_integers_are_twos_complement(name, magnitude, negative):
    dtype = DTYPES[name]
    record = data_record(dtype, "sum", 2, 1)
    mask = 2 ** (8 * dtype.itemsize) - 1
    expected = (-magnitude if negative else magnitude) & mask
    assert pattern.encode(record.tolist(), magnitude, negative, 0) & mask == expected
    assert int(compiled_encode(record, magnitude, negative, 0)) & mask == expected


# exactness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_order_of_reduction_gives_the_closed_form_bit_by_bit(name, op):
    dtype = DTYPES[name]
    order = np.random.default_rng(5)
    for ranks in (*SEVERAL, *order.integers(1, 1001, 6).tolist()):
        if not checkable(dtype, op, ranks):
            assert op == "avg"
            continue
        seed = int(order.integers(2**31))
        parts = multiplied(op, contributions(dtype, op, ranks, seed, 64))
        made, true = reduce_in_random_order(op, parts, order)
        if op == "avg":
            true = true / ranks
            # what a library divides: the quotient is representable, so nothing rounds
            made = rounded(true, name)
            assert np.array_equal(exact(made), true)
        expected = reduction(dtype, op, ranks, seed, 64)
        assert np.array_equal(expected.view(words(dtype)), made.view(words(dtype))), ranks


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", FLOATS)
def test_no_float_is_infinite_or_not_a_number_or_subnormal(name, op):
    dtype = DTYPES[name]
    smallest = 2.0 ** (2 - 2 ** (dtype.exponent_bits - 1))
    for ranks in (1, 2, 3, 5, 64, 255):
        if not checkable(dtype, op, ranks):
            continue
        parts = contributions(dtype, op, ranks, 3, 300)
        for values in (*parts, reduction(dtype, op, ranks, 3, 300)):
            wide = np.abs(exact(values))
            assert np.isfinite(wide).all()
            assert ((wide == 0) | (wide >= smallest)).all()


def test_an_average_that_cannot_be_exact_is_refused_and_says_what_to_do():
    with pytest.raises(UsageError, match=r"int8 has no values .*over 1000 ranks .*up to 127"):
        data_record(DTYPES["int8"], "avg", 1000, 1)
    with pytest.raises(UsageError, match=r"next: --op sum, or --dtype float32"):
        data_record(DTYPES["bfloat16"], "avg", 1000, 1)


@pytest.mark.parametrize("name", ["int16", "uint16", "int32", "float32", "float64", "float16"])
def test_wider_types_average_over_any_number_of_ranks_up_to_a_thousand(name):
    assert all(checkable(DTYPES[name], "avg", ranks) for ranks in range(1, 1001))


def test_an_unknown_reduction_is_a_defect_of_the_caller():
    with pytest.raises(ValueError, match="median"):
        data_record(DTYPES["float32"], "median", 2, 1)


# data that shows a fault -----------------------------------------------------------------------


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", DTYPES)
def test_contributions_differ_between_ranks_and_between_elements(name, op):
    parts = [part.tobytes() for part in contributions(DTYPES[name], op, 6, 11, 257)]
    assert len(set(parts)) == 6
    for part in contributions(DTYPES[name], op, 6, 11, 257):
        for distance in (1, 2, 128):
            assert not np.array_equal(part[:-distance], part[distance:])


@pytest.mark.parametrize("name", DTYPES)
def test_moved_data_differs_between_ranks_seeds_and_elements(name):
    dtype = DTYPES[name]
    streams = [
        compiled(dtype, data_record(dtype, None, 4, seed), rank, 0, 4096)
        for seed, rank in itertools.product((1, 2), range(4))
    ]
    same = 4096 / 2.0 ** (8 * dtype.itemsize)  # by chance
    for one, other in itertools.combinations([*streams, streams[0][::-1]], 2):
        assert np.count_nonzero(one == other) <= 6 * same + 4
    for stream in streams:
        assert np.count_nonzero(stream[1:] == stream[:-1]) <= 6 * same + 4
        ones = np.unpackbits(stream.view(np.uint8)).mean()
        assert abs(ones - 0.5) < 0.02


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_leaving_out_any_rank_changes_the_reduction(name, op, ranks):
    parts = multiplied(op, contributions(DTYPES[name], op, ranks, 7, 256))
    whole = COMBINE[op].reduce(np.stack(parts))
    for left in range(ranks):
        others = [part for rank, part in enumerate(parts) if rank != left]
        assert not np.array_equal(COMBINE[op].reduce(np.stack(others)), whole), left


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("ranks", [2, 8, 60, 100, 1000])
def test_half_of_the_exact_range_is_left_for_what_differs_between_elements(name, ranks):
    dtype = DTYPES[name]
    record = data_record(dtype, "sum", ranks, 1)
    assert record[pattern.CHOICES] > dtype.exact_limit // 2
    assert record[pattern.ACTIVE] == min(ranks, dtype.exact_limit // 2)


@pytest.mark.parametrize("name", ["int32", "float32"])
def test_every_rank_brings_the_large_share_of_some_sums(name):
    parts = contributions(DTYPES[name], "sum", 5, 1, 200)
    largest = np.abs(exact(np.stack(parts))).argmax(axis=0)
    assert np.bincount(largest, minlength=5).min() > 10


@pytest.mark.parametrize("op", ["sum", "premul_sum", "min", "max"])
@pytest.mark.parametrize("name", [name for name, dtype in DTYPES.items() if dtype.signed])
def test_signed_types_see_both_signs(name, op):
    values = exact(reduction(DTYPES[name], op, 4, 1, 256))
    assert 0.3 < float((values < 0).mean()) < 0.7


@pytest.mark.parametrize("name", ["int64", "uint64"])
def test_wide_integers_reach_their_upper_half(name):
    values = exact(reduction(DTYPES[name], "sum", 4, 1, 256))
    assert float(np.abs(values).max()) > 2.0**32


@pytest.mark.parametrize("name", FLOATS)
def test_floats_use_several_exponents(name):
    values = np.abs(exact(reduction(DTYPES[name], "min", 2, 1, 512)))
    assert float(values.max()) / float(values.min()) > 2.0**6


# data for libraries that multiply first ----------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
@given(ranks=st.integers(1, 300), seed=SEEDS, index=st.integers(0, 2**40))
@settings(max_examples=40)
def test_a_premultiplied_sum_is_the_plain_one_of_the_multiplied_contributions(
    name, ranks, seed, index
):
    dtype = DTYPES[name]
    record = data_record(dtype, "premul_sum", ranks, seed)
    made = [compiled(dtype, record, rank, index, 3).view(NUMPY[name]) for rank in range(ranks)]
    total = np.sum(np.stack([exact(part) * (1 + rank % 2) for rank, part in enumerate(made)]), 0)
    expected = compiled(dtype, record, pattern.REDUCED, index, 3).view(NUMPY[name])
    assert np.array_equal(exact(expected), total)


@pytest.mark.parametrize("name", DTYPES)
def test_scalars_of_a_premultiplied_sum_that_are_ignored_or_swapped_show(name):
    parts = contributions(DTYPES[name], "premul_sum", 4, 3, 128)
    right = np.sum(np.stack([exact(p) * (1 + rank % 2) for rank, p in enumerate(parts)]), 0)
    for scalars in ((1, 1, 1, 1), (2, 2, 2, 2), (2, 1, 2, 1)):
        wrong = np.sum(np.stack([exact(p) * s for p, s in zip(parts, scalars, strict=True)]), 0)
        assert np.count_nonzero(wrong != right) > 100


def averaged_by_reciprocal(name: str, ranks: int, seed: int, count: int) -> list[npt.NDArray]:
    """Contributions as NCCL adds them up: times 1/ranks, both rounded to the element type."""
    kind = NUMPY[name].type
    scalar = rounded(np.array([np.longdouble(1) / ranks]), name)[0]
    parts = contributions(DTYPES[name], "avg", ranks, seed, count, reciprocal=True)
    return [(part * kind(scalar)).astype(NUMPY[name]) for part in parts]


@functools.cache
def averageable(name: str) -> list[int]:
    """Numbers of ranks over which a reciprocal average of that type can be checked."""
    return [n for n in range(1, 2049) if checkable(DTYPES[name], "avg", n, reciprocal=True)]


POWERS = [1 << k for k in range(11)]


@pytest.mark.parametrize("name", FLOATS)
def test_averages_by_a_reciprocal_over_a_power_of_two_are_exact_in_every_order(name):
    dtype, order = DTYPES[name], np.random.default_rng(6)
    for ranks in POWERS:
        if not checkable(dtype, "avg", ranks, reciprocal=True):
            assert (name, ranks) == ("float8_e4m3fn", 1024)  # an average of normal numbers alone
            continue
        record = data_record(dtype, "avg", ranks, 9, reciprocal=True)
        assert record[pattern.TOLERANCE] == 0
        parts = contributions(dtype, "avg", ranks, 9, 64, reciprocal=True)
        scaled = averaged_by_reciprocal(name, ranks, 9, 64)
        for part, once in zip(parts, scaled, strict=True):
            assert np.array_equal(exact(once) * ranks, exact(part))
        made, true = reduce_in_random_order("sum", scaled, order)
        expected = reduction(dtype, "avg", ranks, 9, 64, reciprocal=True)
        assert np.array_equal(exact(expected), true)
        assert np.array_equal(expected.view(words(dtype)), made.view(words(dtype))), ranks
        # and so they are for a library that adds first and divides then
        whole = np.sum(np.stack([exact(part) for part in parts]), 0)
        assert np.array_equal(exact(expected) * ranks, whole)


def apart(dtype: DType, one: npt.NDArray, other: npt.NDArray) -> npt.NDArray[np.int64]:
    """Units in the last place between numbers of one sign."""
    signed = np.dtype(f"i{dtype.itemsize}")
    return np.abs(one.view(signed).astype(np.int64) - other.view(signed).astype(np.int64))


def told_wrong(dtype: DType, record: npt.NDArray[np.int64], values: npt.NDArray) -> int:
    """How many elements a check finds wrong."""
    data, report = values.view(words(dtype)).copy(), new_report()
    step = Checker(dtype.itemsize).check(
        data.ctypes.data, len(data), record, pattern.REDUCED, 0, report
    )
    assert execute(table([step])) == 0
    return int(report[WRONG])


ODD_RANKS = [3, 5, 6, 7, 9, 12, 15, 24, 48, 100, 255, 1000, 1023, 2047]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("ranks", ODD_RANKS)
def test_averages_by_a_reciprocal_over_other_numbers_stay_within_two_units(name, ranks):
    dtype, count = DTYPES[name], 256
    if ranks > dtype.exact_limit:
        with pytest.raises(UsageError, match=rf"{name} has no values .*over {ranks} ranks"):
            data_record(dtype, "avg", ranks, 4, reciprocal=True)
        return
    record = data_record(dtype, "avg", ranks, 4, reciprocal=True)
    assert record[pattern.TOLERANCE] == 2
    parts = averaged_by_reciprocal(name, ranks, 4, count)
    made, true = reduce_in_random_order("sum", parts, np.random.default_rng(7))
    assert np.array_equal(exact(made), true)  # of the products nothing more is rounded
    expected = reduction(dtype, "avg", ranks, 4, count, reciprocal=True)
    assert apart(dtype, made, expected).max() <= 2
    assert told_wrong(dtype, record, made) == 0
    whole = np.sum(
        np.stack([exact(p) for p in contributions(dtype, "avg", ranks, 4, count, True)]), 0
    )
    assert np.array_equal(exact(expected) * ranks, whole)  # a library that divides is exact


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("ranks", [3, 5, 6, 7])
def test_within_two_units_a_missing_or_repeated_rank_and_a_shift_still_show(name, ranks):
    dtype, count = DTYPES[name], 256
    record = data_record(dtype, "avg", ranks, 4, reciprocal=True)
    parts = averaged_by_reciprocal(name, ranks, 4, count)
    made = np.add.reduce(np.stack(parts))
    for distance in (1, 2, 128):
        assert told_wrong(dtype, record, np.roll(made, distance)) > count // 2
    owned = count // ranks // 2  # at least so many elements are another's alone, by far
    for rank in range(ranks):
        others = [part for k, part in enumerate(parts) if k != rank]
        assert told_wrong(dtype, record, np.add.reduce(np.stack(others))) > owned
        again = [parts[(rank + 1) % ranks] if k == rank else part for k, part in enumerate(parts)]
        assert told_wrong(dtype, record, np.add.reduce(np.stack(again))) > 2 * owned
    assert told_wrong(dtype, record, -made) == count


@pytest.mark.parametrize("name", FLOATS)
@given(seed=SEEDS, index=st.integers(0, 2**40), data=st.data())
@settings(max_examples=60)
def test_interpreted_and_compiled_reciprocal_averages_have_the_same_bits(name, seed, index, data):
    dtype = DTYPES[name]
    possible = averageable(name)
    ranks = data.draw(st.sampled_from(possible))
    record = data_record(dtype, "avg", ranks, seed, reciprocal=True)
    rank = data.draw(st.integers(0, ranks - 1))
    mask = 2 ** (8 * dtype.itemsize) - 1
    indices = range(index, index + 5)
    contributed = [pattern.contributed_sum(record.tolist(), rank, i) & mask for i in indices]
    assert compiled(dtype, record, rank, index, 5).tolist() == contributed
    reduced = [pattern.reduced(record.tolist(), i) & mask for i in indices]
    assert compiled(dtype, record, pattern.REDUCED, index, 5).tolist() == reduced


@pytest.mark.parametrize("name", [name for name in DTYPES if name not in FLOATS])
def test_integers_average_by_a_division_whatever_the_library_does_with_floats(name):
    plain = data_record(DTYPES[name], "avg", 3, 1)
    assert np.array_equal(plain, data_record(DTYPES[name], "avg", 3, 1, reciprocal=True))
