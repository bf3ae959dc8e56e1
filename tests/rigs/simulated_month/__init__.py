"""A month of nights on a modelled cluster, each an acceptance in a folder of its own, with known events.

Every night is made as `railgauge accept --backend simulated` makes it, with a seed and so a noise of its own.
A modelled run begins when it is computed: the builder moves the times in its files to the night
that it stands for, and writes the versions of that night into its environment. Everything else is as it was
recorded.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from railgauge_reports.acceptance.asking import asked_from
from railgauge_reports.acceptance.drive import Drive
from railgauge_reports.acceptance.kept import fresh
from railgauge_reports.acceptance.launching import Modelled

CLUSTER = """# 8 nodes of 2 GPUs under two leaves
nodes = 8
[node]
gpus = 2
nics = 2
[fabric]
leaf_nodes = 4
[noise]
iteration = 0.004
measurement = 0.004
transient = 0.0
"""
PROFILE = """
about = "A night of the simulated month"
[[stages]]
name = "local"
kind = "local"
[stages.plan]
sizes = "256M"
iterations = 9
counters = []
[[stages]]
name = "pairs"
kind = "pairs"
[stages.plan]
sizes = "64M"
iterations = 9
counters = []
[[stages]]
name = "sweep"
kind = "sweep"
scales = [8]
[stages.plan]
operations = ["all_reduce", "all_gather"]
sizes = "64M,1G"
iterations = 9
counters = []
"""
#: What the nodes of a night run, until an event says otherwise: facts of `environment.json`.
SOFTWARE = {"kernel": "6.8.0-45", "versions": {"nvidia-nccl-cu13": "2.28.9"}}
#: Options of `railgauge accept` that are left out.
_NOT_ASKED = ("nodes", "faults", "leaves", "launcher", "ranks", "ranks_per_node")
#: Keys of journals and accept.json that hold seconds of the epoch.
_TIMES = frozenset({"started", "finished"})


class Fault(NamedTuple):
    """A fault of `--faults` (TOML fields) from one night to the end of another, both counted from 1."""

    text: str
    first: int
    last: int = 10_000


class Month(NamedTuple):
    """What happens when; nights are counted from 1.

    `software` maps a night to the facts of the nodes that are others from then on. A corrupt night has
    journals that are no text; of a missing one there is no folder. What is `again` was measured once more, on
    the same nodes and on spare ones, which have no faults.
    """

    nights: int = 30
    first: datetime.date = datetime.date(2026, 10, 1)
    hour: int = 3  # UTC
    faults: tuple[Fault, ...] = ()
    software: Mapping[int, Mapping[str, Any]] = {}
    missing: frozenset[int] = frozenset()
    corrupt: frozenset[int] = frozenset()
    again: frozenset[int] = frozenset()
    cluster: str = CLUSTER
    profile: str = PROFILE
    stages: tuple[str, ...] = ("local", "pairs", "sweep")

    def began(self, night: int) -> float:
        """Seconds of the epoch."""
        day = datetime.datetime.combine(self.first, datetime.time(self.hour), datetime.timezone.utc)
        return (day + datetime.timedelta(days=night - 1)).timestamp()

    def name(self, night: int) -> str:
        """The folder of a night."""
        return f"{self.first + datetime.timedelta(days=night - 1):%Y%m%d}"


#: NCCL is another from night 10 on, a NIC of node0005 is throttled from night 18 on, night 21 cannot be
#: read, night 24 is missing, and NVLink is slower from night 26 on, which somebody may acknowledge.
EVENTFUL = Month(
    faults=(
        Fault('kind = "slow_nic"\nnode = "node0005"\nnic = 1\nshare = 0.8', 18),
        Fault('kind = "slow_gpu"\ngpu = 0\nlate_seconds = 0.0\nshare = 0.95\ncount = 7', 26),
    ),
    software={10: {"versions": {"nvidia-nccl-cu13": "2.29.2"}}},
    missing=frozenset({24}),
    corrupt=frozenset({21}),
    again=frozenset({18, 26}),
)


def build(history: Path, month: Month = EVENTFUL) -> dict[int, Path]:
    """Write the nights into `history` (made here); night -> its folder, of those that there are."""
    history.mkdir(parents=True)
    made = {}
    for night in range(1, month.nights + 1):
        if night not in month.missing:
            folder = made[night] = history / month.name(night)
            one_night(folder, month, night, night)
    return made


def one_night(folder: Path, month: Month, night: int, seed: int) -> None:
    """The acceptance of a night, with what was measured again."""
    accept(folder, month, night, seed)
    if night in month.again:
        accept(folder / "confirm-same", month, night, seed + 1000, after=3600.0)
        accept(folder / "confirm-same/again2", month, night, seed + 1500, after=5400.0)
        cluster = f'name = "spare"\n{month.cluster}'
        spare = month._replace(faults=(), cluster=cluster)
        accept(folder / "confirm-other", spare, night, seed + 2000, after=7200.0)
    if night in month.corrupt:
        for journal in sorted(folder.rglob("journal.jsonl")):
            journal.write_bytes(bytes(range(256)) * 8)


def accept(folder: Path, month: Month, night: int, seed: int, after: float = 0.0) -> None:
    """An acceptance in `folder`, `after` seconds after the night began; another seed is another noise."""
    inputs = folder.with_name(f".{folder.name}.inputs")
    inputs.mkdir()
    planted = [fault.text for fault in month.faults if fault.first <= night <= fault.last]
    files = {"cluster.toml": month.cluster}
    if planted:
        files["faults.toml"] = "".join(f"[[faults]]\n{text}\n" for text in planted)
    typed: dict[str, Any] = dict.fromkeys(_NOT_ASKED)
    for name, text in files.items():
        (inputs / name).write_text(text)
        typed[name.partition(".")[0]] = (
            inputs / name if name == "faults.toml" else str(inputs / name)
        )
    typed["backend"] = "simulated"
    typed["overrides"] = tuple(f"{stage}.seed={seed}" for stage in month.stages)
    try:
        kept = fresh("simulated month", month.profile, asked_from(typed), False, time.time())
        folder.mkdir()
        Drive(folder, kept, Modelled(lambda: False), lambda _: None).run()
    finally:
        for file in inputs.iterdir():
            file.unlink()
        inputs.rmdir()
    move(folder, month.began(night) + after)
    rewrite_software(folder, software_of(month, night))


def software_of(month: Month, night: int) -> dict[str, Any]:
    """The facts of the nodes on that night."""
    made: dict[str, Any] = {"versions": {}}
    for first in (0, *sorted(month.software)):
        if first > night:
            break
        facts = month.software[first] if first else SOFTWARE
        made = {**made, **facts, "versions": {**made["versions"], **facts.get("versions", {})}}
    return made


def move(folder: Path, began: float) -> None:
    """Set all times below `folder` so that the earliest of them is `began`."""
    files = [path for name in ("journal.jsonl", "accept.json") for path in folder.rglob(name)]
    texts = {path: path.read_text().splitlines() for path in files}
    whole = {path: path.name == "accept.json" for path in files}
    records = {
        path: [json.loads("\n".join(lines))] if whole[path] else list(map(json.loads, lines))
        for path, lines in texts.items()
    }
    seen = [seconds for made in records.values() for seconds in _seconds(made)]
    shift = began - min(seen)
    for path, made in records.items():
        moved = [_moved(record, shift) for record in made]
        indent = 1 if whole[path] else None
        path.write_text("".join(f"{json.dumps(record, indent=indent)}\n" for record in moved))


def _seconds(value: Any) -> Iterable[float]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key in _TIMES and isinstance(part, float):
                yield part
            else:
                yield from _seconds(part)
    elif isinstance(value, list):
        for part in value:
            yield from _seconds(part)


def _moved(value: Any, shift: float) -> Any:
    if isinstance(value, dict):
        return {
            key: part + shift if key in _TIMES and isinstance(part, float) else _moved(part, shift)
            for key, part in value.items()
        }
    return [_moved(part, shift) for part in value] if isinstance(value, list) else value


def rewrite_software(folder: Path, facts: Mapping[str, Any]) -> None:
    """Give every node of every run below `folder` these facts besides its own."""
    for path in sorted(folder.rglob("environment.json")):
        environment = json.loads(path.read_text())
        for node in environment["nodes"]:
            versions = {**node.get("versions", {}), **facts.get("versions", {})}
            node.update({**facts, "versions": versions})
        path.write_text(json.dumps(environment, indent=1))
