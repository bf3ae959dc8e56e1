"""What is done with nodes that are at fault: never more of them than a cap, and nobody else's. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from railgauge.errors import UsageError
from railgauge_slurm.accusation import Accusation, Accused, PassedOver
from railgauge_slurm.nodes import (
    NAME,
    Node,
    called,
    day_of,
    drain_command,
    reason_of,
    resume_command,
)


class Cap(NamedTuple):
    """At most so many nodes at once: a `share` of the partition (then one at least), or `most`."""

    share: float | None
    most: int = 0

    def of(self, nodes: int) -> int:
        if self.share is None:
            return self.most
        return max(1, int(nodes * self.share + 1e-9)) if self.share > 0 else 0

    def words(self, nodes: int) -> str:
        """`1 of 4 nodes (2 %, one at least)`."""
        rule = "" if self.share is None else f" ({self.share * 100:g} %, one at least)"
        return f"{self.of(nodes)} of {nodes} nodes{rule}"


def parse_cap(text: str) -> Cap:
    """`2%` or `3`; raises UsageError."""
    word = text.strip()
    number = word.removesuffix("%").strip()
    if (
        number.replace(".", "", 1).isascii()
        and number.replace(".", "", 1).isdigit()
        and len(word) < 16
    ):
        if word.endswith("%") and float(number) <= 100:
            return Cap(float(number) / 100)
        if number == word and number.isdigit():
            return Cap(None, int(number))
    raise UsageError(
        f"--max-drain {text[:40]!r}: no number of nodes.\n  expected: 3, or a share of the partition as 2%"
    )


class Action(NamedTuple):
    """A node and the argv that drains it or gives it back; `why` for a person."""

    host: str
    node: str
    argv: list[str]
    why: str
    reason: str = ""


class Decided(NamedTuple):
    """`actions` in their order, `left` alone and why; `limit` in words, and how many are `held` already."""

    actions: tuple[Action, ...]
    left: tuple[PassedOver, ...]
    limit: str = ""
    held: int = 0


def to_drain(said: Accusation, nodes: Sequence[Node], partition: str, cap: Cap) -> Decided:
    """Which of the accused to drain: the surest ones, up to the cap, which those held already count into."""
    inside = [node for node in nodes if not partition or partition in node.partitions]
    held = sum(node.held_by_us for node in inside)
    room, limit = cap.of(len(inside)) - held, cap.words(len(inside))
    actions: list[Action] = []
    left: list[PassedOver] = []
    for accused in said.accused:
        found = _node_of(accused.host, nodes)
        why_not = found if isinstance(found, str) else _why_not(found, partition, actions)
        if not why_not and len(actions) >= room:
            why_not = f"over the cap: at most {limit}, {held} held already; {accused.sentence}"
        if why_not or isinstance(found, str):
            left.append(PassedOver(accused.host, why_not))
        else:
            actions.append(_drain(said, accused, found))
    return Decided(tuple(actions), (*left, *said.passed), limit, held)


def _drain(said: Accusation, accused: Accused, node: Node) -> Action:
    reason = reason_of(accused.code, day_of(said.measured), said.run)
    return Action(accused.host, node.name, drain_command(node, reason), accused.sentence, reason)


def _node_of(host: str, nodes: Sequence[Node]) -> Node | str:
    """Slurm's node, or why there is none."""
    found = called(host, nodes)
    if not found:
        return "Slurm knows no node of that name"
    if len(found) > 1:
        return f"stands for several nodes of Slurm: {', '.join(node.name for node in found[:4])}"
    if not NAME.fullmatch(found[0].name):
        return f"Slurm calls it {found[0].name[:40]!r}, which is no plain name"
    return found[0]


def _why_not(node: Node, partition: str, actions: Sequence[Action]) -> str:
    if node.name in {action.node for action in actions}:
        return f"node {node.name} is drained for another finding"
    if partition and partition not in node.partitions:
        return f"node {node.name} is not in partition {partition}; next: --partition NAME"
    if node.held_by_us:
        return f"held already: {node.reason}"
    if node.drained:
        return f"drained by others already: {node.reason or 'without a reason'}"
    return ""


def to_undrain(nodes: Sequence[Node], partition: str | None, later: Accusation | None) -> Decided:
    """Which of the nodes that railgauge holds to give back: all, or those that a later run found good."""
    actions, left = [], []
    for node in nodes:
        if not node.drained or (partition and partition not in node.partitions):
            continue
        if not node.held_by_us:
            left.append(
                PassedOver(node.name, f"drained by others: {node.reason or 'without a reason'}")
            )
        elif why_not := "" if later is None else _not_good(node, later):
            left.append(PassedOver(node.name, f"{why_not}; held: {node.reason}"))
        else:
            actions.append(
                Action(node.host, node.name, resume_command(node), f"was held: {node.reason}")
            )
    return Decided(tuple(actions), tuple(left))


def _not_good(node: Node, later: Accusation) -> str:
    """Why the run does not speak for it; "": it does."""
    if later.measured <= _seconds(node.since):
        return f"{later.run} was measured before it was drained"
    names = {node.host, node.name}
    known = names & later.good or {host for host in later.good if host.partition(".")[0] in names}
    return "" if known else f"{later.run} did not find it good"


def _seconds(since: str) -> float:
    """When a reason was set: local time of this host, as scontrol shows it; 0.0: it does not say."""
    try:
        return datetime.datetime.fromisoformat(since).timestamp()
    except ValueError:
        return 0.0
