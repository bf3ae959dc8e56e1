"""nccl-tests and rccl-tests: NVIDIA or AMD GPUs, the time of the out-of-place columns.

Read at nccl-tests 2.19.6 (src/common.cu, src/util.cu). One launch times all iterations together,
back to back, and prints the slowest rank's time (`-a 3`), as our batches do. Sizes are those
of railgauge: the larger of what a rank sends and receives. Times under 100 us have two decimals,
longer ones fewer, so each row has its own resolution.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from railgauge.errors import NotMeasuredError
from railgauge_reports.crosscheck.pairing import (
    Figures,
    Pairing,
    agreed_operation,
    printed_step,
    rank_means,
)
from railgauge_reports.importing.nccl_layout import BLOCK, UNTITLED, cells_of, layout_of

HELP: tuple[str, ...] = ()
_MEASURES = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "broadcast": "broadcast",
    "reduce": "reduce",
    "gather": "gather",
    "scatter": "scatter",
    "alltoall": "alltoall",
    "sendrecv": "sendrecv",
}
NAMES = tuple(f"{name}_perf" for name in _MEASURES)
_BINARY = re.compile(rf"({'|'.join(_MEASURES)})_perf(?:_mpi)?")
_RANK = re.compile(r"^#\s+Rank\s+\d+\s", re.MULTILINE)


def recognises(binary: str) -> bool:
    return _BINARY.fullmatch(binary) is not None


def options_of(help_text: str) -> frozenset[str]:  # noqa: ARG001 (the options used here never changed)
    return frozenset()


def pairing(binary: str, operation: str | None, options: frozenset[str]) -> Pairing:  # noqa: ARG001 (see options_of)
    name = binary.partition("_perf")[0]
    return Pairing(
        benchmark=binary,
        operation=agreed_operation(binary, operation, _MEASURES[name]),
        statistic="average",
        words="the slowest rank's time of all iterations together",
        recompute=rank_means,
        timing="back_to_back",
        backend="nccl",
        more=("--no-spin",),  # it times from the first launch on, too
        notes=("nccl-tests keeps no percentiles: averages are compared",),
    )


def reachable(sizes: Sequence[int]) -> list[list[int]]:
    return [[size] for size in sizes]


def arguments(
    pairing: Pairing,  # noqa: ARG001 (the binary alone says what is measured)
    sizes: Sequence[int],
    iterations: int,
    warmup: int,
    options: frozenset[str],  # noqa: ARG001 (see options_of)
) -> list[str]:
    bounds = ["-b", str(sizes[0]), "-e", str(sizes[-1])]
    fixed = ["-d", "float", "-g", "1", "-c", "0", "-a", "3"]
    return [*bounds, *fixed, "-n", str(iterations), "-w", str(warmup)]


def figures(pairing: Pairing, text: str, ranks: int) -> dict[int, Figures]:
    found: dict[int, Figures] = {}
    devices = len(_RANK.findall(text))
    if devices and devices != ranks:
        raise NotMeasuredError(
            f"{pairing.benchmark} ran on {devices} ranks, asked for {ranks}.\n"
            "  expected: a binary built with MPI=1, by the MPI library that starts it"
        )
    layout = UNTITLED
    for line in text.splitlines():
        layout = layout_of(line) or layout
        row = cells_of(line, layout)
        if row is None or len(row.values) < len(BLOCK):
            continue
        time = row.values[layout.blocks[0][0]]
        typical = float(time) * 1e-6
        found[row.identity.nbytes] = Figures(typical, typical, resolution=1e-6 * _step(time))
    return found


def _step(text: str) -> float:
    mantissa, _, exponent = text.partition("e")
    return printed_step(mantissa) * 10.0 ** int(exponent or 0)
