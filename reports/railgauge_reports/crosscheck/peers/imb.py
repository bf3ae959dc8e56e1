"""Intel MPI Benchmarks, the MPI-1 part (IMB-MPI1), which holds many benchmarks in one binary.

Read from the sources of IMB 2021.11 (src_c/IMB_output.c). IMB keeps no single samples: t_avg,
t_min and t_max are over the ranks' means; PingPong and the windowed benchmarks print the slowest
rank. Collectives pass a barrier after each timed call (-sync on); the others, and Barrier itself, run
back to back.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from railgauge.errors import NotMeasuredError, UsageError, unknown
from railgauge_reports.crosscheck.pairing import (
    NOTHING_PRINTED,
    Figures,
    Pairing,
    printed_step,
    rank_means,
    slowest_rank_mean,
)
from railgauge_reports.importing.imb_table import columns_of, row_of

HELP: tuple[str, ...] = ()
NAMES = ("IMB-MPI1",)
WINDOW = 64
LONGEST_SECONDS = 60  # IMB cuts a size short after this time


@dataclasses.dataclass(frozen=True)
class _Benchmark:
    """`whole`: one loop is timed, without barriers; `messages`: of a window, 0 without one."""

    name: str
    per_block: bool = False
    whole: bool = False
    messages: int = 0
    dtype: str = "int8"


_BENCHMARKS = {
    "all_reduce": _Benchmark("Allreduce", dtype="float32"),
    "all_gather": _Benchmark("Allgather", per_block=True),
    "reduce_scatter": _Benchmark("Reduce_scatter_block", per_block=True, dtype="float32"),
    "broadcast": _Benchmark("Bcast"),
    "reduce": _Benchmark("Reduce", dtype="float32"),
    "gather": _Benchmark("Gather", per_block=True),
    "scatter": _Benchmark("Scatter", per_block=True),
    "alltoall": _Benchmark("Alltoall", per_block=True),
    "barrier": _Benchmark("Barrier", whole=True),
    "latency": _Benchmark("PingPong", whole=True),
    "sendrecv": _Benchmark("Sendrecv", whole=True),
    "bandwidth": _Benchmark("Uniband", whole=True, messages=WINDOW),
    "bidirectional_bandwidth": _Benchmark("Biband", whole=True, messages=WINDOW),
}
_SLOWEST = ("latency", "bandwidth", "bidirectional_bandwidth")


def recognises(binary: str) -> bool:
    return binary in NAMES


def options_of(help_text: str) -> frozenset[str]:  # noqa: ARG001 (its options have not changed)
    return frozenset()


def pairing(binary: str, operation: str | None, options: frozenset[str]) -> Pairing:  # noqa: ARG001 (see options_of)
    example = f"railgauge crosscheck --peer PATH/{binary} --operation all_reduce"
    if operation is None:
        raise UsageError(
            f"--operation is missing: {binary} holds many benchmarks.\n"
            f"  allowed: {', '.join(_BENCHMARKS)}\n  next: {example}"
        )
    if operation not in _BENCHMARKS:
        raise unknown(f"operation of {binary}", operation, _BENCHMARKS, example)
    found = _BENCHMARKS[operation]
    slowest = operation in _SLOWEST
    return Pairing(
        benchmark=f"{binary} {found.name}",
        operation=operation,
        statistic="average",
        words="mean of the slowest rank" if slowest else "mean over ranks of the ranks' means",
        recompute=slowest_rank_mean if slowest else rank_means,
        dtype=found.dtype,
        timing="back_to_back" if found.whole else "barrier",
        per_block=found.per_block,
        window=found.messages or None,
        weight=found.messages or 1,
        ranks=2 if operation == "latency" else None,
        notes=("IMB keeps no percentiles: averages are compared, which one interruption can move",),
    )


def reachable(sizes: Sequence[int]) -> list[list[int]]:
    return [list(sizes)]


def arguments(
    pairing: Pairing,
    sizes: Sequence[int],
    iterations: int,
    warmup: int,  # noqa: ARG001 (IMB warms up by itself)
    options: frozenset[str],  # noqa: ARG001 (see options_of)
) -> list[str]:
    return [
        pairing.benchmark.split()[1],
        "-npmin", "1000000",  # more than there are: all ranks, and no smaller groups
        "-iter", str(iterations),
        "-iter_policy", "off",
        "-time", str(LONGEST_SECONDS),
        "-msgsize", ",".join(map(str, sizes)),
    ]  # fmt: skip


def figures(pairing: Pairing, text: str, ranks: int) -> dict[int, Figures]:
    columns: list[str] = []
    found: dict[int, Figures] = {}
    for line in text.splitlines():
        titles = columns_of(line)
        if titles is not None:
            columns = titles
            continue
        said = re.match(r"#\s*#processes = (\d+)", line)
        if said and int(said[1]) != ranks:
            raise NotMeasuredError(
                f"{pairing.benchmark} ran on {said[1]} ranks, asked for {ranks}.\n"
                "  expected: a binary built with the MPI library that starts it"
            )
        if columns and (row := row_of(line, columns)):
            found[int(row.get("size", "0"))] = _figures(pairing, row)
    return found


def _figures(pairing: Pairing, row: Mapping[str, str]) -> Figures:
    if pairing.window:  # of all pairs and both directions, as ours
        if not float(row["rate"]):
            return NOTHING_PRINTED
        typical = 1 / float(row["rate"])
        return Figures(typical, typical, resolution=typical**2 * printed_step(row["rate"]))
    fastest = float(row["fastest"]) * 1e-6 if "fastest" in row else None
    average = float(row["average"]) * 1e-6
    return Figures(average, average, fastest, printed_step(row["average"]) * 1e-6)
