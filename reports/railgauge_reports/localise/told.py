"""From factors to suspects: names instead of numbers, effects, and what to test next."""

from __future__ import annotations

import dataclasses

import numpy as np

from railgauge_reports.localise.decompose import Decomposed, Stage
from railgauge_reports.localise.explain import Factor, class_confidence
from railgauge_reports.localise.meetings import EFFECT
from railgauge_reports.localise.pairs import ALL_RAILS, PairTable
from railgauge_reports.localise.suspects import Suspect, share_lost


@dataclasses.dataclass(frozen=True, eq=False)
class Teller:
    """Puts what was found in `table` into words."""

    table: PairTable
    made: Decomposed

    def suspect(self, factor: Factor, stage: Stage) -> Suspect:
        samples = stage.values[stage.low[factor.samples]]
        effect, low, high = share_lost(samples, stage.noise)
        return Suspect(
            kind=factor.kind,
            target=self.target(factor.kind, factor.number),
            hosts=self.hosts(factor.kind, factor.number),
            nodes=self.nodes(factor.kind, factor.number),
            rail=self.rail(factor.kind, factor.number),
            leaves=self.leaves(factor.kind, factor.number),
            effect=effect,
            effect_low=low,
            effect_high=high,
            supporting=factor.low,
            of=factor.low + factor.normal,
            confidence=factor.confidence,
            log_odds=factor.log_odds,
            alternatives=tuple(self.target(*other) for other in factor.alternatives),
            side=self.side(factor, stage),
        )

    def one_of(self, members: tuple[Factor, ...], stage: Stage) -> Suspect:
        """A class as one suspect: any of its members may be it."""
        first = self.suspect(members[0], stage)
        told = [self.target(member.kind, member.number) for member in members]
        common = self._common(members, stage)
        found = [self.suspect(member, stage) for member in members]
        confidence = class_confidence(members)
        return dataclasses.replace(
            first,
            kind="class",
            target=" or ".join(told),
            hosts=tuple(dict.fromkeys(host for s in found for host in s.hosts)),
            nodes=tuple(dict.fromkeys(node for s in found for node in s.nodes)),
            leaves=tuple(dict.fromkeys(leaf for s in found for leaf in s.leaves)),
            confidence=confidence,
            log_odds=float(np.log(confidence) - np.log1p(-confidence))
            if confidence < 1
            else np.inf,
            alternatives=(*(told if len(told) > 1 else ("chance",)), *common),
            side="",
        )

    # names ----------------------------------------------------------------------------------------------

    def target(self, kind: str, number: int) -> str:
        """`node17`, `rail 3 of node17`, `the paths between leaf0 and leaf4`."""
        rail = self.rail(kind, number)
        leaves = self.leaves(kind, number)
        if kind in ("node", "nic"):
            host = self.hosts(kind, number)[0]
            return host if rail is None else f"rail {rail} of {host}"
        if kind == "rail":
            return f"rail {rail} as a whole"
        if kind == "leaf":
            return f"leaf {leaves[0]} with all of its nodes"
        if kind == "round":
            return f"round {number} as a whole"
        where = (
            f"within {leaves[0]}" if len(leaves) == 1 else f"between {leaves[0]} and {leaves[1]}"
        )
        return f"the paths {where}" + ("" if rail is None else f" on rail {rail}")

    def rail(self, kind: str, number: int) -> int | None:
        rails = self.made.meetings.rails
        if kind not in ("nic", "rail", "leaf pair rail"):
            return None
        found = rails[number % len(rails)]
        return None if found == ALL_RAILS else found

    def nodes(self, kind: str, number: int) -> tuple[int, ...]:
        if kind == "node":
            return (number,)
        if kind == "nic":
            return (number // len(self.made.meetings.rails),)
        if kind == "leaf" and self.table.leaf_of is not None:
            return tuple(int(node) for node in np.flatnonzero(self.table.leaf_of == number))
        return ()

    def hosts(self, kind: str, number: int) -> tuple[str, ...]:
        return tuple(self.table.nodes[node] for node in self.nodes(kind, number))

    def leaf_numbers(self, kind: str, number: int) -> tuple[int, ...]:
        if kind == "leaf":
            return (number,)
        if kind.startswith("leaf pair"):
            rails = len(self.made.meetings.rails) if kind == "leaf pair rail" else 1
            one, other = self.made.leaf_pairs[number // rails]
            return (int(one),) if one == other else (int(one), int(other))
        return ()

    def leaves(self, kind: str, number: int) -> tuple[str, ...]:
        return tuple(self.table.leaf_names[leaf] for leaf in self.leaf_numbers(kind, number))

    # what else the samples say --------------------------------------------------------------------------

    def side(self, factor: Factor, stage: Stage) -> str:
        """Whether a node, or its rail, is slow as a sender or as a receiver alone; "" where neither is."""
        met = self.made.meetings
        if met.forth is None or met.back is None or factor.kind not in ("node", "nic"):
            return ""
        node = self.nodes(factor.kind, factor.number)[0]
        at = stage.low[factor.samples]
        by_rail = stage is self.made.by_rail
        meeting = at % len(met.a)
        rows: object = at // len(met.a) if by_rail else slice(None)
        forth, back = met.forth[rows, meeting], met.back[rows, meeting]  # type: ignore[index]
        is_a = met.a[meeting] == node
        sends = np.where(is_a, forth, back)
        receives = np.where(is_a, back, forth)
        sends, receives = sends[np.isfinite(sends)], receives[np.isfinite(receives)]
        if not (len(sends) and len(receives)):
            return ""
        apart = float(np.median(sends) - np.median(receives))
        if abs(apart) < max(-np.log1p(-EFFECT), stage.threshold, abs(factor.level) / 2):
            return ""
        return "sends" if apart < 0 else "receives"

    def _common(self, members: tuple[Factor, ...], stage: Stage) -> list[str]:
        """What all samples of a class have in common besides: the pair of their leaves, their rail."""
        met = self.made.meetings
        at = stage.low[np.unique(np.concatenate([member.samples for member in members]))]
        found = []
        if len(self.made.pair_of):
            pairs = np.unique(self.made.pair_of[at % len(met.a)])
            if len(pairs) == 1:
                found.append(self.target("leaf pair", int(pairs[0])))
        if stage is self.made.by_rail and len(np.unique(at // len(met.a))) == 1:
            found.append(self.target("rail", int(at[0] // len(met.a))))
        return found if found else ["the path between them"]
