"""Traps: what an expected or measured figure is mistaken for; the catalogue is `traps.toml`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from importlib import resources

import msgspec

from railgauge.expectation.estimate import Estimate
from railgauge.expectation.nccl_tuning import SMALL_DOMAIN
from railgauge.operations import OPERATIONS
from railgauge_reports.expected.question import (
    LOW_SHARE,
    Question,
    dead_rails,
    large_busbw_GBps,
)
from railgauge_reports.expected.words import per_nic

Facts = dict[str, float | str]


class Trap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry; `when` names the predicate below that fills in `words`."""

    id: str
    when: str
    words: str
    next: str
    source: str


@dataclasses.dataclass(frozen=True)
class Caught:
    """A trap that is set here, its words filled in."""

    trap: Trap
    words: str

    @property
    def told(self) -> str:
        return f"{self.words} Next: {self.trap.next}. Source: {self.trap.source}."


@functools.cache
def catalogue() -> tuple[Trap, ...]:
    """All entries, in the order of the file."""
    raw = resources.files(__package__).joinpath("traps.toml").read_bytes()
    return tuple(msgspec.toml.decode(raw, type=dict[str, tuple[Trap, ...]])["trap"])


def traps_of(question: Question, estimate: Estimate, regime: str | None) -> tuple[Caught, ...]:
    """Those that are set for this estimate, in the order of the catalogue."""
    found = []
    for trap in catalogue():
        facts = PREDICATES[trap.when](question, estimate, regime)
        if facts is not None:
            found.append(Caught(trap, trap.words.format_map(facts)))
    return tuple(found)


# predicates -------------------------------------------------------------------------------------------


def _two_islands(question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    s = estimate.shape
    lighter = estimate.form.outside(s) < estimate.factor
    if question.operation != "all_reduce" or s.islands != 2 or s.inside < 2 or not lighter:
        return None
    busbw = large_busbw_GBps(question, estimate)
    return {
        "reading": per_nic(estimate, busbw),
        "line": s.nics * s.nic_GBps,
        "nics": s.nics,
        # what a limit of nine tenths lets through
        "dead": dead_rails(question, estimate.form.name, busbw * LOW_SHARE),
    }


def _switch_reduces(question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    s = estimate.shape
    if estimate.form.name != "nvls" or question.operation != "all_reduce" or not s.nvlink_GBps:
        return None
    busbw = large_busbw_GBps(question, estimate)
    wire = busbw / estimate.factor * estimate.form.inside(s)
    return {"bound": estimate.bound_GBps, "link": s.nvlink_GBps, "wire": wire}


def _latency_rules(_question: Question, _estimate: Estimate, regime: str | None) -> Facts | None:
    return {} if regime == "latency" else None


def _several_nics(_question: Question, estimate: Estimate, regime: str | None) -> Facts | None:
    nics = estimate.shape.nics
    if estimate.binding.resource != "NICs" or nics < 2 or regime == "latency":
        return None
    return {"nics": nics, "lost": 1 / nics}


def _ring_of_messages(question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    s = estimate.shape
    set_here = question.operation == "sendrecv" and s.pattern == "world" and s.islands > 1
    return {} if set_here and s.inside > 1 else None


def _oversubscription(question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    fabric, s = question.cluster.fabric, estimate.shape
    if fabric.oversubscription <= 1 or question.nodes <= fabric.leaf_nodes or s.islands < 2:
        return None
    return {"factor": fabric.oversubscription, "left": s.own_GBps / fabric.oversubscription}


def _hashed(question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    fabric, s = question.cluster.fabric, estimate.shape
    crosses = question.nodes > fabric.leaf_nodes and s.islands > 1
    spread = s.pattern != "world" or question.operation in ("alltoall", "gather", "scatter")
    return {} if fabric.routing == "ecmp" and crosses and spread else None


def _large_domain(_question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    inside = estimate.shape.inside
    modelled = any(line.model == "NCCL" for line in estimate.lines)
    return {"inside": inside} if inside > SMALL_DOMAIN and modelled else None


def _pcie_binds(_question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    binding = estimate.binding
    return {"words": binding.words} if binding.resource == "PCIe" else None


def _incast(_question: Question, estimate: Estimate, _regime: str | None) -> Facts | None:
    s = estimate.shape
    return {"senders": s.ranks - 1} if s.pattern == "incast" and s.ranks > 2 else None


def _switch_adds(question: Question, estimate: Estimate, regime: str | None) -> Facts | None:
    reduces = OPERATIONS[question.operation].reduces and regime == "bandwidth"
    return {} if reduces and estimate.form.nccl.startswith("NVLS") else None


PREDICATES: dict[str, Callable[[Question, Estimate, str | None], Facts | None]] = {
    "two_islands": _two_islands,
    "switch_reduces": _switch_reduces,
    "latency_rules": _latency_rules,
    "several_nics": _several_nics,
    "ring_of_messages": _ring_of_messages,
    "oversubscription": _oversubscription,
    "hashed": _hashed,
    "large_domain": _large_domain,
    "pcie_binds": _pcie_binds,
    "incast": _incast,
    "switch_adds": _switch_adds,
}
