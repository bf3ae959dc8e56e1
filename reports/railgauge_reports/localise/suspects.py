"""Suspects for people: who or what is slow, how sure that is, what fits as well, what to test next."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from railgauge.statistics import median_interval
from railgauge.topology import some
from railgauge_reports.localise.meetings import OF_A_MEDIAN
from railgauge_reports.localise.pairs import Floats, Ints
from railgauge_reports.localise.verify import Verification

#: Fewer samples than this have no interval of their own (`railgauge.statistics.median_interval`).
OWN_INTERVAL = 6
Z_975 = 1.96
#: What one kind stands for: to pairs these are one and the same.
WITHIN = {
    "nic": "its NIC, cable, port of the leaf, PCIe link or GPU: to pairs one and the same",
    "node": "what its rails share (GPUs, PCIe, memory, a setting), or its only NIC",
    "leaf": "the switch, its uplinks, or what its nodes have in common",
    "leaf pair": "a link or a switch on the way, or the hash that loads it",
    "leaf pair rail": "a link or a switch on the way, or the hash that loads it",
    "rail": "its switches, or the NICs, slots or settings that all nodes have alike there",
}
CONFIRMED, REFUTED = "confirmed", "refuted"


@dataclasses.dataclass(frozen=True)
class Suspect:
    """Something that makes pairs slow.

    `kind`: node, nic (one rail of a node), leaf, leaf pair, leaf pair rail, rail, or
    class: one of several that the data cannot tell apart. `side`: "sends" or "receives" where one direction
    alone is slow. `effect` is the share of the bandwidth that is
    lost, with its 95 % interval: of the median, where there are six samples or more by these samples alone,
    else by the fleet's noise. `supporting` of `of` samples are low and explained by nothing else.

    `confidence` is the posterior chance that it is at fault, from these counts and the rate at which
    samples are low by chance (`railgauge_reports.localise.explain` derives it); of a class, that one
    of them is. `alternatives` explain the same samples about as well (their odds are within 20 to 1).
    `verified` is "confirmed" or "refuted" where it met partners known to be good, else "".
    """

    kind: str
    target: str
    hosts: tuple[str, ...]
    nodes: tuple[int, ...]
    rail: int | None
    leaves: tuple[str, ...]
    effect: float
    effect_low: float
    effect_high: float
    supporting: int
    of: int
    confidence: float
    log_odds: float
    alternatives: tuple[str, ...] = ()
    next_test: str = ""
    side: str = ""
    verified: str = ""

    def sentence(self) -> str:
        """What a person should read first, without what to do next."""
        are = "are" if self.kind.startswith("leaf pair") else "is"
        found = (
            f"{self.target} {are} {self.effect:.1%} slower than"
            f" the fleet ({self.effect_low:.1%} to {self.effect_high:.1%}),"
            f" {self.supporting} of {self.of} measurements say so; confidence {certainty(self.confidence)}"
        )
        if self.side:
            found += f"; where it {self.side}"
        if self.verified == CONFIRMED:
            found += "; confirmed against partners known to be good"
        if self.kind in WITHIN:
            found += f". That is {WITHIN[self.kind]}"
        if self.alternatives:
            found += f". Fits as well: {'; '.join(self.alternatives)}"
        return found


def certainty(confidence: float) -> str:
    """`97 %`, `> 99.9 %`: never more than can be meant."""
    if confidence > 0.999:
        return "> 99.9 %"
    return f"{confidence:.1%}" if confidence > 0.99 else f"{confidence:.0%}"


def share_lost(samples: Floats, noise: float) -> tuple[float, float, float]:
    """(share lost, its 95 % interval) of centred logs [n], n > 0; see `Suspect`."""
    middle = float(np.median(samples))
    if len(samples) >= OWN_INTERVAL:
        low, high = median_interval(samples)
    else:
        half = Z_975 * noise * (OF_A_MEDIAN if len(samples) > 2 else 1.0) / math.sqrt(len(samples))
        low, high = middle - half, middle + half
    return -math.expm1(middle), -math.expm1(high), -math.expm1(low)


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """What later measurements are held against: levels of log(GB/s) by rail and tier, noise, chance.

    `level_of` maps a rail to (between leaves, within one); `noise` and `chance` are of a node's sample,
    the median over its rails; `rail_noise`, `rail_chance` of a single rail's.
    """

    level_of: dict[int, tuple[float, float]]
    noise: float
    chance: float
    rail_noise: float
    rail_chance: float
    leaf_of: Ints | None
    leaf_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Localisation:
    """What pairs say of who is at fault, the surest first.

    `classes` are of several of which at least one must be at fault. `cleared` have normal samples of
    their own; `uncleared` met only suspects, or too few; `untested` have no valid sample. `verification`
    holds the rounds to run next (none where nobody is suspected), `refuted` who met three good ones
    and was as fast as they.
    """

    names: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    classes: tuple[Suspect, ...]
    cleared: tuple[str, ...]
    uncleared: tuple[str, ...]
    untested: tuple[str, ...]
    verification: Verification
    measurements: int
    missing: int
    notes: tuple[str, ...] = ()
    refuted: tuple[Suspect, ...] = ()
    basis: Basis | None = None

    def sentences(self) -> list[str]:
        """For people: suspects, classes, who is not cleared, notes, and what to run next."""
        said = [suspect.sentence() for suspect in (*self.suspects, *self.classes)]
        said += [
            f"{s.target}: as fast as good partners; what was slow before was by chance"
            for s in self.refuted
        ]
        if self.uncleared:
            said.append(
                f"not cleared (met only suspects, or too few others): {some(self.uncleared)}"
            )
        if self.untested:
            said.append(f"not tested: {some(self.untested)}")
        said += self.notes
        return said
