"""Who is at fault in a stage of pairs: the localisation, its verification, and findings looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np

from railgauge_reports.acceptance.answer import Finding, Suspect
from railgauge_reports.acceptance.kept import Followed
from railgauge_reports.acceptance.limits import Rows, ratios_by_unit
from railgauge_reports.acceptance.profile import Limit
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise import suspects as words
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise_run
from railgauge_reports.localise.pairs import pair_table
from railgauge_reports.localise.suspects import Localisation
from railgauge_reports.localise.verify import Verification, verification

#: Valid measurements with good partners that a second look takes.
LEAST = 2
HARDWARE, CONGESTION = "hardware", "congestion"
#: A larger share of the nodes is the fleet itself, which no good partners are left to tell about.
MOST_ACCUSED = 1 / 3


def localised(run: LoadedRun) -> Localisation | None:
    """Who makes the pairs of a run slow; None where nothing of it was reached."""
    return localise_run(run.stored, run.rows)


def targets_of(
    found: Localisation, findings: Sequence[Finding]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """(nodes, pairs of leaves) to look at again: suspects, who is not cleared, and who misses a limit."""
    named = [found.names[node] for node in found.verification.targets]
    named += [host for f in findings for host in f.hosts if len(f.hosts) == 1]
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


def looked_again(
    limit: Limit, finding: Finding, again: Rows, quiet: Rows | None, accused: frozenset[str]
) -> Finding:
    """A finding of that limit with what verification, and a quiet run, say of it.

    `accused` are the hosts that were looked at again: what is normal is told by the others.
    """
    if finding.measured is None or not finding.value:
        return finding
    reference = finding.measured / finding.value
    ratios = ratios_by_unit(limit, again, reference, accused).get(finding.place)
    if ratios is None or len(ratios) < LEAST:
        return finding
    middle = float(np.median(ratios))
    if not limit.missed(middle):
        told = f"{finding.sentence}; refuted: {middle:.3g} with good partners"
        return msgspec.structs.replace(finding, verified=words.REFUTED, sentence=told)
    told = f"{finding.sentence}; confirmed: {middle:.3g} with good partners"
    cause, more = ("", "") if quiet is None else _alone(limit, finding, quiet, reference)
    return msgspec.structs.replace(
        finding, verified=words.CONFIRMED, alone=cause, sentence=told + more
    )


def _alone(limit: Limit, finding: Finding, quiet: Rows, reference: float) -> tuple[str, str]:
    """(cause, words): is it slow without other traffic, too? Against what others reach in parallel."""
    everybody = frozenset(host for hosts in quiet.frame["hosts"] for host in str(hosts).split(" "))
    values = ratios_by_unit(limit, quiet, reference, everybody).get(finding.place)
    if values is None or len(values) < LEAST:
        return "", ""
    middle = float(np.median(values))
    if limit.missed(middle):
        return HARDWARE, f"; slow with nothing beside it, too ({middle:.3g}): hardware or a setting"
    return (
        CONGESTION,
        f"; not with nothing beside it ({middle:.3g}): congestion or oversubscription",
    )


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
        )
        for suspect in (*found.suspects, *found.classes)
    )


def notes_of(found: Localisation) -> list[str]:
    """What else the localisation says: who was refuted, who is not cleared, what was not tested."""
    accused = {suspect.sentence() for suspect in (*found.suspects, *found.classes)}
    return [sentence for sentence in found.sentences() if sentence not in accused]
