"""Run folders of known content, written through `railgauge.journal.Folder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from railgauge import patterns
from railgauge.journal import Folder
from railgauge.plan import Case, Plan, cases
from railgauge.records import (
    FORMAT,
    Block,
    Counted,
    End,
    Gap,
    GroupResult,
    Note,
    Result,
    Run,
    Wrong,
    encode_ranks,
    encode_runs,
)


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
    """One start of a run over two hosts, n0 and n1, each with half of the ranks."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        *,
        clock: int | None = 0,
        resume: bool = False,
        functional: bool = False,
    ) -> None:
        self.path, self.plan, self.folder = path, plan, Folder(path)
        self.cases = cases(plan)
        self.nodes = [rank * 2 // plan.ranks for rank in range(plan.ranks)]
        self.done = self.folder.claim(plan, resume)
        self.folder.release()  # a test may go on with the same folder in a second writer
        self.folder.append(
            Run(
                format=FORMAT,
                version="0.1.0",
                plan_sha256=plan.sha256(),
                started=1_700_000_000.0,
                ranks=plan.ranks,
                hosts=("n0", "n1"),
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
        nodes = [{"host": h, "processor": "Test CPU", "counters": places} for h in ("n0", "n1")]
        on_gpus = self.plan.memory == "device"
        ranks = [{"rank": r, "node": r // 2, "device": gpu(r)} for r in range(4)] if on_gpus else []
        self.folder.write_environment({"nodes": nodes, "ranks": ranks})

    def groups(self, index: int) -> patterns.Groups:
        return list(patterns.rounds(self.plan.pattern, self.plan.ranks))[index]

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
        **more: Any,
    ) -> None:
        """A result whose iterations take `seconds`; a function gives the stamps of a group.

        Stamps are int64 [ranks, iterations, 2] in ns on one clock; node 1's is 5 s behind. `more`
        are further fields of each group's result.
        """
        groups = self.groups(index)
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
        for node, behind in ((0, 0), (1, 5_000_000_000)):
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
                    **more,
                )
                for group in groups
            ),
            samples=kept or tuple(blocks),
            transfers=case.entry.transfers(len(groups[0]), self.plan.window),
            bus_factor=case.bus_factor(len(groups[0])),
            counted=counted,
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


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Writer]:
    """start(folder=..., clock=..., **fields of the plan): 4 ranks and all_reduce by default."""

    def begin(
        *,
        folder: str = "run",
        clock: int | None = 0,
        resume: bool = False,
        functional: bool = False,
        **plan: Any,
    ) -> Writer:
        facts = {"ranks": 4, "sizes": (8, 1024), **plan}
        return Writer(
            tmp_path / folder, Plan(**facts), clock=clock, resume=resume, functional=functional
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
