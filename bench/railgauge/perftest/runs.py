"""The `perftest` backend on one rank: its programs, its RDMA port, and what the way between two allows."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from railgauge.buffers import Buffers
from railgauge.errors import UsageError
from railgauge.hardware import bounds, links
from railgauge.hardware.links import Nic
from railgauge.hardware.rails import Rail
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import Table
from railgauge.memory import HostMemory, Memory
from railgauge.perftest.pair import End, PairRuns, Printed, Side
from railgauge.perftest.ports import VARIABLE, port_of_rank
from railgauge.perftest.programs import Program, program_named
from railgauge.perftest.settings import Settings, is_latency, program_name, settings_of, verb
from railgauge.plan import Case, Plan, cases
from railgauge.records import Allowed, Choice
from railgauge.world import Bound, Measuring, Place, Plain, World, together

RAW = "--report-unsorted"


class PerftestBackend(Plain):
    """This rank's programs and RDMA port."""

    def __init__(self, plan: Plan, world: World) -> None:
        self.memory: Memory = HostMemory()  # perftest has its own, of one message or two
        settings, place = settings_of(plan), world.places[world.rank]
        programs, nic = together(world, lambda: _found(plan, settings, place))
        versions = {program.version for program in programs.values()} - {""}
        offered = all(RAW in p.options for n, p in programs.items() if n.endswith("_lat"))
        raw = all(world.all_gather(offered))
        self._side = Side(plan, settings, programs, nic, place, raw)
        without = [] if raw else ["(without -U: a latency sample is the median of a start)"]
        self.library = " ".join(["perftest", *sorted(versions), *without])
        self._last: tuple[Choice, Allowed | None] | None = None

    def check(self, plan: Plan) -> None:
        """All was found when the backend was opened."""

    def facts(self) -> dict[str, Any]:
        nic = self._side.nic
        rail = Rail(names=(nic.name,), why="what perftest is told (-d)")
        return {"nic": msgspec.to_builtins(nic), "nics": rail}

    def prepare(self) -> None:
        """Nothing is compiled."""

    def bind(
        self, plan: Plan, case: Case, facts: GroupFacts, group: Any, buffers: Buffers
    ) -> Bound:
        raise NotImplementedError("a program of its own measures: see `measurement`")

    def measurement(self, case: Case, group: Any, cells: Table) -> Measuring | None:
        return PairRuns(self._side, self, case, group, cells, self._remember)

    def explain(self, code: int) -> str:
        return f"exit code {code}"

    def choice(self, case: Case) -> Choice | None:
        del case  # the one that ran last
        return self._last[0] if self._last else None

    def allowed(self, case: Case) -> Allowed | None:
        del case
        return self._last[1] if self._last else None

    def _remember(self, runs: PairRuns, printed: Printed) -> None:
        """What carried the case that ran last, and what the way allows."""
        client, server = runs.client, runs.server
        way = f"{client.nic.name}:{client.nic.port}-{server.nic.name}:{server.nic.port}"
        choice = Choice(transport=f"{way} {printed.connection}".rstrip())
        timed = is_latency(runs.case)
        self._last = choice, None if timed else allowed(runs.case, server, client, printed.mtu)

    def close(self) -> None:
        """Every program has ended with its chunk."""


def _found(plan: Plan, settings: Settings, place: Place) -> tuple[dict[str, Program], Nic]:
    """The programs that the plan's cases need, and this rank's port; raises what is amiss."""
    names = sorted({program_name(case) for case in cases(plan)})
    programs = {name: program_named(name) for name in names}
    for program in programs.values():
        if plan.memory == "device" and "--use_cuda" not in program.options:
            raise UsageError(
                f"--memory device: {program.path} on {place.host} was built without CUDA.\n"
                "  next: build perftest with ./configure CUDA_H_PATH=.../cuda.h, or --memory host"
            )
    hca, nics = os.environ.get(VARIABLE, ""), links.nic_facts(host=place.host)
    nic = port_of_rank(nics, place.local_rank, settings.device, settings.port, hca, place.host)
    return programs, nic


def allowed(case: Case, server: End, client: End, mtu: int | None) -> Allowed:
    """The data that the slower NIC, or a NIC's PCIe path, lets through in one direction."""
    if (server.host, server.nic.name) == (client.host, client.nic.name):
        words = (
            f"unknown: both ranks use {client.nic.name} of {client.host}; nothing leaves the NIC"
        )
        return Allowed(path="", GBps=None, words=words)
    if mtu is None:
        return Allowed(path="network", GBps=None, words="unknown: perftest did not say the MTU")
    written = verb(case) == "write"
    share = bounds.payload_share(client.nic.link_layer, mtu, case.nbytes, written)
    if share is None:
        words = f"unknown: no packet headers are known of link layer {client.nic.link_layer}"
        return Allowed(path="network", GBps=None, words=words)
    bound = bounds.network_bound(client.nic, server.nic, share)
    return Allowed(path=bound.path, GBps=bound.GBps, words=f"{bound.words} (MTU {mtu})")
