"""Small runs with the names that a test asks for, and packs of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from railgauge.journal import Folder
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Block, End, GroupResult, Note, Result, Run, Wrong
from railgauge_reports.pack.making import Asked, make
from railgauge_reports.pack.writing import Archive


def write_run(
    path: Path,
    hosts: Sequence[str] = ("n0", "n1"),
    *,
    notes: Sequence[str] = (),
    wrong_on: str | None = None,
    nodes: Sequence[dict[str, Any]] = (),
    audit: Sequence[dict[str, Any]] = (),
    ended: bool = True,
    finished: float = 1_700_000_009.0,
    message: str = "",
    samples: int = 40,
    **plan: Any,
) -> Path:
    """A run of sendrecv between pairs of hosts, a rank each; `nodes` are further facts of each."""
    facts = {"ranks": len(hosts), "operations": ("sendrecv",), "pattern": "pairs", "rounds": 1}
    asked = Plan(**{**facts, "sizes": (1024,), **plan})
    folder = Folder(path)
    folder.claim(asked, resume=False)
    folder.release()
    folder.append(
        Run(
            format=FORMAT,
            version="0.1.0",
            plan_sha256=asked.sha256(),
            started=1_700_000_000.0,
            ranks=len(hosts),
            hosts=tuple(hosts),
            nodes=tuple((k, 1) for k in range(len(hosts))),
            backend="mpi",
            library="MPICH 5.0.2",
            thread_level="funneled",
            init_seconds=0.25,
            communicator_seconds=1e-4,
            stamp_nanoseconds=23.0,
            clock_uncertainty_ns=0,
            todo=1,
        )
    )
    for text in notes:
        folder.append(Note(text=text))
    folder.append(_result(folder, asked, len(hosts), samples, wrong_on))
    told = [dict(node) for node in nodes] or [{} for _ in hosts]
    folder.write_environment(
        {"nodes": [{"host": h} | own for h, own in zip(hosts, told, strict=True)], "ranks": []}
    )
    if audit:
        taken = [
            {"host": h, "rank": k, "leads": True, "seconds": 0.1, "reads": [a]}
            for k, (h, a) in enumerate(zip(hosts, audit, strict=True))
        ]
        (path / "audit.json").write_bytes(msgspec.json.encode({"taken": taken, "format": 1}))
    if ended:
        folder.append(End(verdict="PASS", exit_code=0, finished=finished, message=message))
    return path


def _result(folder: Folder, plan: Plan, n: int, samples: int, wrong_on: str | None) -> Result:
    stamps = np.zeros((1, samples, 2), np.int64)
    stamps[0, :, 0] = np.arange(samples) * 10_000_000
    blocks = []
    for node in range(n):
        stamps[0, :, 1] = stamps[0, :, 0] + 10_000 + 10 * node + np.arange(samples) % 7
        offset = folder.append_samples(node, stamps)
        blocks.append(Block(node=node, offset=offset, ranks=str(node), columns=("entry", "exit")))
    wrong = ()
    if wrong_on is not None:
        facts = {"rank": 0, "buffer": "receive 0", "index": 17, "elements": 3, "iteration": 4}
        bits = {"expected": "0x3ff0000000000000", "found": "0x3ff0000000000001"}
        wrong = (Wrong(host=wrong_on, **facts, **bits),)
    pairs = [(k, n - 1 - k) for k in range(n // 2)]
    return Result(
        case=cases(plan)[0],
        round=0,
        started=1_700_000_000.0,
        seconds=0.5,
        stopped="precision",
        groups=tuple(
            GroupResult(
                ranks=f"{a},{b}" if b > a + 1 else f"{a}-{b}",
                first_call_ns=50_000,
                warmup_iterations=32,
                steady=True,
                iterations=samples,
                checked_iterations=samples + 33,
                missed_windows=0,
                wrong=wrong if a == 0 else (),
            )
            for a, b in pairs
        ),
        samples=tuple(blocks),
        transfers=1,
        bus_factor=1.0,
    )


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Path]:
    """run_of(hosts, name="run", ...): the folder of a run, see `write_run`."""

    def written(hosts: Sequence[str] = ("n0", "n1"), name: str = "run", **more: Any) -> Path:
        return write_run(tmp_path / name, hosts, **more)

    return written


@pytest.fixture
def packed(run_of: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """packed(**fields of Asked): a pack of a small run, without reports unless asked for."""

    def pack(name: str = "pack.zip", run: Path | None = None, **asked: Any) -> Path:
        output = tmp_path / name
        make([run or run_of()], Asked(output=output, **{"reports": (), **asked}))
        return output

    return pack


Members = dict[str, bytes]


def members(pack: Path) -> Members:
    """Name -> bytes of everything in a zip."""
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(pack: Path, content: Iterable[tuple[str, bytes]]) -> Path:
    """A zip of these members in this order, laid out as packs are."""
    pack.unlink(missing_ok=True)
    with Archive(pack, 0) as archive:
        for name, data in content:
            archive.add(name, data)
    return pack
