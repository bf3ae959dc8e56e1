"""The expected time and bandwidth of one operation, with the arithmetic, traps and what is unknown."""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses

import numpy as np

from railgauge.cluster import Cluster
from railgauge.expectation.algorithms import WINDOWED
from railgauge.expectation.estimate import has_nccl_model
from railgauge.units import GIGA
from railgauge_reports.expected.question import Question, curve, question_of, regime
from railgauge_reports.expected.traps import traps_of
from railgauge_reports.expected.words import explanation


@dataclasses.dataclass(frozen=True)
class Expected:
    """The answer for one size; None where only the bound is known, or nothing (`reason` says why).

    Seconds are of one operation, `seconds_low` is the fastest; `bound_GBps` is of busbw and `binding` the
    resource that sets it. `regime` is what rules the time. `words` hold the arithmetic, `traps` what the
    figure is mistaken for, `unknown` what would make the answer better.
    """

    operation: str
    pattern: str
    nodes: int
    ranks: int
    nbytes: int
    algorithm: str | None = None
    protocol: str = ""
    model: str = ""
    seconds_low: float | None = None
    seconds: float | None = None
    seconds_high: float | None = None
    algbw_GBps: float | None = None
    busbw_GBps: float | None = None
    busbw_low_GBps: float | None = None
    busbw_high_GBps: float | None = None
    bound_GBps: float | None = None
    bound_algbw_GBps: float | None = None
    binding: str | None = None
    regime: str | None = None
    words: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    reason: str = ""


def expected(
    cluster: Cluster,
    operation: str,
    nbytes: int,
    nodes: int | None = None,
    ranks: int | None = None,
    algorithm: str | None = None,
    pattern: str = "world",
) -> Expected:
    """What one operation of `nbytes` should take, with its explanation.

    Raises UsageError as `question_of` does. Without an answer all figures are None and `reason` says why.
    """
    return answered(question_of(cluster, operation, nodes, ranks, algorithm, pattern), nbytes)


def answered(question: Question, nbytes: int) -> Expected:
    """As `expected`, of a question that stands."""
    told = Expected(
        operation=question.operation,
        pattern=question.pattern,
        nodes=question.nodes,
        ranks=question.ranks,
        nbytes=nbytes,
        unknown=unknown_of(question),
        reason=question.reason,
    )
    if question.reason:
        return told
    band = curve(question, [nbytes])
    estimate = next(e for e in question.chosen if e.form.name == band.algorithms[0])
    busbw, low, high = (
        _number(band.busbw_GBps(of)[0])
        for of in (band.seconds, band.seconds_high, band.seconds_low)
    )
    told = dataclasses.replace(
        told,
        algorithm=estimate.form.name,
        protocol=band.protocols[0],
        model=estimate.lines[0].model if estimate.lines else "bound",
        seconds_low=_number(band.seconds_low[0]),
        seconds=_number(band.seconds[0]),
        seconds_high=_number(band.seconds_high[0]),
        algbw_GBps=_number(nbytes / band.seconds[0] / GIGA),
        busbw_GBps=busbw,
        busbw_low_GBps=low,
        busbw_high_GBps=high,
        bound_GBps=estimate.bound_GBps,
        bound_algbw_GBps=estimate.bound_algbw_GBps,
        binding=estimate.binding.resource,
        regime=regime(band.seconds[0], band.latency_seconds[0]),
    )
    return dataclasses.replace(
        told,
        words=explanation(question, estimate),
        traps=tuple(trap.told for trap in traps_of(question, estimate, told.regime)),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def unknown_of(question: Question) -> tuple[str, ...]:
    """What the cluster's file does not say, by its name there."""
    node, found = question.cluster.node, []
    if question.reason:
        return ()
    if node.nvlink_GBps is not None and not has_nccl_model(question.cluster):
        found.append(
            "node.nvlink_generation: without it NCCL's constants are unknown; its choice and the times"
            " are those of closed forms"
        )
    if node.pcie_GBps is None and question.shape.islands > 1:
        found.append("node.pcie_GBps: whether PCIe is narrower than the NICs is not checked")
    if question.shape.open:
        found.append(f"times: {question.shape.open}")
    if question.operation in WINDOWED:
        found.append("messages a second: what bounds small messages of a window")
    return tuple(found)
