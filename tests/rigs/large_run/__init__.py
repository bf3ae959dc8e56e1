"""A run folder of a cluster as large as wanted, without the cluster.

The journal is made by `railgauge.gather.result_of` and written through `railgauge.journal.Folder`; the
times are seeded noise around a median, the ranks of one node are slower. All samples of a result lie in one
block of node 0's file, as a process that models every rank stores them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge import patterns
from railgauge.gather import result_of
from railgauge.journal import Folder
from railgauge.patterns import Round
from railgauge.plan import Plan, cases
from railgauge.rank_lists import encode_ranks
from railgauge.records import (
    FORMAT,
    Block,
    Counted,
    End,
    FlowBlock,
    GroupResult,
    Moved,
    Result,
    Run,
    encode_runs,
)
from railgauge.topology import located

STAMPS, SLOWEST = ("entry", "exit"), ("duration", "rank")
_COUNTERS = (
    *("link_downed", "link_error_recovery", "local_ack_timeout_err", "out_of_buffer"),
    *("out_of_sequence", "packet_seq_err", "port_rcv_data", "port_rcv_errors", "port_xmit_data"),
    *("port_xmit_discards", "port_xmit_packets", "port_xmit_wait", "rnr_nak_retry_err"),
    *("rx_icrc_encapsulated", "symbol_error"),
)
_OPERATIONS = {"pairs": "sendrecv", "permutation": "flows"}
_PAUSE_NS = 20_000_000  # from one iteration to the next
_NOISE, _SLOWER = 0.01, 1.5


class Shape(NamedTuple):
    """A cluster and what it ran; `columns` are STAMPS of all ranks or the SLOWEST rank of a group.

    With `counters` every node has an RDMA port for each GPU, whose data and packets were counted.
    """

    nodes: int
    gpus: int
    pattern: str = "pairs"
    rounds: int | None = None
    iterations: int = 20
    columns: tuple[str, ...] = STAMPS
    median_seconds: float = 1.4e-3
    slow_node: int = 3
    seed: int = 1
    counters: bool = False

    @property
    def plan(self) -> Plan:
        return Plan(
            ranks=self.nodes * self.gpus,
            pattern=self.pattern,
            rounds=self.rounds,
            operations=(_OPERATIONS.get(self.pattern, "all_reduce"),),
            sizes=(64 << 20,),
            iterations=self.iterations,
            counters=("rdma",) if self.counters else (),
        )


def write(path: Path, shape: Shape) -> Path:
    """Write the run folder of a run that ended in order."""
    plan, folder = shape.plan, Folder(path)
    folder.claim(plan, resume=False)
    node_of = [rank // shape.gpus for rank in range(plan.ranks)]
    hosts = tuple(f"node{node:05d}" for node in range(shape.nodes))
    folder.append(_run(plan, hosts, node_of))
    ports = {"counters": {"places": _places(shape), "names": [_COUNTERS]}} if shape.counters else {}
    folder.write_environment({"nodes": [{"host": host} | ports for host in hosts]})
    where = located(plan.leaves, hosts, node_of)
    for index, round_ in enumerate(patterns.rounds(plan.schedule, where)):
        folder.append(_result(plan, folder, shape, index, round_))
    folder.append(End(verdict="PASS", exit_code=0, finished=1.7e9 + 60))
    folder.release()
    return path


def _places(shape: Shape) -> list[dict[str, Any]]:
    """The RDMA ports of a node; their names are the first set of `names`."""
    facts = {"driver": "mlx5_core", "rate": "400 Gb/sec (4X NDR)", "state": "4: ACTIVE"}
    facts |= {"link_layer": "InfiniBand", "board_id": "TEST0001"}
    return [
        {
            "source": "rdma",
            "device": f"mlx5_{k}",
            "port": 1,
            "facts": facts,
            "unknown": {},
            "names": 0,
        }
        for k in range(shape.gpus)
    ]


def _counted(shape: Shape) -> Iterator[Counted]:
    """Data and packets of every port, the same on all nodes."""
    for node in range(shape.nodes):
        moved = tuple(
            Moved("rdma", f"mlx5_{k}", 1, name, delta)
            for k in range(shape.gpus)
            for name, delta in (("port_xmit_data", 1 << 30), ("port_xmit_packets", 1 << 20))
        )
        yield Counted(node=node, seconds=0.5, moved=moved)


def _run(plan: Plan, hosts: tuple[str, ...], node_of: list[int]) -> Run:
    return Run(
        format=FORMAT,
        version="0.1.0",
        plan_sha256=plan.sha256(),
        started=1.7e9,
        ranks=plan.ranks,
        hosts=hosts,
        nodes=encode_runs(node_of),
        backend="mpi",
        library="MPICH",
        thread_level="funneled",
        init_seconds=1.0,
        communicator_seconds=1e-4,
        stamp_nanoseconds=23.0,
        clock_uncertainty_ns=0,
        todo=1,
    )


def _result(plan: Plan, folder: Folder, shape: Shape, index: int, round_: Round) -> Result:
    groups = [_group(shape, group.ranks) for group in round_.groups]
    ranks = [rank for group in round_.groups for rank in group.ranks]
    n = shape.iterations
    (case,) = cases(plan)
    random = np.random.default_rng((shape.seed, index))
    took = shape.median_seconds * np.exp(_NOISE * random.standard_normal((len(groups), n)))
    slow = [any(r // shape.gpus == shape.slow_node for r in g.ranks) for g in round_.groups]
    took[slow] *= _SLOWER
    took_ns = np.round(took * 1e9).astype(np.int64)
    if shape.columns == SLOWEST:
        first = [group.ranks[0] for group in round_.groups]
        owner = np.broadcast_to(np.array(first)[:, None], took_ns.shape)
        rows, named = np.stack([took_ns, owner], axis=2), first
    else:
        rows, named = _stamps(took_ns, [len(group.ranks) for group in round_.groups]), ranks
    order = np.argsort(named)
    offset = folder.append_samples(0, rows[order])
    block = Block(
        node=0,
        offset=offset,
        ranks=encode_ranks(sorted(named)),
        columns=shape.columns,
    )
    return result_of(
        plan,
        case,
        index,
        round_,
        groups,
        world_size=plan.ranks,
        started=1.7e9 + index,
        seconds=0.5,
        stopped="count",
        blocks=[block],
        counted=list(_counted(shape)) if shape.counters else [],
        flow_blocks=list(_flows(folder, shape, round_, random)) if case.entry.directed else [],
    )


def _group(shape: Shape, ranks: tuple[int, ...]) -> GroupResult:
    return GroupResult(
        ranks=encode_ranks(ranks),
        first_call_ns=2_000_000,
        warmup_iterations=5,
        steady=True,
        iterations=shape.iterations,
        checked_iterations=shape.iterations + 6,
        missed_windows=0,
        rail=ranks[0] % shape.gpus if len(ranks) == 2 else None,
    )


def _stamps(took_ns: npt.NDArray[np.int64], sizes: list[int]) -> npt.NDArray[np.int64]:
    """int64 [ranks, n, 2]: the ranks of a group enter together and leave together."""
    entry = np.arange(took_ns.shape[1], dtype=np.int64) * _PAUSE_NS
    each = np.repeat(took_ns, sizes, axis=0)
    return np.stack([np.broadcast_to(entry, each.shape), entry + each], axis=2)


def _flows(
    folder: Folder, shape: Shape, round_: Round, random: np.random.Generator
) -> Iterator[FlowBlock]:
    flows = tuple(flow for group in round_.groups for flow in group.flows)
    took = shape.median_seconds * np.exp(
        _NOISE * random.standard_normal((len(flows), shape.iterations))
    )
    offset = folder.append_samples(0, np.round(took * 1e9).astype(np.int64))
    yield FlowBlock(node=0, offset=offset, flows=flows, iterations=shape.iterations)
