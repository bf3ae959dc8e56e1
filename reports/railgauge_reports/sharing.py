"""Whose messages a counter may have counted: which groups of a round share the place where it stands.

A NIC counts for the groups whose ranks use it, a GPU for the group of its rank, a bridge for all that is
reached through it, the host as a whole for every group with a rank on it. Where it is not known which
NICs a rank uses, whatever a NIC of its node counts may be that rank's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from railgauge.rank_lists import decode_ranks, encode_ranks
from railgauge.records import Moved, Result
from railgauge_reports.stored import Start, StoredRun

WHOLE = "host"  # the device that is the host as a whole (railgauge.counting.Place)
_OF_GPUS = ("nvml", "nvlink")


@dataclasses.dataclass(frozen=True)
class _Use:
    """What a rank uses: names of NICs (None: not known), and of its GPU."""

    nics: frozenset[str] | None
    gpu: str | None


class Sharing:
    """Of one run; facts come from its environment, groups from each result."""

    def __init__(self, stored: StoredRun) -> None:
        self._facts: dict[tuple[str, str, str, int], dict[str, str]] = {}
        self._aliases: dict[tuple[str, str], set[str]] = {}  # (host, name) -> all names of a NIC
        for node in stored.nodes:
            for place in node.counters.places if node.counters else ():
                self._facts[node.host, place.source, place.device, place.port] = place.facts
                if place.source == "rdma" or place.facts.get("class") == "nic":
                    self._same(node.host, _names(place.device, place.facts))
        ranks = stored.environment.get("ranks") or []
        self._uses = {rank["rank"]: _use(rank) for rank in ranks}
        self._on: dict[tuple[float, int], dict[str, list[tuple[int, int]]]] = {}
        self._told: dict[tuple[object, ...], str] = {}

    def facts(self, host: str, moved: Moved) -> dict[str, str]:
        """What the run recorded of the place of a counter."""
        return self._facts.get((host, moved.source, moved.device, moved.port), {})

    def groups(self, start: Start, result: Result, host: str, moved: Moved) -> str:
        """Numbers of the groups, as `0-2,5`; empty where no group uses the place."""
        split = (start.run.started, result.round)  # the same groups in all of its cases
        key = (*split, host, moved.source, moved.device, moved.port)
        if key not in self._told:
            on_host = self._ranks(split, start, result).get(host, [])
            used = {group for rank, group in on_host if self._touches(rank, host, moved)}
            self._told[key] = encode_ranks(sorted(used))
        return self._told[key]

    def _touches(self, rank: int, host: str, moved: Moved) -> bool:
        if moved.device == WHOLE:
            return True
        facts = self.facts(host, moved)
        names = _names(moved.device, facts)
        for name in tuple(names):
            names |= self._aliases.get((host, name), set())
        use = self._uses.get(rank, _Use(None, None))
        if use.gpu in names:
            return True
        if moved.source in _OF_GPUS or facts.get("class") == "gpu":
            return False
        return use.nics is None or bool(use.nics & names)

    def _same(self, host: str, names: set[str]) -> None:
        for name in tuple(names):
            names |= self._aliases.get((host, name), set())
        self._aliases |= {(host, name): names for name in names}

    def _ranks(
        self, split: tuple[float, int], start: Start, result: Result
    ) -> dict[str, list[tuple[int, int]]]:
        """Host -> (rank, number of its group), made once for all cases of a round."""
        if split not in self._on:
            made: dict[str, list[tuple[int, int]]] = {}
            for group, members in enumerate(result.groups):
                for rank in decode_ranks(members.ranks):
                    made.setdefault(start.host_of[rank], []).append((rank, group))
            self._on[split] = made
        return self._on[split]


def _names(device: str, facts: dict[str, str]) -> set[str]:
    """What goes by that place: itself, the device that it is a part of, what it is and leads to."""
    more = f"{facts.get('netdev', '')} {facts.get('serves', '')}".split()
    return {device, device.partition("/")[0], *more}


def _use(rank: dict[str, Any]) -> _Use:
    nics = (rank.get("nics") or {}).get("names")
    gpu = (rank.get("device") or {}).get("bus_id")
    return _Use(None if nics is None else frozenset(nics), gpu and gpu.lower())
