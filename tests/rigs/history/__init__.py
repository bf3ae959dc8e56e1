"""Histories of as many nights as wanted, by the simulated backend: every night at the time that it is said to be.

    nights = Nights(tmp_path / "history")
    nights.add(day=1)                                  # a good night
    nights.add(day=2, faults=[SLOW_NIC])               # one with a slow NIC
    nights.add(day=2, into="confirm-same", seed=99)    # measured again
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from railgauge.cluster import read_cluster
from railgauge.journal import ENVIRONMENT, JOURNAL, Folder, read_journal
from railgauge.plan import Plan
from railgauge.plan_options import completed
from railgauge.records import End, Record, Result, Run
from railgauge.simulation.faults import Fault
from railgauge.simulation.run import Simulation

DAY = 86400.0
#: 2026-01-01, 02:00 UTC.
FIRST = 1_767_232_800.0


class Nights:
    """A history that is being made; `plan` are fields of every night's plan."""

    def __init__(self, folder: Path, nodes: int = 4, **plan: Any) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        cluster = msgspec.structs.replace(read_cluster("h100"), nodes=nodes)
        fields = {
            "operations": ("all_reduce", "alltoall"),
            "sizes": (8, 64 << 20),
            "backend": "simulated",
            "cluster": cluster,
            "ranks": cluster.ranks,
            "counters": (),
            **plan,
        }
        self.fields: dict[str, Any] = fields

    def add(
        self,
        day: float,
        *,
        name: str | None = None,
        into: str = "",
        seed: int | None = None,
        faults: Sequence[Fault] = (),
        hosts: Callable[[str], str] | None = None,
        environment: Mapping[str, Any] | None = None,
        **plan: Any,
    ) -> Path:
        """A night that began on `day` (0 is FIRST), or a run inside it; the run's folder.

        `hosts` renames hosts, `environment` is merged into the facts of every node.
        """
        folder = self.folder / (name or f"night{day:06.2f}") / into
        seed = int(day * 100) + 7 if seed is None else seed
        fields = {**self.fields, "seed": seed, "faults": tuple(faults), **plan}
        made, _ = completed(fields)
        simulate(made, folder)
        at = FIRST + day * DAY + (3600.0 if into else 0.0)
        rewrite(folder, at, hosts)
        if environment is not None:
            facts = msgspec.json.decode((folder / ENVIRONMENT).read_bytes())
            for node in facts["nodes"]:
                node.update(environment)
            (folder / ENVIRONMENT).write_bytes(msgspec.json.encode(facts))
        return folder

    def copy(self, other: Path) -> Nights:
        """The same history in another folder."""
        shutil.copytree(self.folder, other, dirs_exist_ok=True)
        made = Nights(other)
        made.fields = self.fields
        return made


def simulate(plan: Plan, folder: Path) -> None:
    """Run the plan into the folder, in this process."""
    target = Folder(folder)
    try:
        Simulation(plan, target, lambda: False, lambda *_: None).run(False)
    finally:
        target.release()


def rewrite(folder: Path, at: float, hosts: Callable[[str], str] | None = None) -> None:
    """The run as if it had begun then, on hosts of other names."""
    records = read_journal(folder)
    first = records[0]
    assert isinstance(first, Run)
    made = [_moved(record, at - first.started, hosts) for record in records]
    lines = [msgspec.json.encode(record) + b"\n" for record in made]
    (folder / JOURNAL).write_bytes(b"".join(lines))


def _moved(record: Record, by: float, hosts: Callable[[str], str] | None) -> Record:
    replace = msgspec.structs.replace
    if isinstance(record, Run):
        named = record.hosts if hosts is None else tuple(map(hosts, record.hosts))
        return replace(record, started=record.started + by, hosts=named)
    if isinstance(record, Result):
        return replace(record, started=record.started + by)
    if isinstance(record, End):
        return replace(record, finished=record.finished + by)
    return record
