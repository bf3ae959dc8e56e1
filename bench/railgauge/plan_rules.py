"""What a plan must be to mean something; every refusal says what was expected and what to type next."""

from __future__ import annotations

import math

from railgauge import counting, patterns, plugins
from railgauge.backends import Offers, offers_of
from railgauge.dtypes import dtype_named
from railgauge.errors import UsageError, unknown
from railgauge.operations import OPERATIONS, REDUCTIONS, Operation, operation_named
from railgauge.plan import OVERLAPPING, Plan, cases, forms


def _positive(name: str, value: float | None, least: float = 1) -> None:
    if value is not None and not least <= value < math.inf:
        raise UsageError(
            f"--{name.replace('_', '-')}: {value} is {'endless' if value == math.inf else 'too small'}.\n"
            f"  expected: at least {least:g}\n  next: railgauge run --help"
        )


def validate(plan: Plan) -> Plan:
    """The plan itself, once everything in it is known to mean something; raises UsageError."""
    if plan.imported is not None:
        raise UsageError(
            "--plan: of results that were imported: another tool measured them, and railgauge cannot.\n"
            "  next: railgauge run --operation all_reduce"
        )
    patterns.check_pattern(plan.pattern)
    patterns.check_victims(plan.victims)
    offers = offers_of(plan.backend)
    if offers.unsupported:
        raise UsageError(f"--backend {plan.backend}: {offers.unsupported}")
    for field in ("operations", "dtypes", "ops", "roots", "placements", "calls", "algorithms"):
        if getattr(plan, field) == ():
            raise UsageError(
                f"--{field.removesuffix('s')}: nothing is named.\n"
                "  expected: at least one, comma separated\n  next: railgauge list"
            )
    for name in plan.operations:
        operation_named(name)
    for dtype in plan.dtypes:
        dtype_named(dtype)
    for op in plan.ops:
        if op not in REDUCTIONS:
            raise unknown("reduction op", op, [*REDUCTIONS, "all"], "railgauge list")
    for source in plan.counters or ():
        counting.source_named(source)
    _check_offers(plan, offers)
    _check_selection(plan, offers)
    for name in (
        *("ranks", "iterations", "rounds", "window", "buffers", "streams", "check_every"),
        *("max_memory", "load_bytes", "group_nodes", "ranks_per_node"),
    ):
        _positive(name, getattr(plan, name))
    _positive("warmup", plan.warmup, 0)
    for name in ("precision", "budget", "timeout", "duration"):
        _positive(name, getattr(plan, name), 1e-6)
    _positive("sample_counters", plan.sample_counters or None, 0.01)  # drivers keep values 10 ms
    if not plan.sizes or min(plan.sizes) < 0:
        raise UsageError("--sizes: no size, or a negative one.\n  expected: bytes, as in 8,64K,1M")
    if not 0 <= plan.skew <= 1:
        raise UsageError(f"--skew: {plan.skew} is outside 0 (uniform) ... 1 (all to rank 0)")
    _check_pattern(plan)
    for root in plan.roots:
        if not 0 <= root < plan.group_size:
            raise UsageError(
                f"--root {root}: the groups of pattern {plan.pattern} over {plan.ranks} ranks have"
                f" no such rank.\n  expected: 0 to {plan.group_size - 1}"
            )
    for name in plan.operations:
        OPERATIONS[name].check_group(plan.group_size, plan.pattern, plan.calls)
        _check_offered(plan, OPERATIONS[name])
    offers.refuse(plan)
    _check_cluster(plan)
    _check_matrix(plan)
    if plan.skew and "alltoallv" not in plan.operations:
        raise UsageError(
            "--skew is for --operation alltoallv alone.\n"
            f"  next: railgauge run --operation alltoallv --skew {plan.skew}"
        )
    if plan.overlap and not any(case.call in OVERLAPPING for case in cases(plan)):
        raise UsageError(
            "--overlap is of non-blocking operations.\n  next: railgauge run --overlap --call nonblocking"
        )
    return plan


def _check_cluster(plan: Plan) -> None:
    """Raise UsageError where more ranks are asked for than the modelled cluster has."""
    if plan.cluster is not None and plan.ranks > plan.cluster.ranks:
        raise UsageError(
            f"--ranks {plan.ranks}: the cluster has {plan.cluster.ranks} GPUs"
            f" (nodes = {plan.cluster.nodes}, node.gpus = {plan.cluster.node.gpus}).\n"
            f"  next: --nodes {-(-plan.ranks // plan.cluster.node.gpus)}"
        )


def _check_offered(plan: Plan, entry: Operation) -> None:
    offers = offers_of(plan.backend)
    if entry.name not in offers.operations:
        raise UsageError(
            f"--operation {entry.name}: --backend {plan.backend} has no such operation.\n"
            f"  allowed: {', '.join(offers.operations)}\n  next: {_backends_with(entry.name)}"
        )
    if entry.external and plan.timing not in (None, offers.timing):
        raise UsageError(
            f"--timing {plan.timing}: {entry.name} is timed by the program that --backend {plan.backend}"
            " starts.\n  next: without --timing"
        )
    placements, calls = forms(entry, offers)
    for field, asked, exist in (
        ("placement", plan.placements, placements),
        ("call", plan.calls, calls),
    ):
        if asked is not None and not set(asked) & set(exist):
            raise UsageError(
                f"--{field} {','.join(asked)}: {entry.name} has no such form.\n"
                f"  allowed for {entry.name}: {', '.join(exist)}\n"
                f"  next: railgauge run --operation {entry.name} --{field} {exist[0]}"
            )


def _backends_with(operation: str) -> str:
    backends = {name: offers_of(name) for name in plugins.names(plugins.BACKENDS)}
    found = [b for b, o in backends.items() if operation in o.operations and not o.unsupported]
    if not found:
        return "railgauge list"
    return f"railgauge run --operation {operation} --backend {found[0]}"


def _check_offers(plan: Plan, offers: Offers) -> None:
    """Raise UsageError for what the backend never has, whatever library and machine."""
    for field, asked, exist in (
        ("dtype", plan.dtypes, offers.dtypes),
        ("op", plan.ops, offers.ops),
        ("call", plan.calls or (), offers.calls),
        ("memory", (plan.memory,), offers.memories),
        ("register", (plan.register,), offers.registrations),
    ):
        if lacking := [name for name in asked if name not in exist]:
            raise UsageError(
                f"--{field} {lacking[0]}: --backend {plan.backend} has no such {field}.\n"
                f"  allowed: {', '.join(exist)}\n  next: railgauge run --backend {plan.backend}"
                f" --{field} {exist[0]}"
            )
    if plan.op_implementation == "user" and plan.backend != "mpi":
        raise UsageError(
            "--op-implementation user is MPI's: only there can a program bring its own reduction.\n"
            "  next: railgauge run --backend mpi --op-implementation user"
        )
    of_streams = {
        "streams": plan.streams > 1,
        "functional": plan.functional,
        "explain": plan.explain,
        "clock": plan.clock != "stamp",
        "no-spin": not plan.spin,
    }
    for option, is_asked in of_streams.items():
        if is_asked and not (offers.device_clock and plan.memory == "device"):
            raise UsageError(
                f"--{option}: --backend {plan.backend} on {plan.memory} memory enqueues nothing on a"
                f" GPU's stream.\n  next: railgauge run --backend nccl --{option}"
            )


def _check_selection(plan: Plan, offers: Offers) -> None:
    """Raise UsageError where a call names no algorithm, or a communicator has no configuration."""
    for option, asked, offered in (
        ("algorithm", plan.algorithms, offers.selected),
        ("config", plan.config, offers.configured),
    ):
        if asked and not offered:
            raise UsageError(
                f"--{option}: --backend {plan.backend} has no such choice.\n"
                f"  next: railgauge run --backend nccl --{option}"
            )
    if plan.algorithms and not set(plan.operations) & set(offers.selected):
        raise UsageError(
            f"--algorithm: the calls of {', '.join(plan.operations)} name no algorithm.\n"
            f"  allowed for {', '.join(offers.selected)}\n"
            "  next: railgauge run --backend nccl --operation all_reduce --algorithm ring,tree"
        )


def _check_pattern(plan: Plan) -> None:
    """Raise UsageError where the pattern's own options mean nothing, or it has too few ranks."""
    least = patterns.fewest(plan.pattern)
    if plan.ranks < least:
        raise UsageError(
            f"--pattern {plan.pattern} needs at least {least} ranks.\n"
            f"  next: railgauge run --pattern {plan.pattern} -n {least}"
        )
    if plan.pattern == "leaves" and plan.leaves is None:
        raise UsageError(
            "--pattern leaves: which hosts hang on which leaf is not known.\n"
            "  next: railgauge run --pattern leaves --leaves /etc/slurm/topology.conf, or a file with"
            " lines like `leaf0: node[0-3]`"
        )
    if (plan.pattern == "listed") != bool(plan.pairs):
        raise UsageError(
            "--pattern listed and --pairs belong together: the file lists who meets whom.\n"
            "  expected: lines of a round and two hosts, as in `0 node17 node3`\n"
            "  next: railgauge run --pattern listed --pairs FILE --operation sendrecv"
        )
    if plan.quiet and plan.pattern not in patterns.PAIRWISE:
        raise UsageError(
            f"--quiet: pattern {plan.pattern} has no groups that could run one after the other.\n"
            f"  expected: --pattern {', '.join(patterns.PAIRWISE)}"
        )
    if plan.pattern == "nodes":
        _check_nodes(plan)
    elif plan.group_nodes != 1:
        raise UsageError(
            "--group-nodes is of pattern nodes.\n"
            "  next: railgauge run --pattern nodes --group-nodes 2 --ranks-per-node 8"
        )
    elif plan.ranks_per_node is not None and plan.ranks % plan.ranks_per_node:
        raise UsageError(
            f"--ranks-per-node {plan.ranks_per_node}: {plan.ranks} ranks are not as many on each node.\n"
            "  next: leave it out, or another --ranks"
        )
    if plan.pattern == "victim":
        _check_victims(plan)


def _check_nodes(plan: Plan) -> None:
    each = plan.ranks_per_node
    if each is None:
        raise UsageError(
            "--pattern nodes: how many ranks each node has is not said.\n"
            f"  next: railgauge run --pattern nodes -n {plan.ranks} --ranks-per-node {plan.ranks}"
            " (all of them on one node)"
        )
    if plan.ranks % each or plan.ranks < plan.group_nodes * each:
        raise UsageError(
            f"--group-nodes {plan.group_nodes}: {plan.ranks} ranks, {each} a node, make no such group.\n"
            f"  expected: nodes of {each} ranks each, and {plan.group_nodes} of them or more\n"
            f"  next: -n {-(-plan.ranks // each) * each}, or --group-nodes 1"
        )


def _check_victims(plan: Plan) -> None:
    loading = plan.ranks - plan.group_size
    if not loading:
        raise UsageError(
            f"--victims {plan.victims:g}: all of {plan.ranks} ranks would be victims, and the"
            " rest make load.\n  expected: a share that leaves ranks for both, as in 0.2"
        )
    for load in plan.loads:
        kind, colon, path = load.partition(":")
        if kind not in (*patterns.LOADS, patterns.STORAGE):
            raise unknown("load", kind, [*patterns.LOADS, patterns.STORAGE], "railgauge run --help")
        if bool(path) != (kind == patterns.STORAGE) or (colon and not path):
            raise UsageError(
                f"--load {load}: a path belongs to {patterns.STORAGE}, and only there.\n"
                f"  expected: {', '.join(patterns.LOADS)}, {patterns.STORAGE}:/path/to/a/folder"
            )
        if kind in patterns.LOADS:
            _check_traffic(plan, load, loading)
    if not plan.loads:
        raise UsageError(
            "--load: nothing is named.\n  expected: at least one, comma separated, as in alltoall,incast"
        )


def _check_traffic(plan: Plan, load: str, loading: int) -> None:
    """Raise UsageError where the backend, or a rank alone, cannot make the load."""
    operations = offers_of(plan.backend).operations
    if patterns.LOAD_OPERATIONS[load] not in operations:
        fitting = [name for name, made in patterns.LOAD_OPERATIONS.items() if made in operations]
        other = fitting[0] if fitting else f"{patterns.STORAGE}:/path/to/a/folder"
        raise UsageError(
            f"--load {load}: --backend {plan.backend} has no {patterns.LOAD_OPERATIONS[load]}.\n"
            f"  next: railgauge run --pattern victim --load {other}"
        )
    if loading < 2:
        raise UsageError(
            f"--load {load}: {plan.group_size} of {plan.ranks} ranks are victims, and one rank alone"
            f" sends nothing.\n  next: railgauge run --pattern victim -n {plan.ranks + 1}, or --load"
            f" {patterns.STORAGE}:/path/to/a/folder"
        )


def _check_matrix(plan: Plan) -> None:
    if plan.matrix is None:
        return
    if plan.operations != ("alltoallv",):
        raise UsageError("--matrix is for --operation alltoallv alone")
    if plan.skew:
        raise UsageError("--skew cannot be combined with --matrix: each gives the whole traffic")
    n = plan.group_size
    if len(plan.matrix) != n or any(len(row) != n for row in plan.matrix):
        raise UsageError(
            f"--matrix: {len(plan.matrix)} rows of {sorted({len(r) for r in plan.matrix})} numbers.\n"
            f"  expected: {n} rows of {n}, one row a sender"
        )
    if min(min(row) for row in plan.matrix) < 0 or not any(any(row) for row in plan.matrix):
        raise UsageError("--matrix: weights must not be negative, and not all of them 0")


def applicable(plan: Plan, names: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Of `names`, those that mean something under the plan's pattern, ranks and forms.

    Returns (names, {left out: why}); used to spell out `--operation all`.
    """
    kept, left = [], {}
    for name in names:
        try:
            OPERATIONS[name].check_group(plan.group_size, plan.pattern, plan.calls)
            _check_offered(plan, OPERATIONS[name])
        except UsageError as error:
            left[name] = str(error).splitlines()[0]
        else:
            kept.append(name)
    return tuple(kept), left
