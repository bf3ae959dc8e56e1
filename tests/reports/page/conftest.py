"""Runs with something to draw: a fleet of nodes that meet in pairs, rail by rail, one of them slow."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from railgauge.plan import Plan
from railgauge.records import Counted, Moved
from railgauge_reports.frames import COLUMNS
from railgauge_reports.loaded import Asked, LoadedRun, load
from railgauge_reports.page.chart import Chart
from railgauge_reports.page.content import Page, page_of
from railgauge_reports.page.document import document

RATE_GBps = 48.0  # of a healthy pair


def spans(nbytes: int, rate: float, random: np.random.Generator, samples: int = 40) -> np.ndarray:
    """Seconds of iterations at about that many GB/s, with 4 us to begin with."""
    return (4e-6 + nbytes / (rate * 1e9)) * random.normal(1.0, 0.01, samples).clip(0.9)


def build_fleet(
    begin: Callable[..., Any],
    hosts: int = 8,
    rails: int = 2,
    *,
    slow: tuple[str, int] | None = ("n3", 1),
    names: Sequence[str] | None = None,
    leaves: int = 0,
    sizes: tuple[int, ...] = (16 << 20,),
    nodes: Sequence[dict[str, Any]] = (),
    **plan: Any,
) -> Path:
    """A folder with every pair once; the slow host's rail has half the rate of the others."""
    called = list(names or [f"n{k}" for k in range(hosts)])
    if leaves:
        plan["leaves"] = tuple((f"leaf{k}", tuple(called[k::leaves])) for k in range(leaves))
    run = begin(
        hosts=hosts, names=called, nodes=nodes, ranks=hosts * rails, pattern="pairs",
        operations=("sendrecv",), sizes=sizes, **plan,
    )  # fmt: skip
    random = np.random.default_rng(7)

    def stamps(nbytes: int, group: tuple[int, ...]) -> np.ndarray:
        met = {(called[rank // rails], rank % rails) for rank in group}
        took = spans(nbytes, RATE_GBps * (0.5 if slow in met else 1.0), random)
        made = np.zeros((2, len(took), 2), np.int64)
        made[:, :, 0] = np.arange(len(took)) * 10_000_000
        made[:, :, 1] = made[:, :, 0] + np.round(took * 1e9).astype(np.int64)
        return made

    for case in run.cases:
        for index in range(hosts - 1 + hosts % 2):
            lost = Moved("ethtool", "eth0", 0, "rx_prio3_pause", 1000 + index)
            retried = Moved("rdma", "mlx5_0", 1, "packet_seq_err", 12)
            energy = Moved("nvml", "0000:3b:00.0", 0, "energy", 350_000)
            moved = (lost, retried, energy) if slow else ()
            counted = (Counted(node=min(3, hosts - 1), seconds=0.5, moved=moved),)
            of_case = functools.partial(stamps, case.nbytes)
            run.result(case, of_case, index=index, counted=counted)
    made: Path = run.end()
    return made


@pytest.fixture
def fleet(start: Callable[..., Any]) -> Callable[..., Path]:
    """`fleet(hosts=8, rails=2, slow=("n3", 1), ...)`, see `build_fleet`."""
    return functools.partial(build_fleet, start)


@dataclasses.dataclass(frozen=True)
class Shown:
    """A fleet whose hosts have names that nobody should print as they are, read, judged and shown."""

    run: LoadedRun
    page: Page
    text: str
    slow: str
    names: tuple[str, ...]

    def chart(self, name: str) -> Chart:
        return next(chart for chart in self.page.charts if chart.name == name)


@pytest.fixture(scope="session")
def shown(writer: type, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Made once: tests only read it."""
    folder = tmp_path_factory.mktemp("shown") / "run"
    names = ("<script>alert(1)</script>", 'n"1', "n'2", "</style><b>n3", "n{{7*7}}4", "n&amp;5")
    slow = names[3]
    begin = lambda **k: writer(folder, Plan(**_plan(k)), **k)  # noqa: E731
    sizes = (65536, 1 << 20, 16 << 20)
    build_fleet(begin, len(names), 2, slow=(slow, 1), names=names, leaves=2, sizes=sizes)
    run = load(folder, asked=Asked(price=2.0))
    page = page_of(run)
    return Shown(run, page, document(page), slow, names)


def _plan(given: dict[str, Any]) -> dict[str, Any]:
    """What of the arguments is the plan's; it is taken out of them."""
    fields = set(Plan.__struct_fields__)
    return {name: given.pop(name) for name in list(given) if name in fields}


def with_tournament(run: LoadedRun, hosts: int, rails: int, nbytes: int = 1 << 24) -> LoadedRun:
    """`run` with a row for every two hosts and each rail; the host 3 is slow on rail 1."""
    one, other = (np.repeat(part, rails) for part in np.triu_indices(hosts, 1))
    rail = np.tile(np.arange(rails), len(one) // rails)
    random = np.random.default_rng(1)
    rate = random.normal(48.0, 0.5, len(one))
    rate[(rail == 1) & ((one == 3) | (other == 3))] *= 0.5
    names = pa.array(run.stored.last.hosts)
    text = pc.binary_join_element_wise(names.take(pa.array(one)), names.take(pa.array(other)), " ")
    ranks = (pc.cast(pa.array(side * rails + rail), pa.string()) for side in (one, other))
    seconds = nbytes / rate / 1e9
    known = {
        "operation": "sendrecv", "pattern": "pairs", "backend": "nccl", "dtype": "float32",
        "placement": "out", "call": "stream", "timing": "back_to_back", "ranks": 2, "samples": 100,
        "nbytes": nbytes, "count": nbytes // 4, "case": 0, "wrong": 0, "gap": False, "stable": True,
        "round": (one + other) % (hosts - 1), "rail": rail, "busbw_GBps": rate, "algbw_GBps": rate,
        "median_seconds": seconds, "min_seconds": seconds * 0.99, "max_seconds": seconds * 1.3,
    }  # fmt: skip
    index = pd.RangeIndex(len(one))
    frame = pd.DataFrame(
        {name: pd.Series(known.get(name, pd.NA), index, kind) for name, kind in COLUMNS.items()}
    )
    frame["hosts"] = pd.Series(text.to_pandas(), dtype="string")
    frame["group"] = pd.Series(pc.binary_join_element_wise(*ranks, " ").to_pandas(), dtype="string")
    return dataclasses.replace(run, rows=frame)


@pytest.fixture
def tournament(start) -> Callable[..., LoadedRun]:
    """`tournament(hosts, rails, leaves=0)`: rows of every pair, made by columns, host 3 slow on rail 1."""

    def build(
        hosts: int, rails: int, leaves: int = 0, names: Sequence[str] | None = None
    ) -> LoadedRun:
        names = names or [f"node{k:04d}" for k in range(hosts)]
        each = hosts // leaves if leaves else 0
        under = tuple((f"leaf{k}", tuple(names[k * each : (k + 1) * each])) for k in range(leaves))
        run = start(
            hosts=hosts, names=names, ranks=hosts * rails, sizes=(1 << 24,), pattern="pairs",
            operations=("sendrecv",), leaves=under or None,
        )  # fmt: skip
        return with_tournament(load(run.path), hosts, rails)

    return build
