"""Nodes as Slurm's controller shows them, the reasons that they are held for, and whose these are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from railgauge.errors import NotMeasuredError, unknown
from railgauge_slurm.prefix import PREFIX
from railgauge_slurm.programs import PATIENCE, ask

MOST_WORD = 64
#: What Slurm takes as a name, and no list of hosts can be hidden in.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FACT = re.compile(r"(?:^|\s)([A-Z]\w*)=(\S*)")
#: The last field before it may be anything; who set it, and when, stands in brackets. What follows are
#: fields that sites fill with text.
_REASON = re.compile(
    r"\sReason=(.*?)(?: \[([^\[\]@]*)@([\dT:-]+)\])?(?=\s+(?:Comment|Extra)=|\s*$)"
)
_SHOW = ("scontrol", "--all", "--oneliner", "show")
_NEXT = "scontrol show nodes"


class Node(NamedTuple):
    """`name` is Slurm's, `host` what the node calls itself; `since` when the reason was set, as text."""

    name: str
    host: str
    states: frozenset[str]
    partitions: tuple[str, ...]
    reason: str = ""
    since: str = ""

    @property
    def drained(self) -> bool:
        return "DRAIN" in self.states

    @property
    def held_by_us(self) -> bool:
        """Drained, and for a reason of railgauge's."""
        return self.drained and self.reason.startswith(PREFIX)


def reason_of(code: str, day: str, run: str) -> str:
    """`railgauge:slow_nic 20261126 run=night7`: plain words, whatever a folder or a finding is called."""
    return f"{PREFIX}{_word(code)} {day} run={_word(run)}"


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_")[:MOST_WORD] or "unnamed"


def day_of(moment: float) -> str:
    """`20261126`, in UTC."""
    return time.strftime("%Y%m%d", time.gmtime(moment))


def all_nodes(timeout: float = PATIENCE) -> tuple[Node, ...]:
    """Every node of the cluster; raises NotMeasuredError and RefusedError."""
    return parsed(ask([*_SHOW, "nodes"], _NEXT, timeout))


def parsed(text: str) -> tuple[Node, ...]:
    """What `scontrol -o show nodes` prints, a line each; raises NotMeasuredError for another text."""
    made = []
    for line in filter(str.strip, text.splitlines()):
        facts: dict[str, str] = {}
        for name, value in _FACT.findall(line):
            facts.setdefault(name, value)  # a reason may hold words like those of fields
        if "NodeName" not in facts or "State" not in facts:
            raise NotMeasuredError(
                f"scontrol show nodes: {line[:80]!r} is no node.\n"
                "  expected: a line `NodeName=... State=...` each\n  next: scontrol -o show nodes"
            )
        reason = _REASON.search(line)
        made.append(
            Node(
                facts["NodeName"],
                facts.get("NodeHostName") or facts["NodeName"],
                frozenset(re.split(r"[+*~#!%$@^-]+", facts["State"])),
                tuple(filter(None, facts.get("Partitions", "").split(","))),
                reason[1] if reason else "",
                (reason[3] or "") if reason else "",
            )
        )
    return tuple(made)


def names_in(states: str, partition: str | None, form: str = "%N") -> set[str]:
    """Names of the nodes that are in one of these states (sinfo's words); "" or None: of any partition.

    `form` is sinfo's: `%N` what Slurm calls them, `%n` what they call themselves.
    """
    argv = ["sinfo", "--noheader", "--Node", f"--states={states}", f"--format={form}"]
    argv += [f"--partition={partition}"] if partition else []
    return set(ask(argv, "sinfo --Node").split())


def names_of(text: str | None) -> set[str]:
    """The names in a list as Slurm writes them; none of none."""
    if not text:
        return set()
    return set(ask(["scontrol", "show", "hostnames", text], "sinfo --Node").split())


def partition_of(
    nodes: Sequence[Node], asked: str | None, ran_in: str = "", timeout: float = PATIENCE
) -> str:
    """The partition whose nodes are counted: asked for, where the run ran, or Slurm's default one.

    Raises UsageError for one that does not exist; "" where there is none: all nodes count.
    """
    there = {partition for node in nodes for partition in node.partitions}
    if asked is not None and asked not in there:
        raise unknown("partition", asked, sorted(there), "scontrol show partitions")
    if asked or ran_in in there:
        return asked or ran_in
    shown = ask([*_SHOW, "partitions"], "scontrol show partitions", timeout)
    for line in shown.splitlines():
        facts: dict[str, str] = dict(_FACT.findall(line))
        if facts.get("Default") == "YES" and facts.get("PartitionName") in there:
            return facts["PartitionName"]
    return ""


def called(host: str, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes that a host may be: that call themselves so, or that Slurm does; by short names at last.

    Several where slurmd runs more than once on it.
    """
    every = tuple(nodes)
    for same in (
        lambda node: node.host == host,
        lambda node: node.name == host,
        lambda node: host.partition(".")[0] in (_short(node.host), _short(node.name)),
    ):
        if found := tuple(filter(same, every)):
            return found
    return ()


def _short(name: str) -> str:
    return name.partition(".")[0]


def drain_command(node: Node, reason: str) -> list[str]:
    """The argv that drains it; no shell is asked."""
    return ["scontrol", "update", f"nodename={node.name}", "state=drain", f"reason={reason}"]


def resume_command(node: Node) -> list[str]:
    """The argv that gives it back."""
    return ["scontrol", "update", f"nodename={node.name}", "state=resume"]
