"""Read, write and triad do what their twins do, at any address and length."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge_kernels import bandwidth

SIZES = (0, 1, 15, 16, 17, 4099, 60_000)


def named(kernel):
    return kernel.function


@pytest.mark.parametrize("kernel", bandwidth.READ, ids=named)
@pytest.mark.parametrize("offset", [0, 1, 4])
def test_reading_adds_up_all_bytes(launch, kernel, offset):
    values = np.random.default_rng(3).integers(0, 256, max(SIZES) + 16).astype(np.uint8)
    for nbytes in SIZES:
        part = values[offset : offset + nbytes]
        sink = np.array([7], np.uint64)
        launch(
            kernel.function, kernel.geometry(nbytes, 1), part.ctypes.data, nbytes, sink.ctypes.data
        )
        assert sink[0] == 7 + bandwidth.read_twin(part)


@pytest.mark.parametrize("kernel", bandwidth.WRITE, ids=named)
@pytest.mark.parametrize("offset", [0, 1, 4])
def test_writing_fills_all_bytes_and_no_others(launch, kernel, offset):
    for nbytes in SIZES:
        whole, expected = np.zeros(nbytes + 32, np.uint8), np.zeros(nbytes + 32, np.uint8)
        bandwidth.write_twin(expected[offset : offset + nbytes], 0x1A7)
        at = whole.ctypes.data + offset
        launch(kernel.function, kernel.geometry(nbytes, 2), at, nbytes, 0x1A7)
        assert np.array_equal(whole, expected)


@pytest.mark.parametrize("kernel", bandwidth.TRIAD, ids=named)
@pytest.mark.parametrize("offsets", [(0, 0, 0), (1, 1, 1), (0, 1, 2)])
def test_the_triad_is_that_of_its_twin_to_the_bit(launch, kernel, offsets):
    count = 20_011
    random = np.random.default_rng(5)
    out, b, c = (random.normal(size=count + 4).astype(np.float32)[o:][:count] for o in offsets)
    expected = bandwidth.triad_twin(b, c, 3)
    places = (out.ctypes.data, b.ctypes.data, c.ctypes.data)
    launch(kernel.function, kernel.geometry(4 * count, 2), *places, 3, count)
    assert np.array_equal(out, expected)


def test_what_each_of_them_moves():
    assert bandwidth.read_traffic(8) == (8, 0)
    assert bandwidth.write_traffic(8) == (0, 8)
    assert bandwidth.triad_traffic(8) == (16, 8)
