"""What a comparison in alternation keeps beside its run folders: `compare.json`."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from railgauge import __version__
from railgauge.errors import UsageError
from railgauge_reports.commands.report import write
from railgauge_reports.kept import read_record

KEPT = "compare.json"
FORMAT = 1
#: Pairs after which it may stop; the first is the least that five looks can decide anything with.
LOOKS = (8, 12, 18, 28, 42)
DEFAULT_BUDGET_SECONDS = 600.0


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration: variables (`NAME=VALUE`) and options of `railgauge run`."""

    variables: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """As arguments of `railgauge run`."""
        return [*(word for v in self.variables for word in ("--set", v)), *self.options]

    def describe(self) -> str:
        """`NCCL_ALGO=Ring --call graph`; `as it is` of a side that changes nothing."""
        return " ".join((*self.variables, *self.options)) or "as it is"


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: it is compared on --resume. `launcher` empty: railgauge starts `ranks` itself.

    `blocks` is a fixed number of pairs (None: stop at one of LOOKS, when the `precision` is reached or,
    without one, every row is decided). `budget` and `timeout` are seconds, `margin` a share.
    """

    a: Side
    b: Side
    arguments: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    ranks: int | None = None
    seed: int = 1
    margin: float
    blocks: int | None = None
    precision: float | None = None
    budget: float | None = None

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of pairs after which the data are judged."""
        return LOOKS if self.blocks is None else (self.blocks,)


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """One launch: its run folder beside compare.json, and how it ended."""

    folder: str
    side: str
    block: int
    started: float
    seconds: float
    exit_code: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """compare.json. `order` is the side of every launch so far and to come; `stopped` why it ended.

    `version` is railgauge's; what else the sides ran with stands in their `environment.json`.
    """

    format: int
    version: str
    study: Study
    order: str
    launches: tuple[Launched, ...] = ()
    stopped: str = ""
    exit_code: int | None = None

    @property
    def seconds(self) -> float:
        """Spent in launches so far."""
        return sum(launch.seconds for launch in self.launches)

    @property
    def whole_blocks(self) -> int:
        """Pairs whose two launches have ended."""
        done = [launch.block for launch in self.launches]
        return sum(done.count(block) == 2 for block in set(done))

    def write(self, folder: Path) -> None:
        """Replace compare.json as a whole."""
        write(folder / KEPT, msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def order_of(seed: int, blocks: int) -> str:
    """`ABBA` or `BAAB`, drawn anew for every two pairs: the sides of 2 * `blocks` launches.

    A steady drift cancels over each two pairs, and neither side leads by preference.
    """
    drawn = random.Random(seed)
    made = "".join(drawn.choice(("ABBA", "BAAB")) for _ in range((blocks + 1) // 2))
    return made[: 2 * blocks]


def fresh(study: Study) -> Kept:
    """What stands in compare.json before the first launch."""
    order = order_of(study.seed, study.looks[-1])
    return Kept(format=FORMAT, version=__version__, study=study, order=order)


def read_kept(folder: Path) -> Kept:
    """compare.json of a folder; raises NotMeasuredError where there is none, or not one of ours."""
    return read_record(
        folder / KEPT,
        Kept,
        FORMAT,
        "a comparison",
        "a folder that railgauge compare --interleave --output made, or two runs",
        f"railgauge compare {folder} ANOTHER_RUN",
    )


def check_same(folder: Path, kept: Kept, study: Study) -> None:
    """Raise UsageError unless the folder holds the study that is asked for."""
    fields = Study.__struct_fields__
    differ = [name for name in fields if getattr(kept.study, name) != getattr(study, name)]
    if differ:
        name = differ[0]
        raise UsageError(
            f"--output {folder} holds another comparison: {', '.join(differ)} differ"
            f" ({name}: {msgspec.to_builtins(getattr(kept.study, name))!r} there,"
            f" {msgspec.to_builtins(getattr(study, name))!r} asked).\n"
            "  next: --output ANOTHER_FOLDER, or --interleave --resume --output alone"
        )
