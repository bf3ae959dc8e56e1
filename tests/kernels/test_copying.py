"""Every copy kernel copies what its twin copies, from and to any address, and nothing beside it."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge_kernels import copying

SIZES = (0, 1, 3, 15, 16, 17, 511, 4096, 70_001)
POISON = 0xA5


def places(nbytes, offset):
    """(whole array, the bytes of it that begin `offset` behind a multiple of 16)."""
    whole = np.full(nbytes + 64, POISON, np.uint8)
    begin = -whole.ctypes.data % 16 + offset
    return whole, whole[begin : begin + nbytes]


@pytest.mark.parametrize("kernel", copying.LADDER, ids=lambda kernel: kernel.function)
@pytest.mark.parametrize(("to_offset", "from_offset"), [(0, 0), (5, 5), (4, 8), (1, 3), (0, 15)])
def test_a_copy_is_that_of_its_twin(launch, kernel, to_offset, from_offset):
    for nbytes in SIZES:
        _, source = places(nbytes, from_offset)
        source[:] = np.random.default_rng(nbytes).integers(0, 256, nbytes)
        whole, to = places(nbytes, to_offset)
        expected, expected_to = places(nbytes, to_offset)
        copying.twin(expected_to, source)
        geometry = kernel.geometry(nbytes, 2)
        launch(kernel.function, geometry, to.ctypes.data, source.ctypes.data, nbytes)
        assert np.array_equal(to, expected_to)
        begins = (
            to.ctypes.data - whole.ctypes.data,
            expected_to.ctypes.data - expected.ctypes.data,
        )
        assert np.array_equal(np.roll(whole, -begins[0]), np.roll(expected, -begins[1]))


@pytest.mark.parametrize("kernel", copying.BIDIRECTIONAL, ids=lambda kernel: kernel.function)
@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_both_ways_are_copied_by_any_number_of_blocks(launch, kernel, blocks):
    nbytes = 50_000
    one, other = (np.random.default_rng(s).integers(0, 256, nbytes).astype("u1") for s in (1, 2))
    to, back_to = np.zeros_like(one), np.zeros_like(one)
    geometry = kernel.geometry(nbytes, 2)._replace(blocks=blocks)
    places = (to.ctypes.data, one.ctypes.data, back_to.ctypes.data, other.ctypes.data)
    launch(kernel.function, geometry, *places, nbytes)
    assert np.array_equal(to, one)
    assert np.array_equal(back_to, other)


def test_a_copy_reads_and_writes_all_bytes_once():
    assert copying.traffic(99) == (99, 99)
