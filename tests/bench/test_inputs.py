"""Checking finds every wrong bit, names the first wrong element, and never cries wolf."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from railgauge.dtypes import DTYPES, DType
from railgauge.inputs import (
    EXPECTED,
    FOUND,
    GUARD_BYTE,
    WHERE,
    WRONG,
    Checker,
    data_record,
    guard_check_address,
    new_report,
)
from railgauge.loop import Step, execute, table
from railgauge_kernels.pattern import REDUCED

COUNT = 19  # no multiple of any vector width


class Stream:
    """Elements start ... start + COUNT of one stream, filled, with a report of their checks."""

    def __init__(
        self,
        dtype: DType,
        op: str | None,
        source: int,
        start: int = 0,
        ranks: int = 4,
        reciprocal: bool = False,
    ) -> None:
        self.dtype, self.source, self.start = dtype, source, start
        self.checker = Checker(dtype.itemsize)
        self.record = data_record(dtype, op, ranks, 17, reciprocal)
        self.data: npt.NDArray[np.unsignedinteger] = np.zeros(COUNT, f"u{dtype.itemsize}")
        self.report = new_report()
        self.do(self.checker.fill(*self.place))

    @property
    def place(self) -> tuple[int, int, npt.NDArray[np.int64], int, int]:
        return self.data.ctypes.data, COUNT, self.record, self.source, self.start

    def do(self, step: Step) -> None:
        assert execute(table([step])) == 0

    def check(self) -> int:
        self.do(self.checker.check(*self.place, self.report))
        return int(self.report[WRONG])


KINDS = [(None, 2), *((op, REDUCED) for op in ("sum", "prod", "min", "avg", "premul_sum"))]
FLOATS = [name for name, dtype in DTYPES.items() if dtype.is_float]


@pytest.mark.parametrize(("op", "source"), KINDS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_flipped_bit_of_every_element_is_found_and_named(name, op, source):
    dtype = DTYPES[name]
    stream = Stream(dtype, op, source)
    assert stream.check() == 0
    mask = 2 ** (8 * dtype.itemsize) - 1
    for element in range(COUNT):
        for bit in range(8 * dtype.itemsize):
            stream.report[:] = 0
            right = int(stream.data[element])
            stream.data[element] = right ^ (1 << bit)
            assert stream.check() == 1
            assert stream.report[WHERE] == stream.data.ctypes.data + element * dtype.itemsize
            assert int(stream.report[EXPECTED]) & mask == right
            assert int(stream.report[FOUND]) & mask == right ^ (1 << bit)
            stream.data[element] = right
    stream.report[:] = 0
    assert stream.check() == 0


@pytest.mark.parametrize("name", ["int8", "float16", "float32", "float64"])
@given(wrong=st.sets(st.integers(0, COUNT - 1)), flip=st.integers(1, 255))
@settings(max_examples=30)
def test_wrong_elements_are_counted_and_the_first_is_named(name, wrong, flip):
    stream = Stream(DTYPES[name], "max", REDUCED)
    stream.data[sorted(wrong)] ^= flip
    assert stream.check() == len(wrong)
    if wrong:
        at = stream.data.ctypes.data + min(wrong) * stream.dtype.itemsize
        assert stream.report[WHERE] == at


def test_a_report_keeps_its_first_finding_and_adds_up_the_rest():
    stream = Stream(DTYPES["int32"], None, 0)
    stream.data[7] ^= 1
    stream.check()
    first = stream.report[[WHERE, EXPECTED, FOUND]].tolist()
    stream.data[3] ^= 1
    assert stream.check() == 1 + 2
    assert stream.report[[WHERE, EXPECTED, FOUND]].tolist() == first


@pytest.mark.parametrize(("op", "source"), KINDS)
@pytest.mark.parametrize("name", DTYPES)
def test_spoiling_makes_every_element_wrong(name, op, source):
    stream = Stream(DTYPES[name], op, source)
    right = stream.data.copy()
    stream.do(stream.checker.spoil(*stream.place))
    assert stream.check() == COUNT
    assert np.array_equal(stream.data, ~right)


@pytest.mark.parametrize(("op", "source"), KINDS)
@pytest.mark.parametrize("name", DTYPES)
@given(start=st.integers(0, 2**40), skip=st.integers(0, COUNT))
@settings(max_examples=10)
def test_a_stream_is_the_same_wherever_filling_it_begins(name, op, source, start, skip):
    dtype = DTYPES[name]
    early, late = (Stream(dtype, op, source, start + k) for k in (0, skip))
    assert np.array_equal(early.data[skip:], late.data[: COUNT - skip])
    assert late.check() == 0


@pytest.mark.parametrize(("op", "source"), [(None, 2), ("sum", REDUCED), ("sum", 2)])
def test_elements_beyond_the_32nd_bit_are_not_those_before_it(op, source):
    near, far = (Stream(DTYPES["float32"], op, source, start) for start in (0, 2**32))
    assert not np.array_equal(near.data, far.data)


@pytest.mark.parametrize("name", DTYPES)
def test_checking_another_stream_or_position_fails(name):
    stream = Stream(DTYPES[name], None, 1)
    for source, start in ((2, 0), (1, 1), (0, 0)):
        stream.report[:] = 0
        place = (stream.data.ctypes.data, COUNT, stream.record, source, start)
        stream.do(stream.checker.check(*place, stream.report))
        assert stream.report[WRONG] > COUNT // 2


# where a library rounds -------------------------------------------------------------------------


@pytest.fixture(params=FLOATS)
def tolerant(request):
    """An average over 3 ranks by a library that multiplies by 1/3: right within two units."""
    return Stream(DTYPES[request.param], "avg", REDUCED, ranks=3, reciprocal=True)


def test_two_units_in_the_last_place_either_way_are_right_and_three_are_wrong(tolerant):
    right = tolerant.data.copy()
    for units in (-2, -1, 0, 1, 2):
        tolerant.data[:] = right.astype(np.int64) + units  # the last place is the last bit
        assert tolerant.check() == 0
    for units in (-3, 3, -4, 100):
        tolerant.report[:] = 0
        tolerant.data[:] = (right.view(f"i{right.itemsize}") + units).view(right.dtype)
        assert tolerant.check() == COUNT


@given(wrong=st.sets(st.integers(0, COUNT - 1), min_size=1), units=st.sampled_from([-3, 3, 50]))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_elements_that_are_too_far_off_the_first_is_named_not_one_that_is_near(
    tolerant, wrong, units
):
    tolerant.do(tolerant.checker.fill(*tolerant.place))
    tolerant.report[:] = 0
    right = tolerant.data.copy()
    tolerant.data[:] += right.dtype.type(1)  # all are off, within what is allowed
    first = min(wrong)
    off = right.view(f"i{right.itemsize}") + units
    tolerant.data[sorted(wrong)] = off.view(right.dtype)[sorted(wrong)]
    assert tolerant.check() == len(wrong)
    mask = 2 ** (8 * tolerant.dtype.itemsize) - 1
    assert tolerant.report[WHERE] == tolerant.data.ctypes.data + first * right.itemsize
    assert int(tolerant.report[EXPECTED]) & mask == int(right[first])
    assert int(tolerant.report[FOUND]) & mask == int(tolerant.data[first])


def test_a_flipped_sign_is_wrong_however_tolerant_the_check(tolerant):
    tolerant.data ^= tolerant.data.dtype.type(1 << (8 * tolerant.dtype.itemsize - 1))
    assert tolerant.check() == COUNT


def test_zeros_infinities_and_nans_are_wrong_however_tolerant_the_check(tolerant):
    exponent, mantissa = tolerant.dtype.exponent_bits, tolerant.dtype.mantissa_bits
    everything = (1 << (exponent + mantissa)) - 1  # a NaN in all of these formats
    for bits in (0, ((1 << exponent) - 1) << mantissa, everything):
        tolerant.report[:] = 0
        tolerant.data[:] = bits
        assert tolerant.check() == COUNT


def test_spoiling_makes_every_element_wrong_however_tolerant_the_check(tolerant):
    tolerant.do(tolerant.checker.spoil(*tolerant.place))
    assert tolerant.check() == COUNT


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_over_a_power_of_two_one_unit_in_the_last_place_is_wrong(name, ranks):
    stream = Stream(DTYPES[name], "avg", REDUCED, ranks=ranks, reciprocal=True)
    assert stream.check() == 0
    stream.data += stream.data.dtype.type(1)
    assert stream.check() == COUNT


def test_nothing_is_written_or_read_where_the_count_is_zero():
    stream = Stream(DTYPES["int16"], None, 0)
    before = stream.data.copy()
    at, _, *rest = stream.place
    stream.do(stream.checker.spoil(at, 0, *rest))
    stream.do(stream.checker.check(at, 0, *rest[:1], 3, 0, stream.report))
    assert np.array_equal(stream.data, before)
    assert stream.report.tolist() == [0] * 4


@given(nbytes=st.integers(1, 200), data=st.data())
def test_every_overwritten_guard_byte_is_counted_and_the_first_is_named(nbytes, data):
    zone = np.full(nbytes, GUARD_BYTE, np.uint8)
    report = new_report()
    step = Step(guard_check_address(), (zone.ctypes.data, nbytes, GUARD_BYTE, report.ctypes.data))
    assert execute(table([step])) == 0
    assert report.tolist() == [0] * 4
    hit = data.draw(st.sets(st.integers(0, nbytes - 1), min_size=1))
    zone[sorted(hit)] = 0x3C
    execute(table([step]))
    assert report[WRONG] == len(hit)
    assert report[WHERE] == zone.ctypes.data + min(hit)
    assert (report[EXPECTED], report[FOUND]) == (GUARD_BYTE, 0x3C)
