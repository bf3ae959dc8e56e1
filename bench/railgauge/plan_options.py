"""From what was typed, and a plan file, to a `Plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from railgauge import patterns, plans
from railgauge.backends import Offers, offers_of
from railgauge.cluster import Cluster, check_cluster, read_cluster
from railgauge.errors import UsageError
from railgauge.leaves.source import leaves_of
from railgauge.pair_lists import read_pairs
from railgauge.plan import Plan, read_matrix, read_plan
from railgauge.plan_rules import applicable, validate
from railgauge.simulation.faults import drawn, read_faults
from railgauge.units import parse_factor, parse_size, parse_sizes, size_range

DEFAULT_RANKS = 2
#: `all` in a list of names stands for these.
_EVERYTHING = ("operations", "dtypes", "ops", "calls")
_AS_TYPED = (
    *("pattern", "rounds", "backend", "op_implementation", "timing", "iterations", "warmup"),
    *("precision", "budget", "window", "buffers", "overlap", "check_every", "skew", "timeout"),
    *("quiet", "duration", "group_nodes", "ranks_per_node", "victims", "seed", "memory"),
    *("register", "streams", "functional", "explain", "clock", "spin"),
)


def names_of(text: str | None) -> tuple[str, ...] | None:
    """The names of a list, none of them for an empty one (which `validate` refuses)."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def sizes(typed: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The sizes that -b, -e, -f or --sizes ask for, None where none of them was typed."""
    factor = parse_factor(2.0 if typed["step_factor"] is None else typed["step_factor"])
    low, high = typed["min_bytes"], typed["max_bytes"]
    if typed["sizes"] is not None:
        if low is not None or high is not None:
            raise UsageError("--sizes cannot be combined with -b or -e: it lists all sizes")
        return parse_sizes(typed["sizes"], factor)
    if low is None and high is None and typed["step_factor"] is None:
        return None
    first = parse_size(low, "--min-bytes") if low is not None else 8
    last = parse_size(high, "--max-bytes") if high is not None else max(64 << 20, first)
    return size_range(first, last, factor)


def plan_from(typed: Mapping[str, Any], world: int | None = None) -> tuple[Plan, dict[str, str]]:
    """The validated plan, and the operations that `all` leaves out, with why.

    It is for as many ranks as there are in the `world` (None: not started yet), else as were
    typed, else as a plan file says; that file must agree. What was typed wins over its other
    fields. `typed["leaves"]` is text, or the leaves themselves. Raises UsageError.
    """
    fields: dict[str, Any] = {}
    if typed["plan"] is not None:
        fields |= read_plan(plans.path_of(typed["plan"]))
    offers = offers_of(typed["backend"] or fields.get("backend", "mpi"))
    if offers.alone:
        fields |= modelled(typed, {**offers.defaults, **fields})
    _check_modelled(typed, offers)
    ranks = typed["ranks"] if world is None else world
    if ranks is not None and fields.get("ranks", ranks) != ranks:
        raise UsageError(
            f"--plan {typed['plan']} is for {fields['ranks']} ranks, not {ranks}.\n"
            f"  next: leave -n out, or start {fields['ranks']} ranks"
        )
    if offers.alone and ranks is None:
        fields.setdefault("ranks", fields["cluster"].ranks)
    fields["ranks"] = ranks = fields.get("ranks", DEFAULT_RANKS) if ranks is None else ranks
    asked = {
        "operations": names_of(typed["operation"]),
        "dtypes": names_of(typed["dtype"]),
        "ops": names_of(typed["op"]),
        "calls": names_of(typed["call"]),
        "algorithms": names_of(typed["algorithm"]),
        "placements": typed["placement"]
        and {"both": ("out", "in")}.get(typed["placement"], (typed["placement"],)),
        "loads": names_of(typed["load"]),
        "load_bytes": _size(typed["load_bytes"], "--load-bytes"),
        "leaves": leaves_of(typed["leaves"])
        if isinstance(typed["leaves"], str)
        else typed["leaves"],
        "pairs": None if typed["pairs"] is None else read_pairs(Path(typed["pairs"])),
        "sizes": sizes(typed),
        "matrix": None if typed["matrix"] is None else read_matrix(Path(typed["matrix"])),
        "max_memory": _size(typed["max_memory"], "--max-memory"),
        "sample_budget": _size(typed["sample_budget"], "--sample-budget"),
    }
    if typed.get("set"):
        asked["variables"] = tuple(parse_variable(text, "--set") for text in typed["set"])
    if typed["counters"] is not None:
        whole = {"none": (), "all": None}
        asked["counters"] = whole.get(typed["counters"], names_of(typed["counters"]))
    if typed["sample_counters"] is not None:
        asked["sample_counters"] = _seconds(typed["sample_counters"])
    if typed.get("config"):
        asked["config"] = tuple(parse_variable(text, "--config") for text in typed["config"])
    fields |= {key: value for key, value in asked.items() if value is not None}
    fields |= {key: typed[key] for key in _AS_TYPED if typed[key] is not None}
    return completed(fields, typed["root"])


def completed(fields: Mapping[str, Any], roots: str | None = None) -> tuple[Plan, dict[str, str]]:
    """The validated plan of these fields, with what its backend takes for the others.

    `ranks` and, of a modelled cluster, `cluster` and `leaves` are among them; `roots` are ranks as
    typed. Also returns the operations that `all` leaves out, with why. Raises UsageError.
    """
    offers = offers_of(fields.get("backend", "mpi"))
    whole = {"memory": offers.memories[0], **offers.defaults, **fields}
    # a plan file has lists where the command line makes tuples
    everything = [key for key in _EVERYTHING if tuple(whole.get(key) or ()) == ("all",)]
    for key in everything:
        whole[key] = getattr(offers, key)
    plan = msgspec.convert(whole, Plan)
    patterns.check_pattern(plan.pattern)
    patterns.check_victims(plan.victims)  # before anybody counts them
    if roots is not None:
        plan = msgspec.structs.replace(plan, roots=_roots(roots, plan.group_size))
    left: dict[str, str] = {}
    if "operations" in everything:
        kept, left = applicable(plan, plan.operations)
        plan = msgspec.structs.replace(plan, operations=kept)
    return validate(plan), left


def modelled(typed: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster that is modelled, its leaves and its faults; what was typed wins over `fields`."""
    made: dict[str, Any] = {}
    asked = typed["cluster"] or fields["cluster"]
    cluster = read_cluster(asked) if isinstance(asked, str) else msgspec.convert(asked, Cluster)
    if typed["nodes"] is not None:
        cluster = check_cluster(
            msgspec.structs.replace(cluster, nodes=typed["nodes"]), f"--nodes {typed['nodes']}"
        )
    made["cluster"] = cluster
    made["leaves"] = fields.get("leaves", cluster.leaves)
    if (typed["pattern"] or fields.get("pattern")) == "nodes":
        made["ranks_per_node"] = fields.get("ranks_per_node", cluster.node.gpus)
    if typed["faults"] is not None:
        # the network is known to Numba's part alone, which nobody else loads
        from railgauge.simulation.networks import network_of

        file = read_faults(Path(typed["faults"]))
        made["faults"] = drawn(file, cluster, network_of(cluster).spine_count)
    return made


def _check_modelled(typed: Mapping[str, Any], offers: Offers) -> None:
    for name in ("cluster", "nodes", "faults"):
        if typed[name] is not None and not offers.alone:
            raise UsageError(
                f"--{name}: only a simulated cluster has that.\n"
                f"  next: railgauge run --backend simulated --{name} {typed[name]}"
            )


def _size(text: str | None, field: str) -> int | None:
    return None if text is None else parse_size(text, field)


def _seconds(text: str) -> float:
    try:
        return 0.0 if text == "none" else float(text)
    except ValueError:
        raise UsageError(
            f"--sample-counters {text}: expected seconds between two readings, or none.\n"
            "  next: --sample-counters 1"
        ) from None


def _roots(text: str, group: int) -> tuple[int, ...]:
    if text == "all":
        return tuple(range(group))
    try:
        return tuple(int(name) for name in names_of(text) or ())
    except ValueError:
        raise UsageError(f"--root {text}: expected ranks, as in 0 or 0,3, or all") from None


def parse_variable(text: str, option: str) -> tuple[str, str]:
    """(name, value) of `NAME=VALUE`; raises UsageError."""
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise UsageError(
            f"{option} {text}: not an environment variable and its value.\n"
            f"  expected: NAME=VALUE\n  next: railgauge run {option} NCCL_ALGO=Ring"
        )
    return name, value
