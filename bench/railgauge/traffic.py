"""Traffic matrices of alltoallv: how much every rank sends to every other one."""

from __future__ import annotations

Matrix = tuple[tuple[int, ...], ...]  # elements that rank i (row) sends to rank j (column)


def skewed_matrix(n: int, count: int, skew: float) -> Matrix:
    """Traffic of an alltoallv in which rank 0 is a hot spot, in elements.

    Every rank sends `count` elements to each rank; `skew` in [0, 1] is the share of them that
    goes to rank 0 instead (0: uniform, 1: an incast into rank 0). What a rank sends stays the same.
    """
    moved = round(count * skew)
    return tuple(
        tuple(count - moved if j else count + moved * (n - 1) for j in range(n)) for _ in range(n)
    )


def matrix_nbytes(matrix: Matrix, itemsize: int) -> int:
    """max(sent, received) over the ranks, in bytes: the `nbytes` of an alltoallv."""
    columns: list[tuple[int, ...]] = list(zip(*matrix, strict=True))
    return max(sum(line) for line in (*matrix, *columns)) * itemsize


def matrix_bus_factor(matrix: Matrix) -> float:
    """busbw / algbw of an alltoallv: what the busiest rank moves to or from *others*.

    The diagonal never crosses a wire, so the busiest direction of the busiest rank carries its
    total without its own block; a matrix that sends nothing to itself has factor 1.
    """
    columns: list[tuple[int, ...]] = list(zip(*matrix, strict=True))
    busiest = max(
        max(sum(line) - line[rank] for rank, line in enumerate(lines))
        for lines in (matrix, columns)
    )
    total = matrix_nbytes(matrix, 1)
    return busiest / total if total else 0.0
