"""Who is at fault, from what pairs measured: the entry point of the localisation."""

from __future__ import annotations

import dataclasses
import shlex

import numpy as np
import pandas as pd
from scipy.special import expit

from railgauge_reports.localise import PARTNERS
from railgauge_reports.localise.decompose import BAD_RAIL, MUCH, Decomposed, decompose
from railgauge_reports.localise.explain import log_odds
from railgauge_reports.localise.meetings import (
    EFFECT,
    FEWEST,
    FLOOR,
    OWN_LEVEL,
    Meetings,
    fleet_level,
    fleet_noise,
    meetings_of,
)
from railgauge_reports.localise.pairs import Ints, PairTable, pair_table
from railgauge_reports.localise.suspects import Basis, Localisation, Suspect, share_lost
from railgauge_reports.localise.told import Teller
from railgauge_reports.localise.verify import Verification, verification
from railgauge_reports.stored import StoredRun

#: A rail's level lies so many deviations of the rails' levels below the others (modified z, Iglewicz and
#: Hoaglin 1993).
Z_RAIL = 3.5


def localise_run(
    run: StoredRun, rows: pd.DataFrame | None = None, ranks: Ints | None = None
) -> Localisation | None:
    """The localisation of a run; None where its pattern is none of pairs.

    `rows` is its case frame and `ranks` are their `groups.pair_ranks`, where somebody has them already.
    """
    table = pair_table(run, rows, ranks)
    return None if table is None else localise(table)


def localise(table: PairTable) -> Localisation:
    """Who makes pairs slow, against the fleet itself: no absolute threshold.

    A fleet that is slow alike looks healthy. With fewer than five valid measurements nobody is judged.
    """
    met = meetings_of(table)
    tested = np.isfinite(met.logs)
    if np.count_nonzero(tested) < FEWEST:
        return _too_few(table, met)
    made = decompose(met, len(table.leaf_names) if table.leaf_of is not None else 0)
    teller = Teller(table, made)
    suspects, classes, notes = [], [], []
    for stage in filter(None, (made.whole, made.by_rail)):
        for factor in stage.explained.factors:
            if factor.kind == "round":
                share = factor.low / (factor.low + factor.normal)
                notes.append(
                    f"round {factor.number} was slow in {share:.0%} of its pairs: it accuses nobody;"
                    " run it once more"
                )
            else:
                suspects.append(teller.suspect(factor, stage))
        classes += [teller.one_of(members, stage) for members in stage.explained.classes]
    classes += [teller.one_of(members, made.by_rail or made.whole) for members in made.loose]
    suspects += _rails(made, teller)
    suspects.sort(key=lambda suspect: -suspect.log_odds)
    cleared, uncleared, untested = _sorted_out(made, suspects, classes)
    if made.fast > MUCH:  # what is normal is not known
        cleared, uncleared = [], sorted([*cleared, *uncleared])
    plan = _plan(table, suspects, classes, cleared, uncleared)
    suspects, classes = ([_with_next(s, plan, table) for s in part] for part in (suspects, classes))
    names = table.nodes
    return Localisation(
        names=names,
        suspects=tuple(suspects),
        classes=tuple(classes),
        cleared=tuple(names[node] for node in sorted(cleared)),
        uncleared=tuple(names[node] for node in uncleared),
        untested=tuple(names[node] for node in untested),
        verification=plan,
        measurements=int(np.count_nonzero(tested)),
        missing=len(table.gbps) - int(np.count_nonzero(tested)),
        notes=(*notes, *_notes(table, made, plan)),
        basis=_basis(table, made),
    )


def _too_few(table: PairTable, met: Meetings) -> Localisation:
    tested = np.isfinite(met.logs).any(axis=0)
    met_once = set(met.a[tested].tolist()) | set(met.b[tested].tolist())
    names = table.nodes
    return Localisation(
        names=names,
        suspects=(),
        classes=(),
        cleared=(),
        uncleared=tuple(name for k, name in enumerate(names) if k in met_once),
        untested=tuple(name for k, name in enumerate(names) if k not in met_once),
        verification=Verification(names, (), (), ()),
        measurements=int(np.count_nonzero(np.isfinite(met.logs))),
        missing=int(np.count_nonzero(~np.isfinite(table.gbps))),
        notes=(_few(int(np.count_nonzero(np.isfinite(met.logs)))),),
    )


def _few(measured: int) -> str:
    return (
        f"{measured} valid measurements are too few to tell who is slow: {FEWEST} are needed;"
        " next: more nodes, or more rounds"
    )


def _rails(made: Decomposed, teller: Teller) -> list[Suspect]:
    """Rails that are slower than the others on all nodes, by a sign test over the meetings."""
    met, levels = made.meetings, made.levels
    enough = np.flatnonzero(levels.counted.sum(axis=1) >= OWN_LEVEL)
    if len(enough) < 2:
        return []
    tier = 0 if np.all(levels.counted[enough, 0] >= OWN_LEVEL) else 1
    own = levels.by_rail[enough, tier]
    offsets = own - fleet_level(own)
    noise = max(FLOOR, fleet_noise(offsets))
    found = []
    for rail, offset in zip(enough, offsets, strict=True):
        if offset > -max(EFFECT, Z_RAIL * noise):
            continue
        others = np.nanmedian(
            np.delete(met.logs[enough], np.flatnonzero(enough == rail), axis=0), axis=0
        )
        apart = (met.logs[rail] - others)[np.isfinite(met.logs[rail]) & np.isfinite(others)]
        low = int(np.count_nonzero(apart < 0))
        odds = float(log_odds(np.array(low), np.array(len(apart) - low), 0.5, BAD_RAIL))
        if odds <= 0:
            continue
        effect, least, most = share_lost(apart, made.whole.noise)
        found.append(
            Suspect(
                kind="rail",
                target=teller.target("rail", int(rail)),
                hosts=(),
                nodes=(),
                rail=teller.rail("rail", int(rail)),
                leaves=(),
                effect=effect,
                effect_low=least,
                effect_high=most,
                supporting=low,
                of=len(apart),
                confidence=float(expit(odds)),
                log_odds=odds,
            )
        )
    return found


def _sorted_out(
    made: Decomposed, suspects: list[Suspect], classes: list[Suspect]
) -> tuple[list[int], list[int], list[int]]:
    """Nodes that are cleared (the most trusted first), that are not, and that were not tested."""
    met, stage = made.meetings, made.whole
    normal = stage.normal
    open_rows = stage.low[~stage.explained.covered]
    all_rows = stage.low
    low, every = (
        np.bincount(met.a[rows], minlength=met.nodes)
        + np.bincount(met.b[rows], minlength=met.nodes)
        for rows in (open_rows, all_rows)
    )
    accused = {
        node
        for s in (*suspects, *classes)
        if s.kind in ("node", "nic", "class")
        for node in s.nodes
    }
    open_leaf = {node for s in suspects if s.kind == "leaf" for node in s.nodes}
    doubted = {f.number for f in stage.explained.uncleared if f.kind == "node"} | open_leaf
    is_tested = normal + every > 0
    # a normal sample says that both of its ends were well; open low ones say that one was not
    well = (normal > low) & is_tested
    order = np.lexsort((-normal, low))
    cleared = [int(n) for n in order if well[n] and n not in accused and n not in doubted]
    known = set(cleared) | accused
    uncleared = [int(n) for n in np.flatnonzero(is_tested) if n not in known]
    return cleared, uncleared, [int(n) for n in np.flatnonzero(~is_tested)]


def _plan(
    table: PairTable,
    suspects: list[Suspect],
    classes: list[Suspect],
    cleared: list[int],
    uncleared: list[int],
) -> Verification:
    """The rounds that would settle who is suspected or not cleared."""
    accused = [n for s in suspects if s.kind in ("node", "nic") for n in s.nodes]
    accused += [n for s in classes for n in s.nodes]
    number = {name: k for k, name in enumerate(table.leaf_names)}
    leaf_pairs = [
        (number[s.leaves[0]], number[s.leaves[-1]])
        for s in suspects
        if s.kind.startswith("leaf pair")
    ]
    return verification(
        table.nodes, [*accused, *uncleared], cleared, table.leaf_of, list(dict.fromkeys(leaf_pairs))
    )


def _with_next(suspect: Suspect, plan: Verification, table: PairTable) -> Suspect:
    cost = plan.cost(table.seconds_a_round)
    command = f"{table.again or 'railgauge run'} --pattern listed --pairs FILE --rounds {len(plan.rounds)}"
    if table.folder:
        listing = f"railgauge report {shlex.quote(table.folder)} --format pairs --output FILE"
        command = f"{listing}; {command}"  # its exit code is the verdict of the run
    if suspect.kind in ("node", "nic", "class"):
        partners = plan.partners(suspect.nodes[0]) if suspect.nodes else []
        words = (
            f"{' and '.join(table.nodes[n] for n in suspect.nodes)} against nodes known to be good"
            f" ({', '.join(partners)}): `{command}`, {cost}"
            if partners
            else f"the same pairs once more (`{table.again or 'railgauge run'}`): what stays is no chance;"
            " nobody here is known to be good, and a third node would tell them apart"
        )
    elif suspect.kind.startswith("leaf pair"):
        words = f"other nodes of both leaves, {PARTNERS} rounds: `{command}`, {cost}; counters of the uplinks"
    else:
        quiet = f"`{table.again or 'railgauge run'} --pattern pairs --rounds 3 --quiet`"
        words = f"{quiet}: slow there too is hardware, else congestion; `railgauge audit` compares the nodes"
    return dataclasses.replace(suspect, next_test=words)


def _notes(table: PairTable, made: Decomposed, plan: Verification) -> list[str]:
    met, notes = made.meetings, []
    chance = int(np.count_nonzero(~made.whole.explained.covered))
    chance -= 0 if made.by_rail else len(made.loose)
    samples = len(met.a)
    if chance:
        notes.append(
            f"{chance} of {samples} pairs were slow once and nothing explains them: by chance, at a rate"
            f" of {chance / samples:.2%}"
        )
    if table.near:
        notes.append(
            f"{table.near} measurements of pairs inside an NVLink domain say nothing of NICs: left out"
        )
    if made.fast > MUCH:
        notes.append(
            f"{made.fast:.0%} of the pairs are faster than the level that most have, and no node explains it:"
            " either most are slow, or there are two kinds of paths; next: --leaves FILE tells them apart"
        )
    if table.leaf_of is not None and len(table.leaf_names) > 1:
        notes += _leaf_notes(table, made)
    if plan.short:
        notes.append(plan.short)
    return notes


def _leaf_notes(table: PairTable, made: Decomposed) -> list[str]:
    """Tiers that differ, and what of the pairs of leaves was seen too rarely to be judged."""
    notes = []
    counted, levels = made.levels.counted, made.levels.by_rail
    both = np.all(counted >= OWN_LEVEL, axis=1)
    if both.any():
        apart = float(np.median(levels[both, 0] - levels[both, 1]))
        if apart < -EFFECT:
            notes.append(
                f"pairs between leaves are {-np.expm1(apart):.1%} slower than pairs within one, all alike:"
                " oversubscription or congestion above the leaves; next: the same rounds with --quiet"
            )
    used = np.unique(np.asarray(table.leaf_of))
    possible = len(used) * (len(used) - 1) // 2
    met = made.meetings
    seen = np.bincount(
        made.pair_of[np.isfinite(met.logs).any(axis=0)], minlength=len(made.leaf_pairs)
    )
    between = made.leaf_pairs[:, 0] != made.leaf_pairs[:, 1]
    judged = int(np.count_nonzero(between & (seen >= PARTNERS)))
    if judged < possible:
        turns = len(used) - 1 + len(used) % 2
        cost = (turns + 1) * len(table.nodes)
        notes.append(
            f"{possible - judged} of {possible} pairs of leaves met fewer than {PARTNERS} times: not judged;"
            f" next: --pattern leaves, {turns + 1} rounds ({cost} node-rounds), meets them all"
        )
    return notes


def _basis(table: PairTable, made: Decomposed) -> Basis:
    by_rail = made.by_rail or made.whole
    rails = made.meetings.rails
    return Basis(
        level_of={
            rail: (float(low), float(high))
            for rail, (low, high) in zip(rails, made.levels.by_rail, strict=True)
        },
        noise=made.whole.noise,
        chance=made.whole.rate,
        rail_noise=by_rail.noise,
        rail_chance=by_rail.rate,
        leaf_of=table.leaf_of,
        leaf_names=table.leaf_names,
    )
