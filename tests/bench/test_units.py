"""Sizes are read as people write them, and what is no size says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge.units import (
    GIGA,
    NANOSECONDS,
    format_seconds,
    format_size,
    parse_factor,
    parse_size,
    parse_sizes,
    size_range,
)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("8", 8),
        ("0", 0),
        ("64K", 65536),
        ("64k", 65536),
        ("4KiB", 4096),
        ("4KB", 4096),
        ("8B", 8),
        ("1.5M", 1572864),
        ("1G", 2**30),
        (" 2 T ", 2**41),
        ("0.5K", 512),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_size_is_a_number_with_a_binary_suffix(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["64Q", "", "K", "-8", "8 8", "1e3", "0x10", "8KK", "8iB", "nan"])
def test_what_is_no_size_is_refused_with_the_field_the_value_and_an_example(text):
    with pytest.raises(UsageError) as raised:
        parse_size(text, "--min-bytes")
    message = str(raised.value)
    assert message.startswith(f"--min-bytes: {text!r} is not a size.")
    assert "64K" in message
    assert "next: railgauge run --help" in message


@pytest.mark.parametrize("text", ["1.5", "0.3K", "1.00001M"])
def test_a_part_of_a_byte_is_refused(text):
    with pytest.raises(UsageError, match="whole number of bytes"):
        parse_size(text)


@given(st.integers(0, 2**60))
def test_a_formatted_size_is_read_back(nbytes):
    assert parse_size(format_size(nbytes)) == nbytes


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0"), (8, "8"), (1000, "1000"), (1024, "1K"), (1536, "1536"), (3 << 20, "3M")],
)
def test_only_whole_multiples_get_a_suffix(nbytes, text):
    assert format_size(nbytes) == text


@given(st.integers(1, 10**6), st.integers(0, 10**9), st.floats(1.01, 64))
def test_a_range_grows_by_the_factor_within_its_ends(first, more, factor):
    sizes = size_range(first, first + more, factor)
    assert sizes[0] == first
    assert sizes[-1] <= first + more < sizes[-1] * factor + factor
    assert sorted(set(sizes)) == list(sizes)


def test_a_range_by_two_meets_its_last_size():
    assert size_range(8, 64, 2) == (8, 16, 32, 64)
    assert size_range(8, 63, 2) == (8, 16, 32)
    assert size_range(10, 1000, 10) == (10, 100, 1000)
    assert size_range(4, 4, 2) == (4,)
    assert size_range(0, 4, 2) == (0, 1, 2, 4)
    assert size_range(0, 0, 2) == (0,)


def test_a_range_that_ends_before_it_begins_is_refused_and_turned_around():
    with pytest.raises(
        UsageError, match=r"--min-bytes 64 is above --max-bytes 8\.(\n.*)*-b 8 -e 64"
    ):
        size_range(64, 8, 2)


@pytest.mark.parametrize("factor", [1, 0.5, 0, -2, float("nan")])
def test_a_factor_that_does_not_grow_is_refused(factor):
    with pytest.raises(UsageError, match=r"--step-factor: .* does not grow\.\n.*above 1"):
        parse_factor(factor)
    with pytest.raises(UsageError, match="--step-factor"):
        size_range(8, 64, factor)


def test_a_list_mixes_sizes_and_ranges_sorted_and_each_once():
    assert parse_sizes("64K,8", 2) == (8, 65536)
    assert parse_sizes("8:64", 2) == (8, 16, 32, 64)
    assert parse_sizes("8:64:8,16,8", 2) == (8, 16, 64)
    assert parse_sizes("1M:16M:4", 2) == (1 << 20, 4 << 20, 16 << 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8,64Q", "'64Q' is not a size"),
        ("8,,16", "'' is not a size"),
        ("8:16:2:2", "is not FIRST:LAST or FIRST:LAST:FACTOR"),
        ("8:16:two", "the factor 'two' in '8:16:two' is not a number"),
        ("64:8", "above"),
        ("8:64:1", "does not grow"),
    ],
)
def test_a_list_names_the_item_that_is_wrong(text, message):
    with pytest.raises(UsageError, match=message):
        parse_sizes(text, 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.2e-7, "0.42 us"),
        (1.53e-3, "1.53 ms"),
        (2.1, "2.1 s"),
        (0.99999e-3, "1 ms"),
        (0.9994e-3, "999 us"),
        (1e-9, "0.001 us"),
    ],
)
def test_seconds_are_shown_with_three_digits_and_their_unit(seconds, text):
    assert format_seconds(seconds) == text


def test_bandwidths_are_decimal_and_stamps_are_nanoseconds():
    assert (GIGA, NANOSECONDS) == (10**9, 10**-9)
