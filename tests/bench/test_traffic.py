"""Traffic of alltoallv against sums over its whole matrix, element by element."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.operations import OPERATIONS
from railgauge.traffic import Traffic, skewed, weighed

MATRICES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 4), min_size=n, max_size=n), min_size=n, max_size=n)
)
SKEWS = st.floats(0, 1, allow_subnormal=False)


def traffic(matrix: list[list[int]]) -> Traffic:
    return Traffic(np.array(matrix, np.int64))


def whole(made: Traffic) -> list[list[int]]:
    return [[int(cell) for cell in row] for row in made.matrix]


def check_sums(made: Traffic) -> None:
    matrix = whole(made)
    for receiver in range(made.n):
        assert made.begins(receiver).tolist() == [sum(row[:receiver]) for row in matrix]
    sent, received = made.totals()
    assert sent.tolist() == [sum(row) for row in matrix]
    assert received.tolist() == [sum(column) for column in zip(*matrix, strict=True)]


@given(matrix=MATRICES)
def test_sums_are_those_of_the_matrix(matrix):
    assert whole(traffic(matrix)) == matrix
    check_sums(traffic(matrix))


@given(n=st.integers(1, 9), count=st.integers(0, 500), skew=SKEWS)
def test_sums_of_senders_that_send_alike_are_those_of_their_matrix(n, count, skew):
    check_sums(skewed(n, count, skew))


@given(matrix=MATRICES.filter(lambda m: any(map(sum, m))), itemsize=st.sampled_from([1, 4]))
def test_the_bus_factor_is_the_busiest_ranks_wire(matrix, itemsize):
    n = len(matrix)
    out, into = [0] * n, [0] * n
    for sender in range(n):
        for receiver in range(n):
            if sender != receiver:
                out[sender] += matrix[sender][receiver] * itemsize
                into[receiver] += matrix[sender][receiver] * itemsize
    made = traffic(matrix)
    assert made.bus_factor() * made.nbytes(itemsize) == pytest.approx(max(*out, *into))


@given(matrix=MATRICES.filter(lambda m: len(m) > 1))
def test_without_traffic_to_oneself_the_bus_factor_is_one(matrix):
    others = np.array(matrix) + 1
    np.fill_diagonal(others, 0)
    assert Traffic(others).bus_factor() == 1


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_uniform_traffic_has_the_factor_of_alltoall(n):
    uniform = skewed(n, 6, 0)
    assert uniform.bus_factor() == pytest.approx(OPERATIONS["alltoall"].bus_factor(n))
    assert uniform.nbytes(4) == OPERATIONS["alltoall"].nbytes(6, 4, n)


def test_no_traffic_at_all_has_no_bus_bandwidth():
    assert traffic([[0, 0], [0, 0]]).bus_factor() == 0


@given(n=st.integers(1, 9), count=st.integers(0, 500), skew=SKEWS)
def test_skew_moves_traffic_to_rank_0_and_loses_none(n, count, skew):
    matrix = whole(skewed(n, count, skew))
    assert {sum(row) for row in matrix} == {n * count}
    assert min(map(min, matrix)) >= 0
    away = count - round(count * skew)
    assert all(weight == away for row in matrix for weight in row[1:])


def test_skew_0_is_uniform_and_skew_1_an_incast():
    assert whole(skewed(3, 5, 0)) == [[5, 5, 5]] * 3
    assert whole(skewed(3, 5, 1)) == [[15, 0, 0]] * 3


@given(matrix=MATRICES.filter(lambda m: any(map(sum, m))), count=st.integers(1, 1000))
def test_weights_keep_their_proportions_and_fill_the_size(matrix, count):
    n, busiest = len(matrix), max(map(sum, matrix))
    scaled = whole(weighed(tuple(map(tuple, matrix)), count, n))
    for row, relative in zip(scaled, matrix, strict=True):
        for made, weight in zip(row, relative, strict=True):
            assert 0 <= weight * count * n / busiest - made < 1
    assert n * count - n < max(map(sum, scaled)) <= n * count


def test_weights_may_be_as_large_as_bytes_of_a_real_trace():
    huge = 10**15
    assert whole(weighed(((0, huge), (huge, 0)), 1 << 20, 2)) == [[0, 1 << 21], [1 << 21, 0]]


def test_16384_ranks_that_send_alike_need_no_matrix_of_theirs():
    n = 16_384
    tracemalloc.start()
    made = skewed(n, 1000, 0.5)
    facts = (made.nbytes(4), made.bus_factor(), made.begins(n - 1)[0], made.matrix[7][8])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    hot = 1000 + 500 * (n - 1)
    assert facts == (n * hot * 4, (n - 1) / n, hot + (n - 2) * 500, 500)
    assert peak < 100 * n  # bytes; a matrix would take 8 * n * n
