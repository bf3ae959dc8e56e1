"""The burning kernels compute, and the number of their operations is known."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from railgauge_kernels import burning
from railgauge_kernels.ladders import Geometry


def test_chains_of_multiply_adds_end_where_the_twin_ends(launch):
    state = np.linspace(-1, 1, 64).astype(np.float32)
    expected = burning.burn_twin(state, 50)
    launch("burn", Geometry(2, 32), state.ctypes.data, 50)
    assert np.array_equal(state, expected)
    assert len(set(state)) > 60


def test_the_twin_rounds_a_multiply_add_once():
    x = np.random.default_rng(1).uniform(-1.9, 1.9, 300).astype(np.float32)
    found = burning._quadratic(x)
    for value, got in zip(x.tolist(), found.tolist(), strict=True):
        exact = Fraction(float(np.float32(1.9))) - Fraction(value) ** 2
        below, above = (float(np.nextafter(np.float32(got), np.float32(s))) for s in (-9, 9))
        distance = abs(exact - Fraction(got))
        assert distance <= abs(exact - Fraction(below))
        assert distance <= abs(exact - Fraction(above))


def test_tensor_cores_multiply_matrices_to_the_last_bit(launch):
    expected = burning.tensor_twin()
    for rounds in (0, 2):
        state = np.zeros(64, np.float32)
        launch("burn_tensor", Geometry(1, 64), state.ctypes.data, rounds)
        assert np.array_equal(state, np.tile(expected, 2))
    assert math.isfinite(expected.sum())
    assert len(set(expected)) > 16


def test_operations_count_a_multiply_add_as_two():
    burn, tensor = burning.LADDER
    assert burning.operations(burn, 32, 10) == 32 * 10 * 8 * 2
    assert burning.operations(tensor, 64, 10) == 2 * 10 * 8 * (16 * 8 * 16) * 2
    assert burning.traffic(64) == (256, 256)
