"""What --adaptive runs by itself after a stage of pairs: who is decided on, at which cost, and why."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from railgauge.pair_lists import Pairs
from railgauge.plan import Plan
from railgauge.plan_rules import validate
from railgauge.schedules import circle
from railgauge.topology import Topology, some
from railgauge_reports.acceptance import local
from railgauge_reports.acceptance.algebra import FAIL
from railgauge_reports.acceptance.answer import Finding
from railgauge_reports.acceptance.cost import in_words
from railgauge_reports.acceptance.kept import Followed
from railgauge_reports.acceptance.stages import StageView, limited, located
from railgauge_reports.localise import PARTNERS
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED, Localisation
from railgauge_reports.localise.verify import Meeting, Verification

#: Nodes of a fleet that is slow as a whole, of which pairs are tried with nothing beside them.
SAMPLE_NODES = 8
ROUNDS_WITHOUT = 3


@dataclasses.dataclass(frozen=True)
class Decided:
    """A follow-up to run: what is kept of it, and its plan. Without a plan it was left out, as told."""

    followed: Followed
    plan: Plan | None


def verify(view: StageView, where: Topology, nodes: int) -> Decided | None:
    """Suspects against three partners known to be good; None where nobody is suspected."""
    found = located(view)
    if found is None:
        return None
    hosts, leaf_pairs = local.targets_of(found, _accusing(limited(view)))
    if not hosts and not leaf_pairs:
        return None
    told = [f"{len(hosts)} nodes ({some(hosts)})"] if hosts else []
    told += [f"leaves {a} and {b}" for a, b in leaf_pairs]
    reason = (
        f"{', '.join(told)}: slow, or met nobody known to be good; against {PARTNERS} good partners"
    )
    followed = _followed(view, "verify", reason, hosts, leaf_pairs)
    if len(hosts) > local.MOST_ACCUSED * len(found.names):
        many = (
            f"{len(hosts)} of {len(found.names)} nodes: too many for partners to be known as good"
        )
        return Decided(msgspec.structs.replace(followed, outcome=f"left out: {many}"), None)
    return _decided(followed, local.rounds_of(found, hosts, leaf_pairs), view, where, nodes)


def alone(view: StageView, where: Topology, nodes: int) -> Decided | None:
    """Who is confirmed, once more with nothing beside it; or a few nodes where the whole fleet is slow."""
    found = located(view)
    if found is None:
        return None
    findings = limited(view)
    bad = [f for f in _accusing(findings) if f.verified == CONFIRMED]
    if bad:
        hosts, leaf_pairs = _of(found, bad)
        reason = f"{some([f.place for f in bad])} slow beside other traffic: also without?"
    elif any(f.of == "expected" and not f.hosts and f.verdict == FAIL for f in findings):
        step = max(1, len(found.names) // SAMPLE_NODES)
        hosts, leaf_pairs = tuple(found.names[::step][:SAMPLE_NODES]), ()
        reason = "the fleet is slower than expected beside other traffic: also without?"
        return _sample(view, where, nodes, hosts, reason)
    else:
        return None
    followed = _followed(view, "quiet", reason, hosts, leaf_pairs)
    made = local.rounds_of(found, hosts, leaf_pairs, padded=False)
    few = dataclasses.replace(made, rounds=_few(made, found))
    return _decided(followed, few, view, where, nodes, quiet=True)


def without(
    view: StageView, hosts: Sequence[str], culprits: Sequence[str], where: Topology, nodes: int
) -> Decided:
    """The stage once more for all but who hangs: three rounds of pairs of the others."""
    left = [host for host in hosts if host not in set(culprits)]
    turns = list(circle(len(left)))[: view.stage.runs[0].plan.rounds or ROUNDS_WITHOUT]
    listed = [[(left[a], left[b]) for a, b in met] for met in turns]
    reason = f"{some(culprits)} hang: the others once more without"
    followed = _followed(view, "without", reason, culprits)
    if len(left) < 2:
        return Decided(msgspec.structs.replace(followed, outcome="left out: nobody to meet"), None)
    return _priced(followed, listed_plan(view.stage.runs[0].plan, listed), where, nodes)


def trial_plan(plan: Plan, hosts: Sequence[str]) -> Plan:
    """Pairs of these hosts, each in at least one."""
    rounds = [list(zip(hosts[::2], hosts[1::2], strict=False))]
    if len(hosts) % 2:
        rounds.append([(hosts[-1], hosts[0])])
    return listed_plan(plan, rounds)


def listed_plan(
    plan: Plan, rounds: Iterable[Iterable[tuple[str, str]]], quiet: bool = False
) -> Plan:
    """The plan's cases on listed pairs. Another seed: noise that is drawn is drawn anew."""
    pairs: Pairs = tuple((turn, a, b) for turn, met in enumerate(rounds) for a, b in met)
    return validate(
        msgspec.structs.replace(
            plan,
            pattern="listed",
            pairs=pairs,
            rounds=None,
            quiet=quiet,
            duration=None,
            seed=plan.seed + 1,
        )
    )


def outcome(view: StageView, kind: str) -> str:
    """What a follow-up came to, in a sentence."""
    findings, found = limited(view), located(view)
    if kind == "quiet":
        told = {
            "slow alone, too (hardware or a setting)": _places(findings, local.HARDWARE),
            "not slow alone (congestion or oversubscription)": _places(findings, local.CONGESTION),
        }
        return _listed(told) or "compare its rows with those of the stage"
    suspects = (*found.suspects, *found.refuted) if found else ()
    made = {}
    for word in (CONFIRMED, REFUTED):
        own = [s for s in suspects if s.verified == word]
        named = {host for s in own for host in s.hosts}
        more = [f.place for f in findings if f.verified == word and not named & set(f.hosts)]
        made[word] = [*(s.target for s in own), *more]
    return _listed(made) or "nobody has enough valid measurements with good partners"


def _places(findings: Iterable[Finding], alone: str) -> list[str]:
    return [f.place for f in findings if f.alone == alone]


def _listed(told: dict[str, list[str]]) -> str:
    return "; ".join(f"{words}: {some(list(names))}" for words, names in told.items() if names)


def _accusing(findings: Iterable[Finding]) -> list[Finding]:
    """Those that name a node, a rail of one, or a pair of leaves."""
    return [f for f in findings if f.verdict == FAIL and (len(f.hosts) == 1 or " " in f.place)]


def _of(
    found: Localisation, bad: Sequence[Finding]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    hosts = tuple(dict.fromkeys(h for f in bad for h in f.hosts if h in set(found.names)))
    pairs = [f.place.partition(" ") for f in bad if not f.hosts]
    return hosts, tuple((a, b) for a, _, b in pairs if b)


def _followed(
    view: StageView,
    kind: str,
    reason: str,
    targets: Sequence[str],
    leaf_pairs: tuple[tuple[str, str], ...] = (),
) -> Followed:
    """A follow-up of the stage that has no price yet."""
    return Followed(
        kind=kind,
        stage=view.name,
        folder=f"{view.stage.folder}-{kind}",
        reason=reason,
        cost="",
        targets=tuple(targets),
        leaf_pairs=leaf_pairs,
    )


def _decided(
    followed: Followed,
    made: Verification,
    view: StageView,
    where: Topology,
    nodes: int,
    quiet: bool = False,
) -> Decided:
    if not made.rounds:
        why = made.short or "nobody to meet"
        return Decided(msgspec.structs.replace(followed, outcome=f"left out: {why}"), None)
    plan = listed_plan(view.stage.runs[0].plan, made.named(), quiet)
    return _priced(followed, plan, where, nodes)


def _few(made: Verification, found: Localisation) -> tuple[tuple[Meeting, ...], ...]:
    """Three meetings of every target and of every pair of leaves: quiet, they run one by one."""
    basis, left = found.basis, Counter[object]()
    leaf_of = basis.leaf_of if basis is not None else None
    rounds = []
    for met in made.rounds:
        kept = []
        for a, b in met:
            ends: list[object] = [node for node in (a, b) if node in made.targets]
            if not ends and leaf_of is not None:
                ends = [tuple(sorted((int(leaf_of[a]), int(leaf_of[b]))))]
            if any(left[end] < PARTNERS for end in ends):
                left.update(ends)
                kept.append((a, b))
        rounds.append(tuple(kept))
    return tuple(met for met in rounds if met)


def _sample(
    view: StageView, where: Topology, nodes: int, hosts: Sequence[str], reason: str
) -> Decided:
    names = [name.removeprefix("rank ") for name in hosts]
    met = list(zip(names[::2], names[1::2], strict=False))
    followed = _followed(view, "quiet", reason, hosts)
    return _priced(followed, listed_plan(view.stage.runs[0].plan, [met], True), where, nodes)


def _priced(followed: Followed, plan: Plan, where: Topology, nodes: int) -> Decided:
    cost = in_words(plan, where, nodes)
    return Decided(msgspec.structs.replace(followed, cost=cost), plan)
