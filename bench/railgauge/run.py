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
from typing import NamedTuple

import numpy as np

from railgauge import patterns, schedules
from railgauge.allocation import check_hosts
from railgauge.clocks import Clocks
from railgauge.compiled import compile_loops
from railgauge.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_WRONG_DATA,
    UsageError,
)
from railgauge.gather import Gatherer
from railgauge.journal import Folder
from railgauge.launching.watchdog import Watchdog
from railgauge.layouts import NO_FLOWS, Ends
from railgauge.linux.kernel import BOOT_ID
from railgauge.load import Load, check_room, open_load
from railgauge.measure import Measurement
from railgauge.needs import check_data, ends_of, memory_needed
from railgauge.opening import Opening
from railgauge.plan import Case, Plan, cases
from railgauge.records import End, Gap, Note, Record, Result
from railgauge.repeating import repeated, repetitions
from railgauge.sampling import Beside, sample
from railgauge.schedules import Round
from railgauge.statistics import Summary
from railgauge.tally import Tally
from railgauge.topology import located
from railgauge.world import Backend, Communicator, Measuring, World, by_rank_0, together

MEMORY_SHARE = 0.8  # of what a host has available may be taken by buffers
ENDINGS = {
    EXIT_PASS: "PASS",
    EXIT_WRONG_DATA: "FAIL",
    EXIT_INCONCLUSIVE: "INCONCLUSIVE",
    EXIT_INTERRUPTED: "INTERRUPTED",
}


class Membership(NamedTuple):
    """What a rank is in a round: a group, its flows in it, seconds to connect it, the load it makes."""

    group: Communicator | None
    ends: Ends
    entered: float | None
    load: Load | None


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
        self._soaked = self._opened = 0.0  # seconds of earlier starts; when this one began
        self._measured, self._measured_before = 0, -1
        hosts = {place.node: place.host for place in world.places}
        self._hosts = [hosts[node] for node in sorted(hosts)]
        by_rank_0(world, lambda: check_hosts(self._hosts, world.size))
        self.where = located(plan.leaves, self._hosts, (place.node for place in world.places))
        patterns.check_places(plan.schedule, self.where)
        node = world.places[world.rank].node
        self.tally = Tally(node, world.leaders is not None, plan.counters)
        self.opening = Opening(plan, world, backend, folder, self.tally)

    def run(self, resume: bool, communicator_seconds: float) -> int:
        """Measure what the plan asks for and the folder lacks; the exit code, same on all ranks."""
        try:
            return self._run(resume, communicator_seconds)
        finally:
            if self.opening.sampler:
                self.opening.sampler.close()

    def _run(self, resume: bool, communicator_seconds: float) -> int:
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
        begun = repetitions(plan, self.where, (index for _, index in done))
        for index, round_ in repeated(plan, self.where, begun, self._again):
            todo = [case for case in self.cases if (case.index, index) not in done]
            if not todo:
                continue
            self.watchdog.enter(f"the making of the groups of round {index}")
            made = self._join(round_)
            for case in todo:
                stopped = stopped or self._case(case, index, round_, made, gatherer)
            self._part(made)
            if stopped:
                break
        return self._end(EXIT_INTERRUPTED if stopped else self._code())

    def _again(self) -> bool:
        """All ranks agree: the time is not over, and the last repetition measured something."""
        self.watchdog.enter("the next repetition of all rounds")
        spent = self._soaked + time.monotonic() - self._opened
        going = self.plan.duration is not None and spent < self.plan.duration
        going = going and self._measured > self._measured_before
        self._measured_before = self._measured
        return bool(self.world.broadcast(going))

    def _join(self, round_: Round) -> Membership:
        """This rank's part of a round: its group, its flows in it, or the load that it makes."""
        rank = self.world.rank
        mine = schedules.group_of(round_, rank)
        loads = rank in round_.loading
        group = self.world.split(round_.loading if loads else mine.ranks if mine else None)
        entered = self._enter(group)
        ends = ends_of(mine, rank) if mine else NO_FLOWS
        load = None
        if round_.load:
            load = together(self.world, lambda: self._open_load(round_, group if loads else None))
        return Membership(group, ends, entered, load)

    def _open_load(self, round_: Round, group: Communicator | None) -> Load | None:
        if group is None:
            return None
        room = int(self.backend.memory.available() * MEMORY_SHARE) // self.world.node.size
        check_room(self.plan, round_, group, room)
        return open_load(self.plan, round_, group, self.backend)

    def _part(self, made: Membership) -> None:
        if made.load:
            made.load.close()
        if made.group is not None:
            self.backend.leave(made.group)
            made.group.free()

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
        round_: Round,
        made: Membership,
        gatherer: Gatherer,
    ) -> bool:
        """Measure a case; True where the run was interrupted (the case is then left to --resume)."""
        world = self.world
        group = None if made.load else made.group
        self.watchdog.enter(f"{case.describe()} (round {index})")
        if reason := self._too_large(case, group, made.ends):
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
                self.plan,
                case,
                index,
                group,
                backend,
                cells,
                clock.clock_ns,
                made.entered,
                made.ends,
            )
        if made.load:
            made.load.nbytes, made.load.seconds = 0, 0.0
        self.tally.begin()
        others = len(round_.groups[0].ranks) < world.size
        beside = Beside(others, bool(round_.load), made.load)
        outcome = sample(self.plan, world, measurement, self.interrupted, beside)
        counted = self.tally.end()
        if outcome.stopped != "interrupted":
            gathered = gatherer.gather(
                case, index, round_, measurement, outcome, started, clock, counted, made.load
            )
            if gathered:
                self._say_once_what_was_kept(gathered[0])
                self._record(*gathered)
            self._measured += 1
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

    def _too_large(self, case: Case, group: Communicator | None, ends: Ends) -> str:
        """Why the case does not fit into memory somewhere, the same sentence on all ranks."""
        need = memory_needed(self.plan, case, group.size, group.rank, ends) if group else 0
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
        opening = self.opening
        done = opening.claim(resume)
        self.wrong = sum(result.wrong for result in done)  # a resumed run keeps its verdict
        self._soaked, self._opened = sum(result.seconds for result in done), time.monotonic()
        facts = opening.facts(communicator_seconds)
        if facts is not None:
            todo = max(0, self._planned() - len(done))
            self._record(opening.record(facts, self.clocks.bound_ns, todo))
            opening.write(facts)
            for text in opening.remarks(facts, self._hosts):
                self._record(Note(text=text))
        return {(result.case, result.round) for result in done}

    def _planned(self) -> int:
        return len(self.cases) * patterns.round_count(self.plan.schedule, self.where)

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
