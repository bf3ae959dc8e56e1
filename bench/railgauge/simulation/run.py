"""A run on a modelled cluster: one process stands for all ranks, and writes the same journal.

The plan's rounds and cases are walked as on a real machine; only the time that an operation takes is
worked out instead of measured. Nothing moves, so nothing is verified.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from railgauge import __version__, environment, patterns
from railgauge.cluster import topology_of
from railgauge.errors import (
    EXIT_HANG,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    HangError,
)
from railgauge.gather import pressure_of, result_of, with_fairness
from railgauge.journal import Folder
from railgauge.patterns import Flow, Group, Round
from railgauge.plan import Case, Plan, cases
from railgauge.rank_lists import encode_ranks
from railgauge.records import (
    FORMAT,
    Choice,
    End,
    FlowBlock,
    GroupResult,
    Note,
    Pressure,
    Record,
    Result,
    Run,
    encode_runs,
)
from railgauge.repeating import repeated, repetitions
from railgauge.samples import in_seconds
from railgauge.simulation.counted import Counters
from railgauge.simulation.effects import Effects, faulty_nodes
from railgauge.simulation.model import Model
from railgauge.simulation.stamps import Stamps, stamps
from railgauge.simulation.storing import flow_block, sample_block
from railgauge.simulation.times import Loaded, Times
from railgauge.statistics import Summary, summarise
from railgauge.units import GIGA

WORD = "SIMULATED"
#: Between two measurements: groups are made, clocks agreed, samples gathered.
BETWEEN_SECONDS = 0.05


class Simulation:
    """One run: `tell` hears every record, `interrupted` is asked between two measurements."""

    def __init__(
        self,
        plan: Plan,
        folder: Folder,
        interrupted: Callable[[], bool],
        tell: Callable[[Record, Sequence[Summary]], None],
    ) -> None:
        self.plan, self.folder, self._tell = plan, folder, tell
        self._interrupted = interrupted
        self.model = Model(plan)
        self.machine = self.model.machine
        self.cluster = self.machine.cluster
        self.where = topology_of(self.cluster, plan.ranks, plan.leaves)
        patterns.check_places(plan.schedule, self.where)
        self.hosts = self.cluster.hosts[: self.machine.nodes]
        self.counters = Counters(
            self.machine, plan.counters, faulty_nodes(self.machine, plan.faults)
        )
        self._clock = 0.0  # seconds of the simulated run
        self._began = 0.0

    def run(self, resume: bool) -> int:
        """Work out what the plan asks for and the folder lacks; the exit code."""
        done = self._open(resume)
        planned = cases(self.plan)
        begun = repetitions(self.plan, self.where, (index for _, index in done))
        for index, round_ in repeated(self.plan, self.where, begun, self._again):
            for case in planned:
                if (case.index, index) in done:
                    continue
                if self._interrupted():
                    return self._end("INTERRUPTED", EXIT_INTERRUPTED)
                self._case(case, index, round_)
        return self._end("PASS", EXIT_PASS)

    def _again(self) -> bool:
        return self.plan.duration is not None and self._clock < self.plan.duration

    # the ends -----------------------------------------------------------------------------------

    def _open(self, resume: bool) -> set[tuple[int, int]]:
        finished = self.folder.claim(self.plan, resume)
        done = {(result.case.index, result.round) for result in finished}
        self._began = time.time()
        self._clock = sum(result.seconds + BETWEEN_SECONDS for result in finished)
        rounds = patterns.round_count(self.plan.schedule, self.where)
        self._record(
            Run(
                format=FORMAT,
                version=__version__,
                plan_sha256=self.plan.sha256(),
                started=self._began,
                ranks=self.plan.ranks,
                hosts=self.hosts,
                nodes=encode_runs(self.machine.node_of.tolist()),
                backend=self.plan.backend,
                library=self.cluster.describe(),
                thread_level="none",
                init_seconds=0.0,
                communicator_seconds=0.0,
                stamp_nanoseconds=0.0,
                clock_uncertainty_ns=0,
                todo=max(0, len(cases(self.plan)) * rounds - len(done)),
            )
        )
        self.folder.write_environment(self._environment())
        text = f"{WORD}: times come out of a model of a cluster, not of a measurement"
        if self.plan.faults:
            text += f"; {len(self.plan.faults)} faults are planted (plan.json), whose counters are scripted"
        self._record(Note(text=text))
        return done

    def _environment(self) -> dict[str, Any]:
        counters = self.counters.facts()
        versions = environment.versions()
        nodes = [
            {"host": host, "simulated": True, "versions": versions}
            | ({"counters": counters[node]} if node in counters else {})
            for node, host in enumerate(self.hosts)
        ]
        rails = self.machine.rail_of.tolist()
        ranks = [
            {"rank": rank, "node": node, "nics": {"names": [f"mlx5_{rail}"], "why": "simulated"}}
            for rank, (node, rail) in enumerate(
                zip(self.machine.node_of.tolist(), rails, strict=True)
            )
        ]
        return {"nodes": nodes, "ranks": ranks}

    def _end(self, verdict: str, code: int) -> int:
        self._record(End(verdict=verdict, exit_code=code, finished=self._began + self._clock))
        return code

    def _record(self, record: Record, summaries: Sequence[Summary] = ()) -> None:
        self.folder.append(record)
        self._tell(record, summaries)

    # one case -----------------------------------------------------------------------------------

    def _case(self, case: Case, index: int, round_: Round) -> None:
        plan, machine = self.plan, self.machine
        moment = self.model.at(self._clock)
        effects = moment.effects
        self._check_hang(case, index, round_, effects)
        made, found = self.model.solve(case, round_, moment)
        self._check_cut(case, index, round_, made)
        random = np.random.default_rng((plan.seed, index, case.index))
        taken = plan.iterations or 1
        stamped = stamps(machine, effects, round_.groups, found, made, taken, self._clock, random)
        warmup = plan.warmup or 0
        seconds = float(made.groups.max()) * (1 + warmup + taken)
        result = result_of(
            plan,
            case,
            index,
            round_,
            self._groups(case, round_, made, stamped),
            world_size=plan.ranks,
            started=self._began + self._clock,
            seconds=seconds,
            stopped="count",
            blocks=[sample_block(self.folder, plan, case, round_, stamped)],
            flow_blocks=self._flows(case, found, stamped),
            counted=self.counters.counted(effects, found, case.nbytes, 1 + warmup + taken, seconds),
            pressure=self._pressure(round_, found, seconds),
        )
        self._clock += seconds + BETWEEN_SECONDS
        self._record(result, self._summaries(result, round_, found, stamped))

    def _groups(self, case: Case, round_: Round, made: Times, stamped: Stamps) -> list[GroupResult]:
        choice = Choice(algorithm=made.algorithm) if made.algorithm != case.algorithm else None
        return [
            GroupResult(
                ranks=encode_ranks(group.ranks),
                rail=group.rail,
                first_call_ns=first,
                warmup_iterations=self.plan.warmup or 0,
                steady=True,
                iterations=stamped.maxima.shape[1],
                checked_iterations=0,
                missed_windows=0,
                choice=choice,
            )
            for group, first in zip(round_.groups, stamped.first_ns.tolist(), strict=True)
        ]

    def _flows(self, case: Case, found: Loaded, stamped: Stamps) -> list[FlowBlock]:
        if not case.entry.directed:
            return []
        return [flow_block(self.folder, self.plan, found, stamped)]

    def _summaries(
        self, result: Result, round_: Round, found: Loaded, stamped: Stamps
    ) -> list[Summary]:
        """Of every group; only the slowest one, which is printed, with all that can be said."""
        series = in_seconds(stamped.maxima, result.transfers)
        medians = np.median(series, axis=1)
        made = [Summary(series.shape[1], median) for median in medians.tolist()]
        worst = int(np.argmax(medians))
        made[worst] = summarise(series[worst], self.plan.precision)
        took: dict[Flow, float] = {}
        if result.case.entry.directed:
            ends = (found.traffic.sources.tolist(), found.traffic.targets.tolist())
            flows = np.median(in_seconds(stamped.flows), axis=1).tolist()
            took = dict(zip(zip(*ends, strict=True), flows, strict=True))
        return with_fairness(round_, made, took, result.case.nbytes)

    def _pressure(self, round_: Round, found: Loaded, seconds: float) -> Pressure | None:
        """What the ranks that load have moved meanwhile, all of them together."""
        moved = int(found.load_rate * GIGA * seconds)
        return pressure_of(round_, [(moved, seconds)] if round_.load else [])

    # what never ends ----------------------------------------------------------------------------

    def _check_hang(self, case: Case, index: int, round_: Round, effects: Effects) -> None:
        """Raise HangError where a group of the round holds a node that does not come back."""
        if not effects.hung:
            return
        number = self.machine.number_of
        for group in round_.groups:
            nodes = {int(self.machine.node_of[rank]) for rank in group.ranks}
            for fault in effects.hung:
                if number.get(fault.node or "") in nodes and len(nodes) >= fault.at_least_nodes:
                    self._hang(case, index, f"on {fault.node} did not come back", group)

    def _check_cut(self, case: Case, index: int, round_: Round, made: Times) -> None:
        """Raise HangError where a group's messages cannot pass at all."""
        for k in np.flatnonzero(~np.isfinite(made.groups)).tolist():
            self._hang(case, index, "waits for messages that no NIC carries", round_.groups[k])

    def _hang(self, case: Case, index: int, what: str, group: Group) -> NoReturn:
        message = (
            f"{WORD}: a rank {what}: {case.describe()} (round {index}), group of ranks"
            f" {encode_ranks(group.ranks)}.\n"
            f"  next: railgauge report {self.folder.path}"
        )
        self.folder.give_up(message, EXIT_HANG)
        raise HangError(message)
