"""What is to be measured: a `Plan`, the same on all ranks, and the cases that it stands for."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from railgauge import patterns, plugins
from railgauge.backends import Offers, offers_of
from railgauge.dtypes import dtype_named
from railgauge.errors import UsageError, unknown
from railgauge.operations import OPERATIONS, REDUCTIONS, Operation, operation_named
from railgauge.traffic import Traffic, Weights, skewed, weighed
from railgauge.units import size_range

Placement = Literal["out", "in"]
Call = str  # a form of call that the backend offers (railgauge list)
Timing = Literal["barrier", "back_to_back", "synchronised"]
OpImplementation = Literal["library", "user"]
DEFAULT_SIZES = size_range(8, 64 << 20, 2)


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that decides what a run measures; written to `plan.json`, compared on --resume.

    Sizes are bytes, `budget` and `timeout` seconds, `precision` the relative half-width of the
    95 % interval of the median. None means: chosen per operation (placement, call, timing), by where
    the buffers lie (buffers), or
    unlimited (rounds) or adaptive (iterations, warmup). `variables` are environment variables, name
    and value, that a sweep sets before the library starts.
    """

    ranks: int
    operations: tuple[str, ...] = ("all_reduce",)
    pattern: str = "world"
    rounds: int | None = None
    backend: str = "mpi"
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
    functional: bool = False
    explain: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    max_memory: int | None = None
    sample_budget: int = 1 << 30
    timeout: float = 120.0
    seed: int = 1

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

    def bus_factor(self, n: int) -> float:
        """busbw / algbw in a group of n; memory is read and written by a local copy."""
        if self.entry.copies and self.call.startswith("local"):
            return 2.0
        return self.entry.bus_factor(n)

    @property
    def entry(self) -> Operation:
        return OPERATIONS[self.operation]

    def describe(self) -> str:
        """`all_reduce float32 sum 1024 B out blocking`: how a person names the case."""
        facts = [self.operation, self.dtype, self.op, f"{self.nbytes} B", self.placement, self.call]
        if self.root:
            facts.append(f"root {self.root}")
        return " ".join(fact for fact in facts if fact)


def cases(plan: Plan) -> list[Case]:
    """The plan's cases in the order in which they run, each once."""
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
    n = patterns.group_sizes(plan.pattern, plan.ranks)[0]
    for dtype in plan.dtypes if entry.sized else plan.dtypes[:1]:
        itemsize = dtype_named(dtype).itemsize
        for op in plan.ops if entry.reduces else (None,):
            for root in plan.roots if entry.rooted else (None,):
                for placement in _allowed(plan.placements, placements):
                    for call in _allowed(_overlapping(plan, calls), calls):
                        for size in plan.sizes if entry.sized else (0,):
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


def _positive(name: str, value: float | None, least: float = 1) -> None:
    if value is not None and not least <= value < math.inf:
        raise UsageError(
            f"--{name.replace('_', '-')}: {value} is {'endless' if value == math.inf else 'too small'}.\n"
            f"  expected: at least {least:g}\n  next: railgauge run --help"
        )


def validate(plan: Plan) -> Plan:
    """The plan itself, once everything in it is known to mean something; raises UsageError."""
    patterns.check_pattern(plan.pattern)
    offers = offers_of(plan.backend)
    if offers.unsupported:
        raise UsageError(f"--backend {plan.backend}: {offers.unsupported}")
    for field in ("operations", "dtypes", "ops", "roots", "placements", "calls"):
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
    _check_offers(plan, offers)
    for name in (
        *("ranks", "iterations", "rounds", "window", "buffers", "streams"),
        *("check_every", "max_memory"),
    ):
        _positive(name, getattr(plan, name))
    _positive("warmup", plan.warmup, 0)
    for name in ("precision", "budget", "timeout"):
        _positive(name, getattr(plan, name), 1e-6)
    if not plan.sizes or min(plan.sizes) < 0:
        raise UsageError("--sizes: no size, or a negative one.\n  expected: bytes, as in 8,64K,1M")
    if not 0 <= plan.skew <= 1:
        raise UsageError(f"--skew: {plan.skew} is outside 0 (uniform) ... 1 (all to rank 0)")
    for root in plan.roots:
        if not 0 <= root < patterns.group_sizes(plan.pattern, plan.ranks)[0]:
            raise UsageError(
                f"--root {root}: the groups of pattern {plan.pattern} over {plan.ranks} ranks have"
                f" no such rank.\n  expected: 0 to {patterns.group_sizes(plan.pattern, plan.ranks)[0] - 1}"
            )
    if plan.pattern == "pairs" and plan.ranks < 2:
        raise UsageError("--pattern pairs needs at least 2 ranks.\n  next: railgauge run -n 2")
    for name in plan.operations:
        for n in patterns.group_sizes(plan.pattern, plan.ranks):
            OPERATIONS[name].check_group(n, plan.pattern, plan.calls)
        _check_offered(plan, OPERATIONS[name])
    _check_matrix(plan)
    if plan.skew and "alltoallv" not in plan.operations:
        raise UsageError(
            "--skew is for --operation alltoallv alone.\n"
            f"  next: railgauge run --operation alltoallv --skew {plan.skew}"
        )
    if plan.overlap and plan.calls and not {"nonblocking", "stream"} & set(plan.calls):
        raise UsageError(
            "--overlap is of non-blocking operations.\n  next: railgauge run --overlap --call nonblocking"
        )
    return plan


def _check_offered(plan: Plan, entry: Operation) -> None:
    offers = offers_of(plan.backend)
    if entry.name not in offers.operations:
        raise UsageError(
            f"--operation {entry.name}: --backend {plan.backend} has no such operation.\n"
            f"  allowed: {', '.join(offers.operations)}\n  next: {_backends_with(entry.name)}"
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


def _check_matrix(plan: Plan) -> None:
    if plan.matrix is None:
        return
    if plan.operations != ("alltoallv",):
        raise UsageError("--matrix is for --operation alltoallv alone")
    if plan.skew:
        raise UsageError("--skew cannot be combined with --matrix: each gives the whole traffic")
    n = patterns.group_sizes(plan.pattern, plan.ranks)[0]
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
            for n in patterns.group_sizes(plan.pattern, plan.ranks):
                OPERATIONS[name].check_group(n, plan.pattern, plan.calls)
            _check_offered(plan, OPERATIONS[name])
        except UsageError as error:
            left[name] = str(error).splitlines()[0]
        else:
            kept.append(name)
    return tuple(kept), left


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
