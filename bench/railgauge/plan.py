"""What is to be measured: a `Plan`, the same on all ranks, and the cases that it stands for."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from railgauge import patterns
from railgauge.backends import Offers, offers_of
from railgauge.cluster import Cluster
from railgauge.dtypes import dtype_named
from railgauge.errors import UsageError, unknown
from railgauge.operations import OPERATIONS, Operation, entry_of
from railgauge.pair_lists import Pairs
from railgauge.patterns import LOADS, Pattern
from railgauge.simulation.faults import Fault
from railgauge.topology import Leaves
from railgauge.traffic import Traffic, Weights, skewed, weighed
from railgauge.units import size_range

Placement = Literal["out", "in"]
Call = str  # a form of call that the backend offers (railgauge list)
Timing = Literal["barrier", "back_to_back", "synchronised"]
OpImplementation = Literal["library", "user"]
#: Forms of call that return before the operation is done: computation can run beside them.
OVERLAPPING = ("nonblocking", "stream")
DEFAULT_SIZES = size_range(8, 64 << 20, 2)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that decides what a run measures; written to `plan.json`, compared on --resume.

    Sizes are bytes, `budget` and `timeout` seconds, `precision` the relative half-width of the
    95 % interval of the median. None means: chosen per operation (placement, call, timing), by where
    the buffers lie (buffers), or
    unlimited (rounds) or adaptive (iterations, warmup). `variables` are environment variables, name
    and value, that a sweep sets before the library starts; `config` are fields of the configuration of
    NCCL's communicators, or of perftest, and `algorithms` those that NCCL's calls name, a case each
    (None: NCCL chooses).
    `counters` are the sources of counters that are read around every case (None: all), and in between
    every `sample_counters` seconds (0: not; None: 1 where a CPU is left for it). `leaves` are leaf
    switches and the hosts under them, `pairs` who meets whom in pattern listed; see
    `railgauge.patterns.Pattern` for `quiet`, `victims` and `loads`; `load_bytes` is the size of a
    message of a load. A group of pattern nodes has `group_nodes` nodes. Where every node must have
    `ranks_per_node` ranks (None: not said), a run whose ranks stand otherwise is refused. Where there
    is a `duration` in seconds, all rounds are repeated until it is over. `cluster` is what the
    simulated backend models, with the `faults` planted there. `imported` are the cases that another tool
    measured (`railgauge import`), in the order of its output: nothing of ours ran, and nothing can.
    """

    ranks: int
    operations: tuple[str, ...] = ("all_reduce",)
    pattern: str = "world"
    rounds: int | None = None
    quiet: bool = False
    leaves: Leaves | None = None
    pairs: Pairs | None = None
    group_nodes: int = 1
    ranks_per_node: int | None = None
    duration: float | None = None
    victims: float = 0.2
    loads: tuple[str, ...] = LOADS
    load_bytes: int = 64 << 10
    backend: str = "mpi"
    cluster: Cluster | None = None
    faults: tuple[Fault, ...] = ()
    sizes: tuple[int, ...] = DEFAULT_SIZES
    dtypes: tuple[str, ...] = ("float32",)
    ops: tuple[str, ...] = ("sum",)
    op_implementation: OpImplementation = "library"
    roots: tuple[int, ...] = (0,)
    placements: tuple[Placement, ...] | None = None
    calls: tuple[Call, ...] | None = None
    timing: Timing | None = None
    iterations: int | None = None
    warmup: int | None = None
    precision: float = 0.01
    budget: float = 1.0
    window: int = 64
    buffers: int | None = None
    overlap: bool = False
    check_every: int | None = None
    matrix: Weights | None = None
    skew: float = 0.0
    memory: Literal["host", "device"] = "host"
    register: Literal["none", "local", "symmetric"] = "none"
    streams: int = 1
    clock: Literal["stamp", "event"] = "stamp"
    spin: bool = True
    counters: tuple[str, ...] | None = None
    sample_counters: float | None = None
    functional: bool = False
    explain: bool = False
    algorithms: tuple[str, ...] | None = None
    config: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    max_memory: int | None = None
    sample_budget: int = 1 << 30
    timeout: float = 120.0
    seed: int = 1
    imported: tuple[Case, ...] | None = None

    @property
    def schedule(self) -> Pattern:
        """The pattern with what the plan says of it."""
        return Pattern(
            self.pattern,
            rounds=self.rounds,
            quiet=self.quiet,
            victims=self.victims,
            loads=self.loads,
            seed=self.seed,
            pairs=self.pairs or (),
            group_nodes=self.group_nodes,
            ranks_per_node=self.ranks_per_node,
        )

    @property
    def group_size(self) -> int:
        """Ranks of the groups that collectives run in."""
        return patterns.group_size(self.schedule, self.ranks)

    def sha256(self) -> str:
        """Digest of the plan's canonical JSON."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One row to be: an operation with everything that defines it but the round it runs in."""

    index: int
    operation: str
    call: Call
    timing: Timing
    dtype: str
    op: str | None
    root: int | None
    placement: Placement
    nbytes: int
    count: int
    algorithm: str = ""

    def bus_factor(self, n: int) -> float:
        """busbw / algbw in a group of n; memory is read and written by a local copy."""
        if self.entry.copies and self.call.startswith("local"):
            return 2.0
        return self.entry.bus_factor(n)

    @property
    def entry(self) -> Operation:
        return entry_of(self.operation)

    def describe(self) -> str:
        """`all_reduce float32 sum 1024 B out blocking`: how a person names the case."""
        facts = [self.operation, self.dtype, self.op, f"{self.nbytes} B", self.placement, self.call]
        if self.root:
            facts.append(f"root {self.root}")
        facts.append(self.algorithm)
        return " ".join(fact for fact in facts if fact)


def cases(plan: Plan) -> list[Case]:
    """The plan's cases in the order in which they run, each once."""
    if plan.imported is not None:
        return list(plan.imported)
    found: dict[tuple[object, ...], Case] = {}
    for name in plan.operations:
        for facts in _variants(plan, OPERATIONS[name]):
            key = tuple(facts.values())
            if key not in found:
                found[key] = Case(index=len(found), **facts)  # type: ignore[arg-type]
    return list(found.values())


def forms(entry: Operation, offers: Offers) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(placements, calls) that an operation has with a backend, the default first."""
    placements = offers.placements.get(entry.name, entry.placements)
    offered = offers.fewer_calls.get(entry.name, offers.calls)
    return placements, tuple(call for call in entry.calls if call in offered)


def _variants(plan: Plan, entry: Operation) -> Iterator[dict[str, object]]:
    offers = offers_of(plan.backend)
    placements, calls = forms(entry, offers)
    n = plan.group_size
    axes = itertools.product(
        plan.dtypes if entry.sized else plan.dtypes[:1],
        plan.ops if entry.reduces else (None,),
        plan.roots if entry.rooted else (None,),
        _allowed(plan.placements, placements),
        _allowed(_overlapping(plan, calls), calls),
        (plan.algorithms if entry.name in offers.selected else None) or ("",),
        plan.sizes if entry.sized else (0,),
    )
    for dtype, op, root, placement, call, algorithm, size in axes:
        itemsize = dtype_named(dtype).itemsize
        count = entry.count(size, itemsize, n)
        nbytes = entry.nbytes(count, itemsize, n)
        if entry.name == "alltoallv":
            nbytes = case_traffic(plan, count, n).nbytes(itemsize)
        yield {
            "operation": entry.name,
            "call": call,
            "timing": plan.timing or offers.timing or entry.timing,
            "dtype": dtype if entry.sized else "int8",
            "op": op,
            "root": root,
            "placement": placement,
            "nbytes": nbytes,
            "count": count,
            "algorithm": algorithm,
        }


def _overlapping(plan: Plan, calls: tuple[str, ...]) -> tuple[str, ...] | None:
    """The calls asked for; where overlap is and nothing else, the one that can be overlapped."""
    if plan.calls is None and plan.overlap and "nonblocking" in calls:
        return ("nonblocking",)
    return plan.calls


def _allowed(asked: tuple[str, ...] | None, exist: tuple[str, ...]) -> tuple[str, ...]:
    return exist[:1] if asked is None else tuple(a for a in asked if a in exist)


def case_traffic(plan: Plan, count: int, n: int) -> Traffic:
    """The traffic of an alltoallv case whose blocks have `count` elements, in groups of `n`."""
    return _traffic(plan.matrix, plan.skew, count, n)


@functools.lru_cache(maxsize=8)
def _traffic(matrix: Weights | None, skew: float, count: int, n: int) -> Traffic:
    return skewed(n, count, skew) if matrix is None else weighed(matrix, count, n)


def typed_fields(asked: Sequence[tuple[str, str]], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """`NAME=VALUE` of --config as values of those types; raises UsageError that names the field."""
    fields = {}
    for name, value in asked:
        if name not in kinds:
            raise unknown("field of --config", name, kinds, "railgauge run --help")
        try:
            fields[name] = msgspec.convert(value, kinds[name], strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            raise UsageError(f"--config {name}={value}: {error}") from None
    return fields


def read_matrix(path: Path) -> Weights:
    """A square matrix of whole numbers: one row a line, numbers split by blanks or commas.

    Raises UsageError that names file and line; `#` begins a comment.
    """
    rows = []
    for number, line in enumerate(_text(path, "--matrix").splitlines(), 1):
        cells = line.partition("#")[0].replace(",", " ").split()
        try:
            rows.append(tuple(int(cell) for cell in cells))
        except ValueError:
            raise UsageError(
                f"--matrix {path}, line {number}: not whole numbers: {line!r}"
            ) from None
    return tuple(row for row in rows if row)


def read_plan(path: Path) -> dict[str, object]:
    """The fields that a TOML or JSON plan file sets; raises UsageError that names the bad one."""
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        raw = decode(_text(path, "--plan"))
        if not isinstance(raw, dict):
            raise UsageError(f"--plan {path}: expected a table of fields")
        for key in raw:
            if key not in Plan.__struct_fields__:
                raise unknown(
                    f"plan field in {path}:", key, Plan.__struct_fields__, "edit the file"
                )
        msgspec.convert({"ranks": 1} | raw, Plan)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"--plan {path}: {error}\n  next: correct the file") from None
    return raw


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {path}: cannot be read ({error})") from None
