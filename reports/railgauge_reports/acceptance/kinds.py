"""Kinds of stages: what each of them measures unless a profile says otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]
LARGE = "64M"


@dataclasses.dataclass(frozen=True)
class Kind:
    """`runs` are plans by name; a `scaled` one is repeated for groups of 1, 2, 4 ... all nodes.

    No runs: the configuration is audited instead. `leaves`: it needs to know the leaf switches.
    `finds` and `blind` are what it can see and what not, in words.
    """

    finds: str
    blind: str
    runs: Mapping[str, Fields]
    scaled: bool = False
    leaves: bool = False


def _flows(pattern: str, **more: object) -> Fields:
    return {"pattern": pattern, "operations": ("flows",), "sizes": "16M", **more}


KINDS: dict[str, Kind] = {
    "audit": Kind(
        "settings, versions and link states that are wrong, or differ between nodes",
        "what only traffic shows",
        {},
    ),
    "local": Kind(
        "nodes whose GPUs, NVLink or PCIe are slow, each by itself",
        "anything beyond the node",
        {"": {"pattern": "nodes", "operations": ("all_reduce",), "sizes": "64M,1G"}},
    ),
    "pairs": Kind(
        "slow nodes, and slow NICs, cables and ports of nodes, rail by rail",
        "pairs of leaves that meet too rarely in a few rounds; what only all nodes together show",
        {"": {"pattern": "pairs", "rounds": 3, "operations": ("sendrecv",), "sizes": LARGE}},
    ),
    "leaves": Kind(
        "slow paths between two leaf switches, every two of them tested by all of their nodes",
        "single uplinks of many, where traffic is spread over all",
        {"": {"pattern": "leaves", "operations": ("sendrecv",), "sizes": LARGE}},
        leaves=True,
    ),
    "sweep": Kind(
        "scales at which a collective falls short, and sizes at which it dips",
        "who is at fault: a collective is as slow as its slowest member",
        {
            "": {
                "pattern": "nodes",
                "operations": ("all_reduce", "all_gather", "reduce_scatter", "alltoall"),
                "sizes": "1M:1G:8",
            }
        },
        scaled=True,
    ),
    "congestion": Kind(
        "unfair shares, collapse where many send to one, and neighbours that slow each other",
        "congestion of traffic that is not made here",
        {
            "incast": _flows("incast"),
            "permutation": _flows("permutation", rounds=5),
            "victim": {
                "pattern": "victim",
                "operations": ("all_reduce",),
                "sizes": "1M",
                "loads": ("alltoall",),
            },
        },
    ),
    "soak": Kind(
        "faults that come and go: flapping links, heat, error counters that grow",
        "faults rarer than its duration",
        {
            "": {
                "pattern": "world",
                "operations": ("all_reduce", "alltoall"),
                "sizes": "256M",
                "duration": 1800.0,
            }
        },
    ),
}
