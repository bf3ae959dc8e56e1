"""Who is at fault in a stage of pairs: the localisation, its verification, and findings looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd

from railgauge_reports.acceptance.algebra import FAIL, INCONCLUSIVE
from railgauge_reports.acceptance.answer import Finding, Suspect
from railgauge_reports.acceptance.kept import Followed
from railgauge_reports.acceptance.limits import all_ratios, ratios_by_unit
from railgauge_reports.acceptance.profile import Limit
from railgauge_reports.acceptance.rows import Rows
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise import PARTNERS
from railgauge_reports.localise import suspects as words
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise_run
from railgauge_reports.localise.pairs import pair_table
from railgauge_reports.localise.suspects import Localisation
from railgauge_reports.localise.verify import Verification, verification

#: Valid measurements with good partners that a second look takes.
LEAST = 2
HARDWARE, CONGESTION = "hardware", "congestion"
_CAUSES = {
    HARDWARE: "hardware or a setting",
    CONGESTION: "it shares a path (congestion, oversubscription, a neighbour's NIC)",
}
#: A larger share of the nodes is the fleet itself, which no good partners are left to tell about.
MOST_ACCUSED = 1 / 3


def localised(run: LoadedRun) -> Localisation | None:
    """Who makes the pairs of a run slow; None where nothing of it was reached."""
    return localise_run(run.stored, run.rows)


def targets_of(
    found: Localisation, findings: Sequence[Finding]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """(nodes, pairs of leaves) to look at again: suspects, who is not cleared, and who misses a limit.

    Who misses it on a rail that is slow as a whole is not to blame for it.
    """
    rails = {s.rail for s in found.suspects if s.kind == "rail"}
    named = [found.names[node] for node in found.verification.targets]
    named += [h for f in findings for h in f.hosts if len(f.hosts) == 1 and f.rail not in rails]
    nodes = tuple(name for name in dict.fromkeys(named) if name in set(found.names))
    basis = found.basis
    leaves = basis.leaf_names if basis is not None else ()
    pairs = [(leaves[a], leaves[b]) for a, b in found.verification.leaf_pairs]
    pairs += [(a, b) for a, _, b in (f.place.partition(" ") for f in findings) if b and a in leaves]
    return nodes, tuple(dict.fromkeys((min(pair), max(pair)) for pair in pairs))


def rounds_of(
    found: Localisation,
    nodes: Sequence[str],
    leaf_pairs: Sequence[tuple[str, str]],
    padded: bool = True,
) -> Verification:
    """Rounds in which those nodes meet three good ones each, and good nodes of those leaves each other."""
    number = {name: k for k, name in enumerate(found.names)}
    basis = found.basis
    leaf = {name: k for k, name in enumerate(basis.leaf_names)} if basis is not None else {}
    asked = set(nodes)
    good = [number[name] for name in found.cleared if name not in asked]
    return verification(
        found.names,
        [number[name] for name in nodes],
        good,
        None if basis is None else basis.leaf_of,
        [(leaf[a], leaf[b]) for a, b in leaf_pairs if a in leaf and b in leaf],
        padded,
    )


def confirmed(found: Localisation, followed: Followed, again: LoadedRun) -> Localisation:
    """The localisation with what its verification rounds measured."""
    table = pair_table(again.stored, again.rows)
    if table is None:
        return found
    made = rounds_of(found, followed.targets, followed.leaf_pairs)
    try:
        return merged(dataclasses.replace(found, verification=made), table)
    except ValueError:  # it ran on other nodes: nothing is said of these
        return found


@dataclasses.dataclass(frozen=True, eq=False)
class SecondLook:
    """Rows: `first` the stage's, `again` those of its verification, `quiet` with nothing beside them."""

    followed: Followed
    first: Rows
    again: Rows
    quiet: Rows | None

    def without_leaf_pairs(self) -> SecondLook:
        """Without rows between accused leaves: slow paths say nothing of who uses them."""
        slow = {" ".join(sorted(pair)) for pair in self.followed.leaf_pairs}
        kept = {
            name: rows and dataclasses.replace(rows, frame=_besides(rows, slow))
            for name in ("first", "again", "quiet")
            for rows in (getattr(self, name),)
        }
        return dataclasses.replace(self, **kept) if slow else self

    def judged(self, limit: Limit, findings: Sequence[Finding]) -> list[Finding]:
        """The findings of that limit with what verification, and a quiet run, say of them.

        What is normal is told by others than those who were looked at again.
        """
        references = [f.measured / f.value for f in findings if f.measured and f.value]
        if not references:
            return list(findings)
        look = self if limit.per == "leaf pair" else self.without_leaf_pairs()
        middle, accused = float(np.median(references)), frozenset(self.followed.targets)
        ratios = [ratios_by_unit(limit, rows, middle, accused) for rows in (look.first, look.again)]
        alone = {} if look.quiet is None else _alone(limit, look.quiet, middle)
        return [_judged(limit, finding, ratios, alone) for finding in findings]


def _besides(rows: Rows, slow: set[str]) -> pd.DataFrame:
    return rows.frame if rows.frame.empty else rows.frame[~rows.frame["leaves"].isin(slow)]


def _judged(
    limit: Limit,
    finding: Finding,
    ratios: Sequence[dict[str, list[float]]],
    alone: dict[str, list[float]],
) -> Finding:
    first, again = (found.get(finding.place, []) for found in ratios)
    if finding.verdict != FAIL or len(again) < LEAST:
        return finding
    # the first ones chose whom to suspect, so they count only where the second ones are too few
    middle = float(np.median(again if len(again) >= PARTNERS else [*first, *again]))
    if not limit.missed(middle):
        told = f"{finding.sentence}; refuted: {middle:.3g} with good partners"
        return msgspec.structs.replace(finding, verified=words.REFUTED, sentence=told)
    told = f"{finding.sentence}; confirmed: {middle:.3g} with good partners"
    sure = msgspec.structs.replace(finding, verified=words.CONFIRMED, sentence=told)
    values = alone.get(finding.place, [])
    return _with_cause(limit, sure, float(np.median(values))) if len(values) >= LEAST else sure


def fleet_alone(limit: Limit, finding: Finding, quiet: Rows) -> Finding:
    """A finding about the fleet as a whole with what a few pairs reach that have nothing beside them."""
    if finding.verdict != FAIL or finding.hosts or limit.of != "expected":
        return finding
    ratios = all_ratios(limit, quiet)
    if len(ratios) < LEAST:
        return finding
    return _with_cause(limit, finding, float(np.median(ratios)))


def _with_cause(limit: Limit, finding: Finding, alone: float) -> Finding:
    cause = HARDWARE if limit.missed(alone) else CONGESTION
    told = f"{finding.sentence}; with nothing beside it {alone:.3g}: {_CAUSES[cause]}"
    return msgspec.structs.replace(finding, alone=cause, sentence=told)


def _alone(limit: Limit, quiet: Rows, reference: float) -> dict[str, list[float]]:
    """Ratios without other traffic, over what others reach in parallel."""
    everybody = frozenset(host for hosts in quiet.frame["hosts"] for host in str(hosts).split(" "))
    return ratios_by_unit(limit, quiet, reference, everybody)


def suspected(
    found: Localisation, stage: str, limits: Sequence[Limit], findings: Sequence[Finding]
) -> list[Finding]:
    """Suspects who lost more than a limit of the stage bears, and whom no finding names.

    A limit per NIC sees no pair of leaves, and one per node no rail: whoever is confirmed fails, and who
    is only suspected stands in the way of a PASS.
    """
    shares = [limit.at_least for limit in limits if limit.of == "median" and limit.at_least]
    if not shares:
        return []
    bears, share = 1 - max(shares), max(shares)
    open_ones = [f for f in findings if f.verified != words.REFUTED and f.verdict == FAIL]
    named = {host for f in open_ones for host in f.hosts}
    paths = {f.place for f in open_ones}
    made = []
    for suspect in (*found.suspects, *found.classes):
        known = bool(suspect.hosts) and set(suspect.hosts) <= named
        known = known or (" ".join(sorted(suspect.leaves)) in paths and not suspect.hosts)
        if known or suspect.effect <= bears:
            continue
        sure = suspect.verified == words.CONFIRMED
        made.append(
            Finding(
                stage=stage,
                name="suspect",
                verdict=FAIL if sure else INCONCLUSIVE,
                sentence=suspect.sentence() + ("" if sure else "; not verified: --adaptive does"),
                hosts=suspect.hosts,
                rail=suspect.rail,
                place=suspect.target,
                value=1 - suspect.effect,
                limit=share,
                of="median",
                verified=suspect.verified,
            )
        )
    return made


def suspects_of(found: Localisation) -> tuple[Suspect, ...]:
    """Suspects and classes, the surest first, in the result's words."""
    return tuple(
        Suspect(
            kind=suspect.kind,
            target=suspect.target,
            sentence=suspect.sentence(),
            hosts=suspect.hosts,
            rail=suspect.rail,
            leaves=suspect.leaves,
            effect=suspect.effect,
            confidence=suspect.confidence,
            verified=suspect.verified,
            next_test=suspect.next_test,
            alternatives=suspect.alternatives,
        )
        for suspect in (*found.suspects, *found.classes)
    )


def notes_of(found: Localisation) -> list[str]:
    """What else the localisation says: who was refuted, who is not cleared, what was not tested."""
    accused = {suspect.sentence() for suspect in (*found.suspects, *found.classes)}
    return [sentence for sentence in found.sentences() if sentence not in accused]
