"""The OSU micro-benchmarks (OMB), MPI on host memory.

Read from the sources of OMB 7.4 (c/mpi, c/util/osu_util_mpi.c), which also print:
    collectives  `-zP`: per iteration the mean over ranks, sorted, element iterations*P/100 - 1
                 (integer division, no interpolation); avg, min, max: over the ranks' means
    osu_latency  the same percentile of rank 0's half round trips
    osu_bw ...   the same percentile of rank 0's bandwidths of whole windows, ascending
`-i` and `-x` hold for small and large messages alike. Collectives print the bytes of one block
where there are blocks, except for reduce_scatter. Sizes of one launch double from the first on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from railgauge.errors import NotMeasuredError
from railgauge_reports.crosscheck.pairing import (
    NOTHING_PRINTED,
    Figures,
    Pairing,
    Recompute,
    Seconds,
    agreed_operation,
    printed_step,
    rank_means,
)
from railgauge_reports.importing.osu_table import columns_of, row_of

HELP = ("--help",)
WINDOW = 64
PERCENTILE = 50
_VECTOR = ("osu_reduce_scatter", "osu_reduce_scatter_persistent")
_VECTOR_NOTE = "osu_reduce_scatter calls MPI_Reduce_scatter, ours MPI_Reduce_scatter_block"
_COLLECTIVES = {
    "allreduce": "all_reduce",
    "allgather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "reduce_scatter_block": "reduce_scatter",
    "bcast": "broadcast",
    "reduce": "reduce",
    "gather": "gather",
    "scatter": "scatter",
    "alltoall": "alltoall",
    "barrier": "barrier",
}
_PER_BLOCK = ("all_gather", "gather", "scatter", "alltoall")
_REDUCING = ("all_reduce", "reduce", "reduce_scatter")
_POINT_TO_POINT = {
    "latency": "latency",
    "bw": "bandwidth",
    "bibw": "bidirectional_bandwidth",
    "mbw_mr": "message_rate",
}
_WINDOWED = ("bandwidth", "bidirectional_bandwidth", "message_rate")
_PERSISTENT = (
    *(name for name in _COLLECTIVES if name != "reduce_scatter_block"),
    "latency",
    "bw",
    "bibw",
)
_MEASURES = {
    **{f"osu_{name}": op for name, op in (_COLLECTIVES | _POINT_TO_POINT).items()},
    **{f"osu_{name}_persistent": (_COLLECTIVES | _POINT_TO_POINT)[name] for name in _PERSISTENT},
}
NAMES = tuple(_MEASURES)
_OPTION = re.compile(r"--([a-z][a-z-]+)")


def recognises(binary: str) -> bool:
    return binary in NAMES


def options_of(help_text: str) -> frozenset[str]:
    """Long options that a help text names; those of OMB 7.4 where it names none."""
    found = frozenset(_OPTION.findall(help_text))
    return found if "iterations" in found else frozenset({"type", "tail-lat", "full"})


def pairing(binary: str, operation: str | None, options: frozenset[str]) -> Pairing:
    name = agreed_operation(binary, operation, _MEASURES[binary])
    collective = name in _COLLECTIVES.values()
    tail = "tail-lat" in options
    # osu_barrier times its barriers one after the other; osu_mbw_mr meets before each window
    meets = {*_COLLECTIVES.values(), "message_rate"} - {"barrier"}
    statistic = f"P{PERCENTILE}" if tail else "average"
    over = "the mean over ranks" if collective else "rank 0"
    # before it had -T, OMB reduced floats and moved chars
    dtype = "float32" if "type" in options or name in _REDUCING else "int8"
    return Pairing(
        benchmark=binary,
        operation=name,
        statistic=statistic,
        words=f"{statistic} of {over}" + (", as bandwidth" if name in _WINDOWED else ""),
        recompute=_recompute(name, collective, tail),
        dtype=dtype,
        timing="barrier" if name in meets else "back_to_back",
        call="persistent" if binary.endswith("_persistent") else None,
        per_block=name in _PER_BLOCK,
        window=WINDOW if name in _WINDOWED else None,
        weight=WINDOW if name in _WINDOWED else 1,
        ranks=2 if not collective and name != "message_rate" else None,
        notes=(_VECTOR_NOTE,) if binary in _VECTOR else (),
    )


def percentile(values: Seconds, percent: int = PERCENTILE) -> float:
    """The element that OMB takes: omb_calculate_tail_lat, integer division, no interpolation."""
    ordered = np.sort(values)
    return float(ordered[max(0, len(ordered) * percent // 100 - 1)])


def _recompute(operation: str, collective: bool, tail: bool) -> Recompute:
    def of_ranks(samples: Seconds) -> Figures:
        means = rank_means(samples)
        if not tail:
            return means
        return Figures(percentile(samples.mean(axis=0)), means.average, means.fastest)

    def of_first_rank(samples: Seconds) -> Figures:
        average = float(samples[0].mean())
        return Figures(percentile(samples[0]) if tail else average, average)

    def of_windows(samples: Seconds) -> Figures:
        average = float(samples[0].mean())
        return Figures(1 / percentile(1 / samples[0]) if tail else average, average)

    if collective:
        return of_ranks
    return of_windows if operation in _WINDOWED else of_first_rank


def reachable(sizes: Sequence[int]) -> list[list[int]]:
    launches: list[list[int]] = []
    for size in sizes:
        quotient, rest = divmod(size, launches[-1][0]) if launches and launches[-1][0] else (0, 1)
        if not rest and quotient & (quotient - 1) == 0:
            launches[-1].append(size)
        else:
            launches.append([size])
    return launches


def arguments(
    pairing: Pairing, sizes: Sequence[int], iterations: int, warmup: int, options: frozenset[str]
) -> list[str]:
    made = ["-i", str(iterations), "-x", str(warmup)]
    if pairing.operation != "barrier":
        made = ["-m", f"{sizes[0]}:{sizes[-1]}", *made]
        if "type" in options:
            made += ["-T", "mpi_float"]
    if pairing.window and "window-size" in options:
        made += ["-W", str(pairing.window)]
    if "tail-lat" in options:
        made.append(f"-z{PERCENTILE}")  # a blank between the two and it is not understood
    if "full" in options and pairing.operation in _COLLECTIVES.values():
        made.append("-f")
    return made


def figures(
    pairing: Pairing,
    text: str,
    ranks: int,  # noqa: ARG001 (OSU refuses to run alone)
) -> dict[int, Figures]:
    _check_datatype(pairing, text)
    columns: list[str] = []
    found: dict[int, Figures] = {}
    for line in text.splitlines():
        columns = columns_of(line) or columns
        row = None if line.startswith("#") or not columns else row_of(line, columns)
        if row is not None:
            size = int(row.get("size", "0"))
            found[size] = _figures(pairing, size, row)
    return found


def _figures(pairing: Pairing, size: int, row: Mapping[str, str]) -> Figures:
    if pairing.statistic != "average" and "typical" not in row:
        raise NotMeasuredError(f"{pairing.benchmark} printed no percentile, asked for with -z")
    printed = row.get("typical", row["average"])
    if pairing.operation in _WINDOWED:
        # MB/s of all pairs and both directions; the time is that of one message, of any of them
        if not float(printed) or not float(row["average"]):
            return NOTHING_PRINTED
        typical, average = (size / (float(cell) * 1e6) for cell in (printed, row["average"]))
        step = printed_step(printed) / float(printed)
        return Figures(typical, average, resolution=typical * step)
    fastest = float(row["fastest"]) * 1e-6 if "fastest" in row else None
    return Figures(
        float(printed) * 1e-6, float(row["average"]) * 1e-6, fastest, printed_step(printed) * 1e-6
    )


def _check_datatype(pairing: Pairing, text: str) -> None:
    said = re.search(r"^# Datatype: (\w+)", text, re.MULTILINE)
    expected = {"float32": "MPI_FLOAT", "int8": "MPI_CHAR"}[pairing.dtype]
    if said and said[1] != expected:
        raise NotMeasuredError(
            f"{pairing.benchmark} measured {said[1]}, asked for {expected}: it falls back silently"
            " where it does not know a type"
        )
