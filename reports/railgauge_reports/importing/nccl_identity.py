"""Which collective a run of nccl-tests measured, on how many ranks: said, or inferred and noted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from railgauge_reports.importing import nccl_inference as inference
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.nccl_inference import Evidence
from railgauge_reports.importing.rows import What

#: Reductions under other names.
REDUCTIONS = {"mulsum": "premul_sum"}
_REDUCING = ("all_reduce", "reduce_scatter", "reduce")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")


def identify(
    run: FoundRun,
    program: str | None,
    listed: int,
    in_place_unchecked: bool,
    evidence: Sequence[Evidence],
    found: Found,
) -> None:
    """Give the rows of a run their collective, and the run its ranks, at its end.

    `program` is what its header names, `listed` the ranks that it lists (0: none).
    """
    operation = program or _inferred(run, in_place_unchecked, evidence, found.name)
    inferred = inference.ranks_of(operation, evidence)
    run.ranks = listed or inferred
    if not listed and inferred:
        run.note(f"the log does not say its ranks: {inferred}, from sizes and bandwidths")
    elif listed and inferred and inferred != listed:
        found.warn(run.line, f"{listed} ranks are listed, and bandwidths are those of {inferred}")
    if trouble := inference.unit_trouble(evidence):
        found.warn(run.line, trouble)
    for series in run.series.values():
        series.what = _named(series.what, operation)
    run.series = {series.what: series for series in run.series.values()}
    each = f"{run.iterations} iterations" if run.iterations else "some iterations"
    run.told = f"the mean of {each} timed together, by default the mean over ranks"


def _inferred(
    run: FoundRun, in_place_unchecked: bool, evidence: Sequence[Evidence], name: str
) -> str:
    if not run.series:
        return inference.UNKNOWN
    operation, certain = inference.operation_of(
        any(what.op for what in run.series),
        any(what.root is not None for what in run.series),
        in_place_unchecked,
        evidence,
        name,
    )
    if operation == inference.UNKNOWN:
        run.note("the log does not name its collective, and sizes and counts fit several")
    else:
        how = "from sizes, counts and columns" if certain else "from the name of the file"
        run.note(f"the log does not name its collective: {operation}, {how}")
    return operation


def _named(what: What, operation: str) -> What:
    return msgspec.structs.replace(
        what,
        operation=operation,
        op=what.op if operation in _REDUCING else None,
        root=(what.root or 0) if operation in _ROOTED else None,
    )
