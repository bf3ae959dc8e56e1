"""What a rank reads for an audit: its own settings, and its node's where it leads."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from railgauge.auditing.checks import (
    Check,
    Item,
    all_checks,
    attempt,
)
from railgauge.auditing.machine import Inapplicable, Machine, Unknown
from railgauge.auditing.records import Read, Taken

RUN_SECONDS = 2.0


def readings(
    machine: Machine, checks: Iterable[Check], leads: bool, seconds: float = float("inf")
) -> Taken:
    """Read what belongs to this rank, and what belongs to the node where it `leads`.

    No check begins after that many seconds; it is unknown then.
    """
    began = time.monotonic()
    made: list[Read] = []
    for check in checks:
        if not (leads or check.each_rank):
            continue
        if time.monotonic() - began > seconds:
            made.append(Read(check=check.name, unknown=f"not read: {seconds:g} s were over"))
            continue
        items = attempt(lambda check=check: list(check.read(machine)))
        found = (Item("", items),) if isinstance(items, Unknown) else items
        made += [_read(check.name, item) for item in found]
    spent = time.monotonic() - began
    return Taken(
        host=machine.host, rank=machine.rank, leads=leads, seconds=spent, reads=tuple(made)
    )


def of_this_node(rank: int, seconds: float = RUN_SECONDS) -> Taken:
    """What a run notes of a node, by its first rank; bounded, as a run must not wait for it."""
    made = readings(Machine(), all_checks().values(), True, seconds)
    return msgspec.structs.replace(made, rank=rank)


def _read(check: str, item: Item) -> Read:
    if isinstance(item.value, Unknown):
        reason, command = item.value
        return Read(check=check, where=item.where, unknown=reason, root_command=command)
    if isinstance(item.value, Inapplicable):
        return Read(check=check, where=item.where, inapplicable=item.value.reason)
    vote = item.value if item.vote is None else item.vote
    return Read(check=check, where=item.where, value=item.value, group=item.group, vote=vote)
