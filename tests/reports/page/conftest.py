"""Runs with something to draw: a fleet of nodes that meet in pairs, rail by rail, one of them slow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from railgauge.records import Counted, Moved
from railgauge_reports.frames import COLUMNS
from railgauge_reports.loaded import LoadedRun, load

RATE_GBps = 48.0  # of a healthy pair


def spans(nbytes: int, rate: float, random: np.random.Generator, samples: int = 40) -> np.ndarray:
    """Seconds of iterations at about that many GB/s, with 4 us to begin with."""
    return (4e-6 + nbytes / (rate * 1e9)) * random.normal(1.0, 0.01, samples).clip(0.9)


@pytest.fixture
def fleet(start) -> Callable[..., Path]:
    """`fleet(hosts=8, rails=2, slow=("n3", 1))`: every pair once; that host's rail has half the rate."""

    def build(
        hosts: int = 8,
        rails: int = 2,
        *,
        slow: tuple[str, int] | None = ("n3", 1),
        names: Sequence[str] | None = None,
        leaves: int = 0,
        sizes: tuple[int, ...] = (65536, 1 << 20, 16 << 20),
        exit_code: int = 0,
        nodes: Sequence[dict[str, Any]] = (),
        **plan: Any,
    ) -> Path:
        called = list(names or [f"n{k}" for k in range(hosts)])
        if leaves:
            plan["leaves"] = tuple(
                (f"leaf{k}", tuple(called[k::leaves])) for k in range(leaves)
            )  # fmt: skip
        run = start(
            hosts=hosts, names=called, nodes=nodes, ranks=hosts * rails, pattern="pairs",
            operations=("sendrecv",), sizes=sizes, **plan,
        )  # fmt: skip
        random = np.random.default_rng(7)

        def stamps(nbytes: int) -> Callable[[tuple[int, ...]], np.ndarray]:
            def of(group: tuple[int, ...]) -> np.ndarray:
                met = {(called[rank // rails], rank % rails) for rank in group}
                rate = RATE_GBps * (0.5 if slow in met else 1.0)
                took = spans(nbytes, rate, random)
                made = np.zeros((2, len(took), 2), np.int64)
                made[:, :, 0] = np.arange(len(took)) * 10_000_000
                made[:, :, 1] = made[:, :, 0] + np.round(took * 1e9).astype(np.int64)
                return made

            return of

        for case in run.cases:
            for index in range(hosts - 1 + hosts % 2):
                lost = Moved("ethtool", "eth0", 0, "rx_prio3_pause", 1000 + index)
                retried = Moved("rdma", "mlx5_0", 1, "packet_seq_err", 12)
                energy = Moved("nvml", "0000:3b:00.0", 0, "energy", 350_000)
                moved = (lost, retried, energy) if slow else ()
                counted = (Counted(node=min(3, hosts - 1), seconds=0.5, moved=moved),)
                run.result(case, stamps(case.nbytes), index=index, counted=counted)
        return run.end("PASS" if not exit_code else "FAIL", exit_code)

    return build


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

    def build(hosts: int, rails: int, leaves: int = 0) -> LoadedRun:
        names = [f"node{k:04d}" for k in range(hosts)]
        each = hosts // leaves if leaves else 0
        under = tuple((f"leaf{k}", tuple(names[k * each : (k + 1) * each])) for k in range(leaves))
        run = start(
            hosts=hosts, names=names, ranks=hosts * rails, sizes=(1 << 24,), pattern="pairs",
            operations=("sendrecv",), leaves=under or None,
        )  # fmt: skip
        return with_tournament(load(run.path), hosts, rails)

    return build
