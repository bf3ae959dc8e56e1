"""A run folder as it was read back: the facts of its journal, last word first, no opinion.

A journal may hold several starts (`--resume`) and a pair of case and round twice (a gap that a
later start measured); here every pair appears once, with the start that it belongs to.
"""

from __future__ import annotations

import dataclasses
import shlex
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge.errors import NotMeasuredError
from railgauge.journal import ENVIRONMENT, JOURNAL, PLAN, read_journal, read_stored_plan
from railgauge.patterns import rounds
from railgauge.plan import Plan
from railgauge.records import End, Gap, Note, Record, Result, Run
from railgauge.repeating import round_of
from railgauge.schedules import Round
from railgauge.topology import Topology, located
from railgauge_reports.group_table import LARGE_JOURNAL, decode_compact, decode_pairs
from railgauge_reports.nodes import RecordedNode, nodes_of
from railgauge_reports.thinned import THINNED, is_thinned

Pair = tuple[int, int]  # index of the case, index of the round

#: The variable with the partition that Slurm ran a job in.
PARTITION = "SLURM_JOB_PARTITION"
#: What has to be said ahead of everything else where a model answered.
SIMULATED = "SIMULATED: these numbers come from a model, nothing was measured"


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of a run: its first record, and the host of each of its ranks."""

    run: Run

    @cached_property
    def host_of(self) -> tuple[str, ...]:
        """`host_of[rank]`."""
        return tuple(self.run.hosts[node] for node, times in self.run.nodes for _ in range(times))

    @cached_property
    def node_of(self) -> npt.NDArray[np.int64]:
        """The node of each rank, int64 [ranks]."""
        nodes, times = np.array(self.run.nodes, np.int64).reshape(-1, 2).T
        return np.repeat(nodes, times)

    @cached_property
    def first_of_name(self) -> npt.NDArray[np.int64]:
        """The first node with the host name of each node, int64 [nodes]: two may have one name."""
        first: dict[str, int] = {}
        named = [first.setdefault(host, node) for node, host in enumerate(self.run.hosts)]
        return np.array(named, np.int64)

    @cached_property
    def _walk(self) -> dict[str, Any]:
        """Where `round_at` stands: the rounds that are left, and the last one with its number."""
        return {}

    def topology(self, plan: Plan) -> Topology:
        """Where its ranks were."""
        node_of = (node for node, times in self.run.nodes for _ in range(times))
        return located(plan.leaves, self.run.hosts, node_of)

    def round_at(self, plan: Plan, index: int) -> Round:
        """A round of the plan's pattern; cheap for one who asks for them in order.

        A tournament has as many as it has players: each is made once, and none is kept.
        """
        walk = self._walk
        if plan.duration is not None:
            where = walk.setdefault("where", self.topology(plan))
            index = round_of(plan, where, index)
        if walk.get("plan") is not plan or index < walk["index"]:
            left = rounds(plan.schedule, self.topology(plan))
            walk |= {"plan": plan, "left": left, "index": -1}
        if index > walk["index"]:
            ahead = index - walk["index"] - 1
            walk |= {"round": next(islice(walk["left"], ahead, None)), "index": index}
        found: Round = walk["round"]
        return found


@dataclasses.dataclass(frozen=True)
class Measured:
    """A result and the start that made it."""

    result: Result
    start: Start


@dataclasses.dataclass(frozen=True)
class Missed:
    """A gap and the start that left it."""

    gap: Gap
    start: Start


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """Everything a run folder says.

    `called` is what a person calls the folder: its path, or its place in a pack.

    `pairs` maps (case, round) to what became of it, in the order of the plan; a planned pair that
    it lacks was never reached. `end` is None where the last start ended without a word.
    """

    folder: Path
    plan: Plan
    starts: tuple[Start, ...]
    pairs: dict[Pair, Measured | Missed]
    notes: tuple[str, ...]
    end: End | None
    environment: dict[str, Any]
    called: Path

    @property
    def last(self) -> Run:
        """The first record of the last start."""
        return self.starts[-1].run

    @property
    def library(self) -> str:
        """What the library calls itself, in one line."""
        return " ".join(self.last.library.split())

    @property
    def simulated(self) -> bool:
        """Did a model of a cluster answer, and not a cluster?"""
        return self.plan.cluster is not None

    @property
    def imported(self) -> bool:
        """Another tool measured it (`railgauge import`)."""
        return self.plan.imported is not None

    @property
    def where(self) -> str:
        """`8 ranks on 2 host(s)`; of an import what the log said of it."""
        run = self.last
        ranks = f"{run.ranks} ranks" if run.ranks else "an unknown number of ranks"
        return f"{ranks} on {len(set(run.hosts))} host(s)"

    @property
    def gpus(self) -> dict[int, dict[str, Any]]:
        """Rank -> facts of its GPU (`railgauge.gpus.cuda.DeviceFacts`); empty on host memory."""
        ranks = self.environment.get("ranks")
        known = (
            [rank for rank in ranks if isinstance(rank, dict)] if isinstance(ranks, list) else []
        )
        return {rank["rank"]: rank["device"] for rank in known if rank.get("device")}

    @property
    def again(self) -> str:
        """The command that runs this plan once more; over several hosts a launcher starts the ranks."""
        if self.imported:
            origin = self.environment.get("imported")
            file = origin.get("file") if isinstance(origin, dict) else None
            return f"railgauge import {shlex.quote(str(file or 'FILE'))}"
        plan = f"--plan {shlex.quote(str(self.called / PLAN))}"
        if len(self.last.hosts) == 1 or self.simulated:
            return f"railgauge run -n {self.last.ranks} {plan}"
        launcher = "srun" if self.variable("SLURM_JOB_ID") else "mpirun"
        return f"{launcher} -n {self.last.ranks} railgauge run {plan}"

    def variable(self, name: str) -> str:
        """An allow-listed variable, of the first node that has it; "" where none has."""
        nodes = self.environment.get("nodes")
        for node in nodes if isinstance(nodes, list) else ():
            variables = node.get("variables") if isinstance(node, dict) else None
            value = variables.get(name) if isinstance(variables, dict) else None
            if isinstance(value, str):
                return value
        return ""

    @cached_property
    def nodes(self) -> tuple[RecordedNode, ...]:
        """What the environment says of the nodes."""
        return nodes_of(self.environment)

    @property
    def results(self) -> list[Measured]:
        return [made for made in self.pairs.values() if isinstance(made, Measured)]

    def start_of(self, case: int, rounds: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Which of `starts` made these rounds of a case, int32 of the same shape; 0 where none did."""
        if len(self.starts) == 1 or not rounds.size:
            return np.zeros(rounds.shape, np.int32)
        number = {id(start): k for k, start in enumerate(self.starts)}
        made_by = np.zeros(int(rounds.max()) + 1, np.int32)
        for (index, turn), made in self.pairs.items():
            if index == case and turn < len(made_by):
                made_by[turn] = number[id(made.start)]
        return np.asarray(made_by[rounds])

    @property
    def gaps(self) -> list[Gap]:
        return [made.gap for made in self.pairs.values() if isinstance(made, Missed)]


def read_run(folder: Path, called: Path | None = None) -> StoredRun:
    """The facts of a run folder; raises NotMeasuredError (exit 3) where it cannot be read.

    `called` is how reports name it (None: by its path).
    """
    try:
        records = _records(folder)
    except OSError as error:
        raise NotMeasuredError(
            f"{folder / JOURNAL}: {error.strerror or error}.\n"
            "  expected: a folder that this user may read\n  next: ls -l " + str(folder)
        ) from None
    starts: list[Start] = []
    pairs: dict[Pair, Measured | Missed] = {}
    notes: dict[str, None] = {}
    end: End | None = None
    for record in records:
        if isinstance(record, Run):
            starts.append(Start(record))
            end = None
        elif isinstance(record, Result):
            pairs[record.case.index, record.round] = Measured(record, starts[-1])
        elif isinstance(record, Gap):
            pairs[record.case.index, record.round] = Missed(record, starts[-1])
        elif isinstance(record, Note):
            notes[record.text] = None
        else:
            end = record
    if is_thinned(folder):
        notes[THINNED] = None
    return StoredRun(
        folder=folder,
        plan=read_stored_plan(folder),
        starts=tuple(starts),
        pairs=dict(sorted(pairs.items())),
        notes=tuple(notes),
        end=end,
        environment=_environment(folder),
        called=called or folder,
    )


def _records(folder: Path) -> list[Record]:
    """What the journal holds; raises OSError and NotMeasuredError where it cannot be read."""
    path = folder / JOURNAL
    if not path.exists() or path.stat().st_size < LARGE_JOURNAL:
        return read_journal(folder, decode_compact)
    _keep_what_is_freed()
    return read_journal(folder, decode_pairs)


def _keep_what_is_freed() -> None:
    """Have the C library keep the memory of one round for the next one.

    glibc gives free memory at its heap's end back to the system, which then has to clear it anew, unless it
    has freed something larger: the thresholds follow that, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(31 << 20, np.uint8)


def _environment(folder: Path) -> dict[str, Any]:
    """What `environment.json` says; empty where it is missing (a run killed while it began)."""
    try:
        return msgspec.json.decode((folder / ENVIRONMENT).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return {}
