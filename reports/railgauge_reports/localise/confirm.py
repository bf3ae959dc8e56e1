"""What verification says of suspects: the median of what each had with three good partners."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from railgauge_reports.localise.decompose import BAD_NODE
from railgauge_reports.localise.explain import log_odds
from railgauge_reports.localise.meetings import (
    EFFECT,
    FEWEST,
    OF_A_MEDIAN,
    OWN_LEVEL,
    Meetings,
    fleet_noise,
    meetings_of,
    over_rails,
)
from railgauge_reports.localise.pairs import Floats, PairTable
from railgauge_reports.localise.suspects import (
    CONFIRMED,
    REFUTED,
    Basis,
    Localisation,
    Suspect,
    share_lost,
)

#: The median of three is low where it lies so many of its standard errors below the good ones (modified
#: z of Iglewicz and Hoaglin 1993), and by `EFFECT` at least.
Z_MEDIAN = 3.5
LEAST = 2  # valid measurements with good partners, else it stays as it was


def merged(first: Localisation, table: PairTable) -> Localisation:
    """The final verdict: `first` with what its verification rounds measured, `table`.

    Whoever was accused, in a class or not cleared is confirmed or refuted by the median of the
    measurements with good partners; who has fewer than two valid ones stays as before. The effect is
    taken from these rounds alone: the first ones chose the suspect, and so exaggerate. Raises ValueError
    where the two name different nodes.
    """
    if first.basis is None or not first.verification.targets + first.verification.leaf_pairs:
        return first
    look = _Look(first, first.basis, table)
    kept: list[Suspect] = []
    refuted = list(first.refuted)
    for suspect in first.suspects:
        told = look.judged(suspect)
        (refuted if told.verified == REFUTED else kept).append(told)
    classes, settled = [], list[str]()
    for one_of in first.classes:
        members = [look.alone(node, one_of) for node in one_of.nodes]
        if any(not member.verified for member in members):
            classes.append(one_of)
        kept += [member for member in members if member.verified == CONFIRMED]
        settled += [m.hosts[0] for m in members if m.verified == REFUTED]
        if all(member.verified == REFUTED for member in members):
            refuted.append(dataclasses.replace(one_of, verified=REFUTED))
    number = {name: k for k, name in enumerate(first.names)}
    left: list[str] = []
    for name in first.uncleared:
        told = look.alone(number[name], None)
        (left if not told.verified else settled).append(name)
        if told.verified == CONFIRMED:
            kept.append(told)
    bad = {node for suspect in kept for node in suspect.nodes}
    cleared = {*first.cleared, *settled, *(name for s in refuted for name in s.hosts)}
    unclear = {node for s in classes for node in s.nodes} | bad
    return dataclasses.replace(
        first,
        suspects=tuple(sorted(kept, key=lambda suspect: -suspect.log_odds)),
        classes=tuple(classes),
        refuted=tuple(refuted),
        uncleared=tuple(left),
        cleared=tuple(
            name for k, name in enumerate(first.names) if name in cleared and k not in unclear
        ),
    )


class _Look:
    """The rounds of a verification, centred on the pairs of good nodes that met meanwhile."""

    def __init__(self, first: Localisation, basis: Basis, table: PairTable) -> None:
        self.first, self.basis = first, basis
        self.met = meetings_of(_renamed(table, first.names))
        targets = np.array(sorted(first.verification.targets), np.int64)
        self.a_target, self.b_target = np.isin(self.met.a, targets), np.isin(self.met.b, targets)
        control = ~(self.a_target | self.b_target | self._accused())
        self.values = _centred(self.met, basis, control)
        self.whole = over_rails(self.values) if len(self.values) else np.zeros(0)
        # the larger of both looks: too small a noise makes chance a fault
        self.noise = _noise(self.whole[control], basis.noise)
        self.rail_noise = _noise(self.values[:, control], basis.rail_noise)

    def _accused(self) -> np.ndarray:
        """bool [m]: meetings over a suspected pair of leaves, which tell nothing of what is normal."""
        met, leaf_of = self.met, self.basis.leaf_of
        found = np.zeros(len(met.a), bool)
        if leaf_of is not None:
            ends = np.sort(np.stack([leaf_of[met.a], leaf_of[met.b]]), axis=0)
            for one, other in self.first.verification.leaf_pairs:
                found |= (ends[0] == min(one, other)) & (ends[1] == max(one, other))
        return found

    def judged(self, suspect: Suspect) -> Suspect:
        if suspect.kind in ("node", "nic"):
            return self._weighed(suspect, self._of_node(suspect.nodes[0], suspect.rail))
        if suspect.kind.startswith("leaf pair") and self.basis.leaf_of is not None:
            return self._weighed(suspect, self._of_leaves(suspect))
        return suspect

    def alone(self, node: int, member_of: Suspect | None) -> Suspect:
        """A node of a class, or one that was not cleared, by these rounds alone."""
        rail = member_of.rail if member_of else None
        name = self.first.names[node]
        made = Suspect(
            kind="node" if rail is None else "nic",
            target=name if rail is None else f"rail {rail} of {name}",
            hosts=(name,),
            nodes=(node,),
            rail=rail,
            leaves=(),
            effect=0.0,
            effect_low=0.0,
            effect_high=0.0,
            supporting=0,
            of=0,
            confidence=0.0,
            log_odds=-np.inf,
        )
        return self._weighed(made, self._of_node(node, rail))

    def _weighed(self, suspect: Suspect, found: Floats) -> Suspect:
        found = found[np.isfinite(found)]
        if len(found) < LEAST:
            return suspect
        single = suspect.rail is not None
        noise = self.rail_noise if single else self.noise
        chance = self.basis.rail_chance if single else self.basis.chance
        gate = max(-float(np.log1p(-EFFECT)), Z_MEDIAN * OF_A_MEDIAN * noise / np.sqrt(len(found)))
        low = suspect.supporting + int(np.count_nonzero(found < -gate))
        of = suspect.of + len(found)
        odds = float(log_odds(np.array(low), np.array(of - low), chance, self._prior(suspect)))
        effect, least, most = share_lost(found, noise)
        is_low = float(np.median(found)) < -gate
        return dataclasses.replace(
            suspect,
            effect=effect,
            effect_low=least,
            effect_high=most,
            supporting=low,
            of=of,
            log_odds=odds,
            confidence=float(expit(odds)),
            verified=CONFIRMED if is_low else REFUTED,
            next_test=_after(suspect) if is_low else "",
        )

    def _prior(self, suspect: Suspect) -> float:
        """As it was before the first rounds (`decompose`)."""
        among = len(self.basis.level_of) if suspect.rail is not None else 1
        if suspect.kind.startswith("leaf pair"):
            among *= len(self.basis.leaf_names)
        return BAD_NODE / among

    def _of_node(self, node: int, rail: int | None) -> Floats:
        """What it had with good partners, but for those behind a suspected pair of leaves."""
        met = self.met
        rows = ((met.a == node) & ~self.b_target) | ((met.b == node) & ~self.a_target)
        rows &= ~self._between(self.first.verification.leaf_pairs)
        return np.asarray(self._column(rail)[rows])

    def _of_leaves(self, suspect: Suspect) -> Floats:
        planned = self.first.verification.leaf_pairs
        own = [pair for pair in planned if suspect.leaves == self._leaf_words(*pair)]
        found = self._between(own)
        return np.asarray(self._column(suspect.rail)[found & ~self.a_target & ~self.b_target])

    def _between(self, leaf_pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Meetings between any of these pairs of leaves."""
        met, leaf_of = self.met, self.basis.leaf_of
        found = np.zeros(len(met.a), bool)
        if leaf_of is None:
            return found
        ends = np.sort(np.stack([leaf_of[met.a], leaf_of[met.b]]), axis=0)
        for one, other in leaf_pairs:
            found |= (ends[0] == min(one, other)) & (ends[1] == max(one, other))
        return found

    def _leaf_words(self, one: int, other: int) -> tuple[str, ...]:
        names = self.basis.leaf_names
        return (names[one],) if one == other else (names[one], names[other])

    def _column(self, rail: int | None) -> Floats:
        if rail is None:
            return self.whole
        if rail not in self.met.rails:
            return np.full(len(self.met.a), np.nan)
        return np.asarray(self.values[self.met.rails.index(rail)])


def _noise(control: Floats, before: float) -> float:
    """The noise of good pairs now, where there are enough to tell, or before, whichever is larger."""
    own = control[np.isfinite(control)]
    return max(before, fleet_noise(own)) if len(own) >= OWN_LEVEL else before


def _after(suspect: Suspect) -> str:
    if suspect.kind == "node":
        return "drain it; `railgauge run -n RANKS` on it alone tells GPUs and PCIe from the network"
    if suspect.kind == "nic":
        return (
            "swap the cable or the port of the leaf: what moves with it is at fault;"
            " `railgauge counters` there"
        )
    return "counters of the links on the way; take links out one by one"


def _renamed(table: PairTable, names: tuple[str, ...]) -> PairTable:
    """The table with the numbers that its nodes have among `names`."""
    if table.nodes == names:
        return table
    number = {name: k for k, name in enumerate(names)}
    lacking = [name for name in table.nodes if name not in number]
    if lacking:
        raise ValueError(f"{lacking[0]} was not among the nodes of the first rounds")
    to = np.array([number[name] for name in table.nodes], np.int32)
    return dataclasses.replace(
        table, a=to[table.a], b=to[table.b], nodes=names, leaf_of=None, leaf_names=()
    )


def _centred(met: Meetings, basis: Basis, is_control: np.ndarray) -> Floats:
    """Logs over the first rounds' levels, and over the pairs of good ones where there are five."""
    inside = np.zeros(len(met.a), np.int8)
    if basis.leaf_of is not None:
        inside = (basis.leaf_of[met.a] == basis.leaf_of[met.b]).astype(np.int8)
    values = np.empty_like(met.logs)
    anywhere = np.mean(list(basis.level_of.values()), axis=0)
    for k, rail in enumerate(met.rails):
        levels = np.asarray(basis.level_of.get(rail, tuple(anywhere)))
        values[k] = met.logs[k] - levels[inside]
        own = values[k, is_control & np.isfinite(values[k])]
        if len(own) >= FEWEST:
            values[k] -= np.median(own)
    return values
