"""The opening of a run: its folder, and what ranks and nodes say of themselves before the first case.

Everything here is done by all ranks together; rank 0 alone learns what they said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from railgauge import __version__, environment
from railgauge.compiled import stamp_nanoseconds
from railgauge.hardware import links, rails
from railgauge.journal import Folder
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Run, encode_runs
from railgauge.sampler import Sampler
from railgauge.tally import Tally
from railgauge.topology import absent
from railgauge.world import Backend, World, by_rank_0


class Done(NamedTuple):
    """A result that a resumed run has already, by the indices of its case and round; what it took."""

    case: int
    round: int
    wrong: bool
    seconds: float


class Facts(NamedTuple):
    """What all ranks (in their order) and nodes said; of times, in seconds, the slowest rank's."""

    ranks: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    init_seconds: float
    communicator_seconds: float


class Opening:
    """One rank's part; `sampler` is the node's, on the rank that has started it."""

    def __init__(
        self, plan: Plan, world: World, backend: Backend, folder: Folder, tally: Tally
    ) -> None:
        self.plan, self.world, self.backend = plan, world, backend
        self.folder, self._tally = folder, tally
        self.sampler: Sampler | None = None

    def claim(self, resume: bool) -> list[Done]:
        """Take the folder; what it holds already. Raises what rank 0 found wrong on all ranks."""
        return by_rank_0(self.world, lambda: self._claim(resume))

    def _claim(self, resume: bool) -> list[Done]:
        finished = self.folder.claim(self.plan, resume)
        return [
            Done(r.case.index, r.round, any(g.wrong for g in r.groups), r.seconds) for r in finished
        ]

    def facts(self, communicator_seconds: float) -> Facts | None:
        """What every rank and node is; None on all ranks but the first."""
        world = self.world
        seconds = world.maximum(np.array([world.init_seconds, communicator_seconds]))
        own = self.backend.facts()
        ranks = world.gather(environment.rank_facts(self._library()) | own)
        gpu = own.get("device", {}).get("bus_id")
        on_node = world.node.gather(rails.rank_here(world.rank, gpu))
        nodes = None
        if world.leaders and on_node:
            nodes = world.leaders.gather(self._node_facts(on_node))
        if ranks is None or nodes is None:
            return None
        return Facts(ranks, nodes, float(seconds[0]), float(seconds[1]))

    def _node_facts(self, ranks: Sequence[rails.Rank]) -> dict[str, Any]:
        """What this node is, and which NICs its ranks use; its sampler starts here."""
        plan = self.plan
        here = environment.node_facts() | self._tally.facts()
        here["rails"] = rails.rails(plan, ranks)
        self.sampler, here["sampler"] = self._tally.sampler(
            plan.sample_counters, self.folder.path, ranks
        )
        if plan.counters != ():
            # of no use to the other ranks, which load the rest from the same file server
            from railgauge.auditing.facts import settings_of
            from railgauge.auditing.reading import of_this_node

            here["audit"] = of_this_node(self.world.rank)
            here["configuration"] = settings_of(here["audit"])
        if plan.memory == "device":
            here["hardware"] = msgspec.to_builtins(links.hardware())
        return here

    # on rank 0 ----------------------------------------------------------------------------------

    def record(self, facts: Facts, uncertainty_ns: int | None, todo: int) -> Run:
        """The first record of the journal."""
        plan, world = self.plan, self.world
        return Run(
            format=FORMAT,
            version=__version__,
            plan_sha256=plan.sha256(),
            started=time.time(),
            ranks=world.size,
            hosts=tuple(node["host"] for node in facts.nodes),
            nodes=encode_runs([place.node for place in world.places]),
            backend=plan.backend,
            library=self._library(),
            thread_level=world.thread_level,
            init_seconds=facts.init_seconds,
            communicator_seconds=facts.communicator_seconds,
            stamp_nanoseconds=stamp_nanoseconds(),
            clock_uncertainty_ns=uncertainty_ns,
            todo=todo,
            functional=plan.functional,
        )

    def write(self, facts: Facts) -> None:
        """environment.json and audit.json."""
        nics = {rank: rail for node in facts.nodes for rank, rail in node["rails"].items()}
        ranks = [
            {"rank": p.rank, "node": p.node, "nics": f.get("nics", nics[p.rank])}
            | {k: f[k] for k in ("cpus", "device", "nic") if k in f}
            for p, f in zip(self.world.places, facts.ranks, strict=True)
        ]
        elsewhere = ("rails", "audit")
        nodes = [{k: v for k, v in node.items() if k not in elsewhere} for node in facts.nodes]
        audits = [node["audit"] for node in facts.nodes if "audit" in node]
        self.folder.write_environment({"nodes": nodes, "ranks": ranks})
        if audits:
            self.folder.write_audit(audits)

    def remarks(self, facts: Facts, hosts: Sequence[str]) -> Iterator[str]:
        """Sentences about what is odd before anything is measured; `hosts` are those of the nodes."""
        plan, places = self.plan, self.world.places
        yield from environment.disagreements(facts.ranks, places)
        odd = (environment.shared_cpus(facts.ranks, places), absent(plan.leaves, hosts))
        yield from filter(None, odd)
        if self.world.thread_level == "multiple":
            yield "MPI runs at MPI_THREAD_MULTIPLE: small messages cost 1.6 to 6 times more"
        rotating = {case.operation for case in cases(plan) if case.timing == "back_to_back"}
        if plan.check_every and rotating:
            yield (
                f"--check-every {plan.check_every} means nothing back to back"
                f" ({', '.join(sorted(rotating))}): the last iterations of each chunk are verified"
            )

    def _library(self) -> str:
        """What moves the data, and where that is not MPI also what the ranks agree through."""
        mpi = self.world.library
        return mpi if self.backend.library == mpi else f"{self.backend.library} (control: {mpi})"
