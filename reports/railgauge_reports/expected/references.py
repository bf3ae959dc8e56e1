"""Published figures with their sources, and which of them fit a question; the table is `references.toml`."""

# ruff: noqa: N815  (units keep their capitals: Gbps is not GBps)

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from railgauge_reports.expected.question import Question
from railgauge_reports.expected.words import figure


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published figure or range; the head of `references.toml` says what the fields mean."""

    hardware: str
    operation: str
    low: float
    high: float
    unit: Literal["GB/s busbw"]
    size: str
    kind: Literal["measured", "gate", "vendor"]
    source: str
    date: str
    algorithm: str = ""
    generation: int | None = None
    gpus: int | None = None
    nodes: int | None = None
    nics_Gbps: float | None = None
    domain_nodes: int = 1
    note: str = ""

    @property
    def range(self) -> str:
        low, high = figure(self.low), figure(self.high)
        return low if low == high else f"{low} to {high}"

    def told(self) -> str:
        """One line: figure, what, where from."""
        facts = (self.kind, self.hardware, self.algorithm, self.size, self.note, self.source)
        return f"{self.range} {self.unit}: {', '.join(fact for fact in facts if fact)}"


NONE = "no reference: nothing published that is known here has this hardware, operation and size of job"


@functools.cache
def references() -> tuple[Reference, ...]:
    """All entries, in the order of the file."""
    raw = resources.files(__package__).joinpath("references.toml").read_bytes()
    return tuple(msgspec.toml.decode(raw, type=dict[str, tuple[Reference, ...]])["reference"])


def fitting(question: Question) -> tuple[Reference, ...]:
    """Those of the same GPUs, job and NICs; of another algorithm than the one asked for none."""
    return tuple(entry for entry in references() if _fits(entry, question))


def _fits(entry: Reference, question: Question) -> bool:
    node, s = question.cluster.node, question.shape
    if s.pattern != "world" or entry.generation is None or node.nvlink_GBps is None:
        return False
    same = (
        entry.operation == question.operation,
        entry.generation == node.nvlink_generation,
        entry.gpus == question.ranks,
        entry.nodes == question.nodes,
        # a single island has no use for NICs, several have exactly these
        (entry.nics_Gbps == node.nics * node.nic_Gbps) if s.islands > 1 else not entry.nics_Gbps,
        question.algorithm is None or not entry.algorithm or entry.algorithm == question.algorithm,
    )
    return all(same)
