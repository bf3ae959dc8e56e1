"""Hosts that are not like the others: versions, kernels, variables, processors, settings."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from railgauge_reports.stored import StoredRun

#: Facts of a node that may differ without a reason to worry.
OWN = frozenset(("host", "boot_id", "counters", "sampler", "audit"))
GIB = 2**30  # what the kernel keeps for itself differs by a few pages
#: Hosts that are named of each value; the others are counted.
MOST_HOSTS = 8


@dataclasses.dataclass(frozen=True)
class Odd:
    """A fact that not all hosts share: the value that most have, and who has another."""

    fact: str
    majority: str
    holders: int
    hosts: int
    value: str
    who: tuple[str, ...]

    def words(self) -> str:
        """`n3 n7 and 2 more`."""
        more = len(self.who) - MOST_HOSTS
        return " ".join(self.who[:MOST_HOSTS]) + (f" and {more} more" if more > 0 else "")


def odd_hosts(stored: StoredRun) -> list[Odd]:
    """Every fact in which hosts differ, those with the fewest odd hosts first.

    A host whose environment says nothing of a fact counts as `not recorded`. Where no value is held
    by more than half, the commonest stands for the majority and `holders` tells how few they are.
    """
    nodes = [node for node in stored.environment.get("nodes") or () if isinstance(node, dict)]
    told = {str(node.get("host", number)): _flat(node) for number, node in enumerate(nodes)}
    if len(told) < 2:
        return []
    facts = dict.fromkeys(fact for own in told.values() for fact in own)
    found = []
    for fact in facts:
        by_value: dict[str, list[str]] = {}
        for host, own in told.items():
            by_value.setdefault(own.get(fact, "not recorded"), []).append(host)
        if len(by_value) == 1:
            continue
        counted = Counter({value: len(hosts) for value, hosts in by_value.items()})
        (most, holders), *_ = counted.most_common(1)
        found += [
            Odd(fact, most, holders, len(told), value, tuple(hosts))
            for value, hosts in by_value.items()
            if value != most
        ]
    return sorted(found, key=lambda odd: len(odd.who))


def _flat(node: dict[str, Any]) -> dict[str, str]:
    """`versions numpy` -> `2.1`, and so on; lists and deeper tables as they are written."""
    made: dict[str, str] = {}
    for name, value in node.items():
        if name in OWN:
            continue
        if isinstance(value, dict):
            made |= {f"{name} {inner}": str(of) for inner, of in value.items()}
        elif name == "memory_bytes" and isinstance(value, int):
            made["memory"] = f"{value / GIB:.1f} GiB"
        else:
            made[name] = str(value)
    return made
