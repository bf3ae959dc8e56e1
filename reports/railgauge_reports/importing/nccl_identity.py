"""What a row of nccl-tests is, and a run: its collective and ranks, said, or inferred and noted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from railgauge_reports.importing import nccl_inference as inference
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.nccl_inference import Evidence
from railgauge_reports.importing.nccl_layout import Identity, Layout
from railgauge_reports.importing.rows import What, dtype_of, number

#: Reductions under other names.
REDUCTIONS = {"mulsum": "premul_sum"}
_REDUCING = ("all_reduce", "reduce_scatter", "reduce")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")
#: Largest relative errors that v2.0 to 2.12 let pass (src/common.cu, DeltaMaxValue); of integers none.
_LARGEST_ERROR = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-12}


def what_of(of: Identity, placement: Literal["out", "in"]) -> What:
    """What a row measured, its collective left open."""
    return What(
        operation="",
        nbytes=of.nbytes,
        count=of.elements,
        dtype=dtype_of(of.type),
        op=None if of.op is None else REDUCTIONS.get(of.op, of.op),
        root=of.root,
        placement=placement,
        call="stream",
        timing="back_to_back",
    )


def wrong_of(text: str, dtype: str, layout: Layout) -> int | None:
    """Wrong elements of a check (None: none was made); of a largest error, 1 where it does not pass."""
    value = number(text)
    if value is None:
        return None if text == "N/A" else 1  # NaN is no small error
    return int(value) if layout.counts else int(value > _LARGEST_ERROR.get(dtype, 0.0))


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
