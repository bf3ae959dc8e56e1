"""What is asked of a cluster, the algorithms that answer, and the band of times over sizes.

The bound takes resources at their line rates, and nothing measured exceeds it. The band around the middle is
no confidence interval: it holds healthy machines as far as is published (LOW_ALPHA and its neighbours).
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from railgauge.cluster import Cluster
from railgauge.errors import UsageError, unknown
from railgauge.expectation.algorithms import FORMS, NO_FORM, spelled
from railgauge.expectation.estimate import Estimate, estimates
from railgauge.expectation.nccl_tuning import SMALL_DOMAIN
from railgauge.expectation.shape import Shape, shape_of
from railgauge.operations import operation_named
from railgauge.units import GIGA

Values = npt.NDArray[np.float64]
#: Of the modelled latency, what machines lie within (ours: nobody publishes its spread).
LOW_ALPHA, HIGH_ALPHA = 0.5, 2.0
#: Of the modelled bandwidth, the most that was published (H200, 2 nodes: 487 GB/s of 461) and a little more.
HIGH_SHARE = 1.1
#: Of the modelled bandwidth, the least of a healthy machine: gates in use stand 5 to 10 % below what was
#: reached (OCI's 440 of 464 to 471, Azure's 460 of 480, nccl-tests' 0.9 of NCCL_TESTS_MIN_BW).
LOW_SHARE = 0.9
#: In NVLink domains of more than 8 GPUs over several domains: 405 GB/s are published of 1,440 GPUs in
#: twenty, 810 to 820 of two (github.com/coreweave/nccl-tests, NCCL 2.26.2).
LOW_SHARE_LARGE = 0.45
LARGEST_BYTES = 1 << 50
#: Where bytes rule alone.
ENDLESS = 1 << 40


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked, with every algorithm that could answer; `reason` says why nothing can ("": something).

    `chosen` are the estimates of the algorithm asked for, or those among which NCCL chooses.
    """

    cluster: Cluster
    operation: str
    nodes: int
    ranks: int
    pattern: str
    algorithm: str | None
    shape: Shape
    everything: tuple[Estimate, ...]
    reason: str = ""

    @cached_property
    def chosen(self) -> tuple[Estimate, ...]:
        if self.algorithm is not None:
            return tuple(e for e in self.everything if e.form.name == self.algorithm)
        offered = tuple(e for e in self.everything if e.form.nccl)
        modelled = tuple(e for e in offered if any(line.model == "NCCL" for line in e.lines))
        return modelled or offered

    @property
    def bounds(self) -> dict[str, float]:
        """Algorithm -> bound of busbw, GB/s, of those in question."""
        return {e.form.name: e.bound_GBps for e in self.chosen}


def question_of(
    cluster: Cluster,
    operation: str,
    nodes: int | None = None,
    ranks: int | None = None,
    algorithm: str | None = None,
    pattern: str = "world",
) -> Question:
    """The question, checked; `nodes` None: all, `ranks` None: all GPUs of these.

    Raises UsageError for names that are in no table, sizes that the cluster has not, and an algorithm
    that does not exist there.
    """
    entry = operation_named(operation)
    nodes = cluster.nodes if nodes is None else nodes
    shape = shape_of(cluster, nodes, ranks, pattern)
    ranks = nodes * cluster.node.gpus if ranks is None else ranks
    reason = _without_answer(operation, pattern, shape)
    if not reason:
        entry.check_group(shape.ranks, pattern)
    everything = () if reason else estimates(cluster, operation, shape)
    if not reason and not everything:
        reason = "the cluster's file names no resource that it uses"
    name = None if algorithm is None else spelled(algorithm)
    if name is not None and not reason:
        _check_algorithm(operation, name, shape)
    return Question(cluster, operation, nodes, ranks, pattern, name, shape, everything, reason)


def reshaped(question: Question, shape: Shape) -> Question:
    """The same question of another shape: NICs gone, or slower."""
    everything = estimates(question.cluster, question.operation, shape)
    return dataclasses.replace(question, shape=shape, everything=everything)


def _without_answer(operation: str, pattern: str, shape: Shape) -> str:
    if pattern == "victim":
        return "what a load of other ranks costs depends on the fabric's congestion control"
    if operation in NO_FORM:
        return NO_FORM[operation]
    return "one rank alone moves nothing" if shape.ranks < 2 else ""


def _check_algorithm(operation: str, name: str, shape: Shape) -> None:
    forms = {form.name: form for form in FORMS[operation]}
    if name not in forms:
        raise unknown(
            f"algorithm of {operation}", name, forms, f"railgauge expect --operation {operation}"
        )
    if lacks := forms[name].lacks(shape):
        fit = [form.name for form in forms.values() if not form.lacks(shape)]
        raise UsageError(
            f"--algorithm {name}: {lacks}; here are {shape.islands} x {shape.inside} ranks.\n"
            f"  expected: {', '.join(fit)}"
        )


@dataclasses.dataclass(frozen=True)
class Curve:
    """Over sizes: float64 [sizes]; NaN where only the bound is known. Seconds never fall as sizes grow.

    `seconds_low` is the fastest of any algorithm in question; `bound_GBps` and `latency_seconds` are those
    of the algorithm taken at each size. `open` is the shape's: why only the bound is known.
    """

    nbytes: Values
    seconds_low: Values
    seconds: Values
    seconds_high: Values
    latency_seconds: Values
    bound_GBps: Values
    factor: float
    algorithms: tuple[str, ...]
    protocols: tuple[str, ...]
    open: str = ""

    def busbw_GBps(self, seconds: Values) -> Values:  # noqa: N802  (a unit)
        return self.nbytes / seconds / GIGA * self.factor


def curve(question: Question, sizes: Sequence[int]) -> Curve:
    """The band over sizes in bytes; raises UsageError where the question has no answer, or a size is odd."""
    if question.reason:
        raise UsageError(f"no expectation of {question.operation}: {question.reason}")
    if not sizes or not all(1 <= size <= LARGEST_BYTES for size in sizes):
        raise UsageError(f"sizes: expected 1 B to 1 PiB, not {list(sizes)[:3]}")
    nbytes = np.asarray(sizes, np.float64)
    large = question.shape.inside > SMALL_DOMAIN and question.shape.islands > 1
    least = LOW_SHARE_LARGE if large else LOW_SHARE
    rows = []
    for estimate in question.chosen:
        floor = estimate.floor_seconds(nbytes)
        for line in estimate.lines:
            told = line.curve(nbytes)
            middle = told.alpha + told.beta
            low = LOW_ALPHA * told.alpha + np.maximum(floor, told.beta / HIGH_SHARE)
            high = HIGH_ALPHA * told.alpha + told.beta / least
            rows.append((middle, low, high, told.alpha, estimate, line.protocol))
        if not estimate.lines:
            none = np.full_like(nbytes, np.nan)
            rows.append((none, floor, none, none, estimate, ""))
    stacked = np.array([row[0] for row in rows])
    best = np.argmin(np.where(np.isnan(stacked), np.inf, stacked), axis=0)
    picked = [rows[k] for k in best]
    at = np.arange(len(nbytes))
    return Curve(
        nbytes=nbytes,
        seconds_low=np.array([row[1] for row in rows]).min(axis=0),
        seconds=stacked[best, at],
        seconds_high=np.array([row[2] for row in rows]).min(axis=0),
        latency_seconds=np.array([row[3] for row in rows])[best, at],
        bound_GBps=np.array([row[4].bound_GBps for row in picked]),
        factor=question.chosen[0].factor,
        algorithms=tuple(row[4].form.name for row in picked),
        protocols=tuple(row[5] for row in picked),
        open=question.shape.open,
    )


def regime(seconds: float, latency: float) -> str | None:
    """What rules the time: `latency` where it takes the larger part, else `bandwidth`; None: unknown."""
    if np.isnan(seconds):
        return None
    return "latency" if latency > seconds / 2 else "bandwidth"


# where bytes rule alone --------------------------------------------------------------------------------


def large_busbw_GBps(  # noqa: N802  (a unit)
    question: Question, estimate: Estimate, nbytes: int = ENDLESS
) -> float:
    """busbw by that algorithm where bytes rule alone: the model's middle, or the bound without one."""
    alone = dataclasses.replace(question, algorithm=estimate.form.name)
    value = curve(alone, [nbytes])
    busbw = float(value.busbw_GBps(value.seconds)[0])
    return estimate.bound_GBps if np.isnan(busbw) else busbw


def reached_GBps(  # noqa: N802  (a unit)
    question: Question, algorithm: str, shape: Shape, nbytes: int = ENDLESS
) -> float:
    """The same on another shape: NICs gone, or slower."""
    worse = reshaped(question, shape)
    left = next(e for e in worse.everything if e.form.name == algorithm)
    return large_busbw_GBps(worse, left, nbytes)


def dead_rails(
    question: Question,
    algorithm: str,
    busbw_GBps: float,  # noqa: N803  (a unit)
    nbytes: int = ENDLESS,
) -> int:
    """How many NICs of an island may be gone while the model still reaches that busbw."""
    nics = question.shape.nics
    for dead in range(nics - 1, 0, -1):
        left = question.shape.with_nics(nics - dead)
        if reached_GBps(question, algorithm, left, nbytes) >= busbw_GBps:
            return dead
    return 0


def slowest_share(
    question: Question,
    algorithm: str,
    busbw_GBps: float,  # noqa: N803  (a unit)
    nbytes: int = ENDLESS,
) -> float:
    """The least part of its rate at which one NIC (or a GPU's NVLink) lets the model reach that busbw."""
    nvlink = question.shape.islands == 1
    low, high = 0, 100  # percent: it passes at `high`, not at `low`
    while high - low > 1:
        middle = (low + high) // 2
        shape = question.shape.slower(middle / 100, nvlink)
        passes = reached_GBps(question, algorithm, shape, nbytes) >= busbw_GBps
        low, high = (low, middle) if passes else (middle, high)
    return high / 100
