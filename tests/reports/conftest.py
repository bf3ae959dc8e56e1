"""Run folders of known content, written through `railgauge.journal.Folder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from railgauge import patterns, schedules
from railgauge.counting import Kind, Place, source_named
from railgauge.journal import Folder
from railgauge.plan import Case, Plan, cases
from railgauge.rank_lists import encode_ranks
from railgauge.records import (
    FORMAT,
    Block,
    Counted,
    End,
    FlowBlock,
    Gap,
    GroupResult,
    Note,
    Pressure,
    Result,
    Run,
    Wrong,
    encode_runs,
)
from railgauge.topology import located
from railgauge_reports.localise.suspects import Suspect
from railgauge_reports.lossless.evidence import Count, Evidence, Port


def gpu(rank: int) -> dict[str, Any]:
    """The facts of a rank's GPU, two on a host."""
    return {
        "index": rank % 2,
        "name": "Test GPU",
        "uuid": f"{rank:032x}",
        "bus_id": f"0000:{0x3B + rank % 2:02X}:00.0",
        "capability": [9, 0],
        "multiprocessors": 132,
        "memory_bytes": 80 << 30,
        "driver": 13010,
    }


class Writer:
    """One start of a run over hosts n0, n1 ... (two), each with as many of the ranks."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        *,
        clock: int | None = 0,
        resume: bool = False,
        functional: bool = False,
        hosts: int = 2,
        names: Sequence[str] = (),
        nodes: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.path, self.plan, self.folder = path, plan, Folder(path)
        self.cases = cases(plan)
        self.nodes = [rank * hosts // plan.ranks for rank in range(plan.ranks)]
        self.hosts = tuple(names) or tuple(f"n{k}" for k in range(hosts))
        self.done = self.folder.claim(plan, resume)
        self.folder.release()  # a test may go on with the same folder in a second writer
        self.folder.append(
            Run(
                format=FORMAT,
                version="0.1.0",
                plan_sha256=plan.sha256(),
                started=1_700_000_000.0,
                ranks=plan.ranks,
                hosts=self.hosts,
                nodes=encode_runs(self.nodes),
                backend="mpi",
                library="MPICH  Version: 5.0.2",
                thread_level="funneled",
                init_seconds=0.25,
                communicator_seconds=1e-4,
                stamp_nanoseconds=23.0,
                clock_uncertainty_ns=clock,
                todo=1,
                functional=functional,
            )
        )
        port = {"source": "rdma", "device": "mlx5_0", "port": 1, "unknown": {}}
        places = {"places": [port | {"facts": {"driver": "mlx5_core"}}], "problems": {}}
        known = {"processor": "Test CPU", "counters": places}
        more = nodes or [{}] * hosts
        told = [{"host": h} | known | own for h, own in zip(self.hosts, more, strict=True)]
        on_gpus = self.plan.memory == "device"
        ranks = [{"rank": r, "node": r // 2, "device": gpu(r)} for r in range(4)] if on_gpus else []
        self.folder.write_environment({"nodes": told, "ranks": ranks})

    def round(self, index: int) -> schedules.Round:
        where = located(self.plan.leaves, self.hosts, self.nodes)
        return next(islice(patterns.rounds(self.plan.schedule, where), index, None))

    def groups(self, index: int) -> list[tuple[int, ...]]:
        return [group.ranks for group in self.round(index).groups]

    def result(
        self,
        case: Case,
        seconds: float | Sequence[float] | Callable[[tuple[int, ...]], np.ndarray] = 1e-5,
        *,
        index: int = 0,
        samples: int = 100,
        wrong: tuple[Wrong, ...] = (),
        checked: int | None = None,
        kept: tuple[Block, ...] = (),
        columns: tuple[str, ...] = ("entry", "exit"),
        counted: tuple[Counted, ...] = (),
        named: str = "",
        idle: str = "",
        flows: tuple[FlowBlock, ...] = (),
        pressure: Pressure | None = None,
        **more: Any,
    ) -> None:
        """A result whose iterations take `seconds`; a function gives the stamps of a group.

        Stamps are int64 [ranks, iterations, 2] in ns on one clock; node 1's is 5 s behind. `more`
        are further fields of each group's result.
        """
        rails = {group.ranks: group.rail for group in self.round(index).groups}
        groups = list(rails)
        made = {}
        for group in groups:
            if callable(seconds):
                stamps = seconds(group)
            else:
                took = np.round(np.broadcast_to(np.asarray(seconds) * 1e9, (samples,)))
                stamps = np.zeros((len(group), samples, 2), np.int64)
                stamps[:, :, 0] = np.arange(samples) * 10_000_000
                stamps[:, :, 1] = stamps[:, :, 0] + took.astype(np.int64)
            made.update(dict(zip(group, stamps, strict=True)))
        iterations = len(next(iter(made.values())))
        blocks = []
        for node in range(len(self.hosts)):
            behind = 5_000_000_000 * (node > 0)
            ranks = [rank for rank in made if self.nodes[rank] == node]
            if ranks:
                behind *= columns[0] == "entry"  # durations know no clock
                rows = np.stack([made[rank] for rank in sorted(ranks)]) - behind
                blocks.append(
                    Block(
                        node=node,
                        offset=self.folder.append_samples(node, rows),
                        ranks=encode_ranks(sorted(ranks)),
                        columns=columns,
                        clock_ns=behind,
                    )
                )
        result = Result(
            case=case,
            round=index,
            started=1_700_000_000.0,
            seconds=0.5,
            stopped="precision",
            groups=tuple(
                GroupResult(
                    ranks=encode_ranks(group),
                    first_call_ns=50_000,
                    warmup_iterations=32,
                    steady=True,
                    iterations=iterations,
                    checked_iterations=iterations + 33 if checked is None else checked,
                    missed_windows=0,
                    wrong=tuple(w for w in wrong if w.rank in group),
                    **{"rail": rails[group], **more},
                )
                for group in groups
            ),
            samples=kept or tuple(blocks),
            transfers=case.entry.transfers(len(groups[0]), self.plan.window),
            bus_factor=case.bus_factor(len(groups[0])),
            counted=counted,
            name=named,
            idle=idle,
            flows=flows,
            pressure=pressure,
        )
        self.folder.append(result)

    def gap(self, case: Case, reason: str, index: int = 0) -> None:
        self.folder.append(Gap(case=case, round=index, reason=reason))

    def note(self, text: str) -> None:
        self.folder.append(Note(text=text))

    def end(self, verdict: str = "PASS", exit_code: int = 0, message: str = "") -> Path:
        self.folder.append(
            End(verdict=verdict, exit_code=exit_code, finished=1_700_000_009.0, message=message)
        )
        return self.path


@pytest.fixture(scope="session")
def told(rig: Callable[[str], ModuleType]) -> Callable[..., Any]:
    """`told(nights=30, ...)`: the gate's answer on a story of the rig `gate_answers`."""
    answers = rig("gate_answers")
    return lambda **story: answers.gate_of(answers.Story(**story))


@pytest.fixture(scope="session")
def writer() -> type[Writer]:
    """For fixtures that outlive a test."""
    return Writer


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Writer]:
    """start(folder=..., clock=..., resume=..., nodes=facts of n0 and n1, **fields of the plan).

    By default 4 ranks and all_reduce.
    """

    def begin(
        *,
        folder: str = "run",
        clock: int | None = 0,
        resume: bool = False,
        functional: bool = False,
        hosts: int = 2,
        names: Sequence[str] = (),
        nodes: Sequence[dict[str, Any]] = (),
        **plan: Any,
    ) -> Writer:
        facts = {"ranks": 4, "sizes": (8, 1024), **plan}
        return Writer(
            tmp_path / folder,
            Plan(**facts),
            clock=clock,
            resume=resume,
            functional=functional,
            hosts=hosts,
            names=names,
            nodes=nodes,
        )

    return begin


@pytest.fixture
def flipped() -> Wrong:
    """One bit of element 17 on rank 2."""
    return Wrong(
        rank=2,
        host="n1",
        buffer="receive 0",
        index=17,
        expected="0x40c00000",
        found="0x40c00001",
        elements=3,
        iteration=4,
    )


# evidence for the rules of a fabric -----------------------------------------------------------------

IB_COUNTERS = (
    *("link_downed", "link_error_recovery", "symbol_error", "port_rcv_errors"),
    *("port_rcv_remote_physical_errors", "port_xmit_discards", "port_xmit_wait"),
    *("port_xmit_data", "port_rcv_data", "port_xmit_packets"),
    *("out_of_sequence", "packet_seq_err", "local_ack_timeout_err", "roce_adp_retrans"),
    *("req_transport_retries_exceeded", "rnr_nak_retry_err", "out_of_buffer"),
    *("req_cqe_error", "req_cqe_flush_error"),
)
ROCE_COUNTERS = (
    *("np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored"),
    "rx_icrc_encapsulated",
)
EFA_COUNTERS = (
    *("tx_bytes", "rx_bytes", "tx_pkts", "retrans_pkts", "retrans_timeout_events"),
    *("impaired_remote_conn_events", "unresponsive_remote_events", "rx_drops"),
)
MLX5_STATISTICS = (
    *("rx_prio3_pause", "tx_prio3_pause", "rx_prio3_pause_duration", "tx_prio3_pause_duration"),
    *("rx_prio5_pause", "tx_prio0_bytes", "tx_prio3_bytes", "tx_vport_rdma_unicast_bytes"),
    *("rx_global_pause", "tx_global_pause", "rx_global_pause_duration", "tx_global_pause_duration"),
    *("rx_pause_ctrl_phy", "rx_discards_phy", "rx_prio3_discards", "rx_prio3_marked"),
    *("rx_buffer_passed_thres_phy", "rx_crc_errors_phy", "rx_pcs_symbol_err_phy"),
    *("rx_corrected_bits_phy", "rx_bits_phy", "rx_err_lane_0_phy", "rx_err_lane_1_phy"),
    *("rx_err_lane_2_phy", "rx_err_lane_3_phy", "link_down_events_phy", "module_unplug"),
    *("rx_oversize_pkts_phy", "rx_pci_signal_integrity", "outbound_pci_stalled_wr"),
    "tx_pause_storm_error_events",
)
SOCKETS = ("Tcp.RetransSegs", "Tcp.OutSegs", "IpExt.InCEPkts")
#: Profile -> source -> the counters that a port of it has.
COUNTERS_OF = {
    "ib": {"rdma": IB_COUNTERS},
    "efa": {"rdma": EFA_COUNTERS},
    "roce": {"rdma": (*IB_COUNTERS, *ROCE_COUNTERS), "ethtool": MLX5_STATISTICS},
}
SECONDS = 10.0


def port_of(
    profile: str,
    host: str,
    moved: dict[str, int | str],
    index: int = 0,
    lacks: tuple[str, ...] = (),
) -> Port:
    """A port of a healthy host on which these counters moved; a word is the note of one unknown."""
    device, netdev = f"{'efa' if profile == 'efa' else 'mlx5_'}{index}", f"eth{index}"
    driver = "efa" if profile == "efa" else "mlx5_core"
    counts = []
    for source, names in COUNTERS_OF.get(profile, COUNTERS_OF["roce"]).items():
        place = Place(source, device, 1) if source == "rdma" else Place(source, netdev)
        for name in dict.fromkeys([*names, *(n for n in moved if names_source(n) == source)]):
            if name not in lacks:
                kind = source_named(source).kind(name, {"driver": driver})
                counts.append(count_of(place, name, kind, moved.get(name, 0)))
    facts = {"driver": driver, "rate": "400 Gb/sec (4X NDR)", "board_id": "TEST0001"}
    at = netdev if "ethtool" in COUNTERS_OF.get(profile, COUNTERS_OF["roce"]) else ""
    return Port(host, device, 1, at, facts=facts, counts=tuple(counts))


def names_source(name: str) -> str:
    """Of an extra counter: drivers' statistics begin with a direction and so do no IB counters."""
    ours = (*IB_COUNTERS, *ROCE_COUNTERS, *EFA_COUNTERS)
    return "rdma" if name in ours else "ethtool"


def count_of(place: Place, name: str, kind: Kind, moved: int | str) -> Count:
    """A counter that moved by so much, or of which only a note is known (`at least 5`, `reset`)."""
    if isinstance(moved, int):
        return Count(place, name, kind, moved, SECONDS)
    note, _, least = moved.rpartition(" ") if moved[-1].isdigit() else (moved, "", "")
    return Count(place, name, kind, int(least) if least else None, SECONDS, note)  # type: ignore[arg-type]


def sockets_of(host: str, moved: dict[str, int | str]) -> Port:
    """A host's TCP and IP."""
    place, kind_of = Place("tcp", "host"), source_named("tcp").kind
    counts = (count_of(place, name, kind_of(name, {}), moved.get(name, 0)) for name in SOCKETS)
    return Port(host, "host", kind="sockets", counts=tuple(counts))


@pytest.fixture
def fabric() -> Callable[..., Evidence]:
    """fabric(profile, n0={counter: delta}, n1=..., lacks=(names), **fields of the evidence): 4 hosts."""

    def build(
        profile: str = "roce-lossless",
        *,
        n0: dict[str, int | str] | None = None,
        n1: dict[str, int | str] | None = None,
        others: dict[str, int | str] | None = None,
        sockets: dict[str, int | str] | None = None,
        second: dict[str, int | str] | None = None,
        lacks: tuple[str, ...] = (),
        **fields: Any,
    ) -> Evidence:
        moved = [n0 or {}, n1 or {}, others or {}, others or {}]
        ports = [port_of(profile, f"n{k}", counters, 0, lacks) for k, counters in enumerate(moved)]
        if second is not None:
            ports.insert(1, port_of(profile, "n0", second, 1, lacks))
        if sockets is not None:
            ports.append(sockets_of("n0", sockets))
        return Evidence(ports=tuple(ports), **fields)

    return build


@pytest.fixture
def suspect() -> Callable[..., Suspect]:
    """`suspect(hosts=("n3",), ...)`: a NIC that three of three measurements accuse, or something else."""

    def made(**facts: Any) -> Suspect:
        usual = {
            "kind": "nic",
            "target": "rail 1 of n3",
            "hosts": ("n3",),
            "nodes": (3,),
            "rail": 1,
            "leaves": (),
            "effect": 0.5,
            "effect_low": 0.4,
            "effect_high": 0.6,
            "supporting": 3,
            "of": 3,
            "confidence": 0.99,
            "log_odds": 5.0,
        }
        return Suspect(**(usual | facts))

    return made
