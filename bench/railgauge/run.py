"""A run on one rank, from the plan to the last journal line. Read this first.

Every rank executes `run` with the same plan:

    for round in pattern:  make its groups
        for case in plan:
            prepare -> first call -> warm up until steady -> compiled loop, chunk by chunk
            -> verify the timed buffers -> gather -> one journal line

Rounds are the outer loop, so that the communicators of a round are made once. Between chunks all
ranks agree on how to go on: a signal, a time limit or wrong data ends all of them at one place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from railgauge import __version__, environment, links, patterns
from railgauge.clocks import BOOT_ID, Clocks
from railgauge.compiled import compile_loops, stamp_nanoseconds
from railgauge.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_WRONG_DATA,
    UsageError,
)
from railgauge.gather import Gatherer
from railgauge.journal import Folder
from railgauge.measure import Measurement, check_data, memory_needed
from railgauge.patterns import Groups
from railgauge.plan import Case, Plan, cases
from railgauge.records import FORMAT, End, Gap, Note, Record, Result, Run, encode_runs
from railgauge.sampling import sample
from railgauge.statistics import Summary
from railgauge.tally import Tally
from railgauge.watchdog import Watchdog
from railgauge.world import Backend, Communicator, Measuring, World

MEMORY_SHARE = 0.8  # of what a host has available may be taken by buffers
ENDINGS = {
    EXIT_PASS: "PASS",
    EXIT_WRONG_DATA: "FAIL",
    EXIT_INCONCLUSIVE: "INCONCLUSIVE",
    EXIT_INTERRUPTED: "INTERRUPTED",
}


class Runner:
    """One rank's part in a run: `tell` hears every record on rank 0, `interrupted` is a signal."""

    def __init__(
        self,
        plan: Plan,
        world: World,
        backend: Backend,
        folder: Folder,
        watchdog: Watchdog,
        interrupted: Callable[[], bool],
        tell: Callable[[Record, Sequence[Summary]], None],
    ) -> None:
        self.plan, self.world, self.backend, self.folder = plan, world, backend, folder
        self.watchdog, self.interrupted, self._tell = watchdog, interrupted, tell
        self.cases = cases(plan)
        self.clocks = Clocks(world)
        self.wrong = self.gaps = 0
        self._reduced = False
        node = world.places[world.rank].node
        self.tally = Tally(node, world.leaders is not None, plan.counters)

    def run(self, resume: bool, communicator_seconds: float) -> int:
        """Measure what the plan asks for and the folder lacks; the exit code, same on all ranks."""
        plan, world = self.plan, self.world
        self.watchdog.enter("the compilation of the loops")
        self._agree_on_plan()
        self.backend.check(plan)
        check_data(plan)
        world.in_turns(lambda: compile_loops(plan))
        self.watchdog.enter("the compilation of the device code")
        self.backend.prepare()
        self._synchronise()
        self.watchdog.enter("the opening of the run folder")
        done = self._open(resume, communicator_seconds)
        gatherer = Gatherer(plan, world, self.folder)
        stopped = False
        for index, groups in enumerate(patterns.rounds(plan.pattern, plan.ranks, plan.rounds)):
            todo = [case for case in self.cases if (case.index, index) not in done]
            if not todo or stopped:
                continue
            mine = next((ranks for ranks in groups if world.rank in ranks), None)
            self.watchdog.enter(f"the making of the groups of round {index}")
            group = world.split(mine)
            entered = self._enter(group)
            for case in todo:
                stopped = stopped or self._case(case, index, groups, group, entered, gatherer)
            if group is not None:
                self.backend.leave(group)
                group.free()
        return self._end(EXIT_INTERRUPTED if stopped else self._code())

    def _enter(self, group: Communicator | None) -> float | None:
        """Seconds that the backend took to connect the group, of the slowest rank of the round."""
        seconds = None if group is None else self.backend.enter(group)
        (slowest,) = self.world.maximum(np.array([-1.0 if seconds is None else seconds]))
        return None if slowest < 0 else float(slowest)

    def _synchronise(self) -> None:
        self.watchdog.enter("the synchronisation of the clocks")
        self.clocks.start()
        asked = any(case.timing == "synchronised" for case in self.cases)
        if asked and self.clocks.bound_ns is None:
            raise UsageError(
                "--timing synchronised: the clocks of the hosts cannot be compared; a kernel hides"
                f" its identity ({BOOT_ID}).\n  next: railgauge run --timing barrier"
            )

    def _agree_on_plan(self) -> None:
        """Raise UsageError on all ranks where one of them was asked for something else."""
        world, common = self.world, self.world.broadcast(self.plan)
        odd = self.plan != common
        first = int(-world.maximum(np.array([-world.rank if odd else -world.size]))[0])
        if first < world.size:
            names = Plan.__struct_fields__
            differ = [name for name in names if getattr(self.plan, name) != getattr(common, name)]
            raise UsageError(
                f"rank {first} on {world.places[first].host} was asked for another plan than rank 0:"
                f" {', '.join(world.broadcast(differ, first))} differ.\n"
                "  expected: the same command on every rank"
            )

    # one case -----------------------------------------------------------------------------------

    def _case(
        self,
        case: Case,
        index: int,
        groups: Groups,
        group: Communicator | None,
        entered: float | None,
        gatherer: Gatherer,
    ) -> bool:
        """Measure a case; True where the run was interrupted (the case is then left to --resume)."""
        world = self.world
        self.watchdog.enter(f"{case.describe()} (round {index})")
        if reason := self._too_large(case, group):
            self.gaps += 1
            self._record(Gap(case=case, round=index, reason=reason))
            return False
        if not self.clocks.refresh():
            self._record(
                Note(
                    text=f"{case.describe()} (round {index}): the clocks of the hosts are known less"
                    f" well than within {self.clocks.bound_ns} ns, as the run's first record says"
                )
            )
        clock = self.clocks.offset
        started = time.time()
        measurement: Measuring | None = None
        if group is not None:
            cells, backend = self.watchdog.cells, self.backend
            measurement = backend.measurement(case, group, cells) or Measurement(
                self.plan, case, index, group, backend, cells, clock.clock_ns, entered
            )
        self.tally.begin()
        outcome = sample(self.plan, world, measurement, self.interrupted)
        counted = self.tally.end()
        if outcome.stopped != "interrupted":
            made = gatherer.gather(
                case, index, groups, measurement, outcome, started, clock, counted
            )
            if made:
                self._say_once_what_was_kept(made[0])
                self._record(*made)
            wrong = measurement is not None and measurement.wrong(world.places[world.rank])
            self.wrong += int(world.maximum(np.array([bool(wrong)], np.int64))[0])
        if measurement:
            measurement.close()
        return outcome.stopped == "interrupted"

    def _say_once_what_was_kept(self, result: Result) -> None:
        if not self._reduced and any("rank" in block.columns for block in result.samples):
            self._reduced = True
            text = (
                f"raw samples reached --sample-budget ({self.plan.sample_budget} B a node): from"
                f" {result.case.describe()} on only the slowest rank of each iteration is kept"
            )
            self._record(Note(text=text))

    def _too_large(self, case: Case, group: Communicator | None) -> str:
        """Why the case does not fit into memory somewhere, the same sentence on all ranks."""
        need = memory_needed(self.plan, case, group.size, group.rank) if group else 0
        everybody = self.world.node.all_gather(need)
        # a GPU is one rank's, unless they share it
        alone = self.plan.memory == "device" and not self.plan.functional
        on_node = need if alone else sum(everybody)
        limit = int(self.backend.memory.available() * MEMORY_SHARE)
        over = on_node > limit or need > (self.plan.max_memory or need)
        place = self.world.places[self.world.rank]
        found = f"needs {on_node} B of buffers on {place.host}, {limit} B may be used"
        if need > (self.plan.max_memory or need):
            found = f"rank {place.rank} needs {need} B of buffers, --max-memory is {self.plan.max_memory}"
        first = int(
            -self.world.maximum(np.array([-self.world.rank if over else -self.world.size]))[0]
        )
        return "" if first == self.world.size else str(self.world.broadcast(found, first))

    # the ends -----------------------------------------------------------------------------------

    def _open(self, resume: bool, communicator_seconds: float) -> set[tuple[int, int]]:
        """Agree on the folder, write the first record and the environment; what is done already."""
        plan, world = self.plan, self.world
        claimed: list[tuple[int, int, bool]] | str = []
        if world.rank == 0:
            try:
                finished = self.folder.claim(plan, resume)
                claimed = [
                    (r.case.index, r.round, any(g.wrong for g in r.groups)) for r in finished
                ]
            except UsageError as error:
                claimed = str(error)
        claimed = world.broadcast(claimed)
        if isinstance(claimed, str):
            raise UsageError(claimed)
        self.wrong = sum(wrong for _, _, wrong in claimed)  # a resumed run keeps its verdict
        seconds = world.maximum(np.array([world.init_seconds, communicator_seconds]))
        facts = world.gather(environment.rank_facts(self._library()) | self.backend.facts())
        nodes = None
        if world.leaders:
            here = environment.node_facts() | self.tally.facts()
            if plan.memory == "device":
                here["hardware"] = msgspec.to_builtins(links.hardware())
            nodes = world.leaders.gather(here)
        if facts is not None and nodes is not None:
            self._record(
                Run(
                    format=FORMAT,
                    version=__version__,
                    plan_sha256=plan.sha256(),
                    started=time.time(),
                    ranks=world.size,
                    hosts=tuple(node["host"] for node in nodes),
                    nodes=encode_runs([place.node for place in world.places]),
                    backend=plan.backend,
                    library=self._library(),
                    thread_level=world.thread_level,
                    init_seconds=float(seconds[0]),
                    communicator_seconds=float(seconds[1]),
                    stamp_nanoseconds=stamp_nanoseconds(),
                    clock_uncertainty_ns=self.clocks.bound_ns,
                    todo=self._planned() - len(claimed),
                    functional=plan.functional,
                )
            )
            ranks = [
                {"rank": p.rank, "node": p.node}
                | {k: f[k] for k in ("cpus", "device", "nic") if k in f}
                for p, f in zip(world.places, facts, strict=True)
            ]
            self.folder.write_environment({"nodes": nodes, "ranks": ranks})
            notes = environment.disagreements(facts, world.places)
            notes.extend(filter(None, [environment.shared_cpus(facts, world.places)]))
            if world.thread_level == "multiple":
                notes.append(
                    "MPI runs at MPI_THREAD_MULTIPLE: small messages cost 1.6 to 6 times more"
                )
            rotating = {c.operation for c in self.cases if c.timing == "back_to_back"}
            if plan.check_every and rotating:
                notes.append(
                    f"--check-every {plan.check_every} means nothing back to back"
                    f" ({', '.join(sorted(rotating))}): the last iterations of each chunk are verified"
                )
            for note in notes:
                self._record(Note(text=note))
        return {(index, round_) for index, round_, _ in claimed}

    def _library(self) -> str:
        """What moves the data, and where that is not MPI also what the ranks agree through."""
        mpi = self.world.library
        return mpi if self.backend.library == mpi else f"{self.backend.library} (control: {mpi})"

    def _planned(self) -> int:
        plan = self.plan
        return len(self.cases) * patterns.round_count(plan.pattern, plan.ranks, plan.rounds)

    def _record(self, record: Record, summaries: Sequence[Summary] = ()) -> None:
        if self.world.rank == 0:
            self.folder.append(record)
            self._tell(record, summaries)

    def _code(self) -> int:
        if self.wrong:
            return EXIT_WRONG_DATA
        return EXIT_INCONCLUSIVE if self.gaps else EXIT_PASS

    def _end(self, code: int) -> int:
        self._record(End(verdict=ENDINGS[code], exit_code=code, finished=time.time()))
        self.watchdog.enter("the end of the run")
        self.world.barrier()
        return code
