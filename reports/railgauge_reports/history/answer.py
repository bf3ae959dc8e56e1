"""The gate's answer: what every format shows. Frozen, and JSON as it stands."""

from __future__ import annotations

from typing import Literal

import msgspec

from railgauge_reports.acceptance.algebra import Verdict
from railgauge_reports.stored import SIMULATED

FORMAT = 1

NightState = Literal["accepted", "learning", "flagged", "changed", "missing", "corrupt", "left out"]
SeriesState = Literal[
    "missing",
    "learning",
    "accepted",
    "improved",
    "outlier",
    "unconfirmed",
    "changed",
    "regression",
    "acknowledged",
]


class SeriesKey(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What has to be alike on two nights for their values to be one series; "" is what nobody said.

    `cluster` is the partition, or what the history's settings call it; `stage` that of an acceptance.
    `nodes` and `ranks` are of a group: pairs have two nodes on a cluster of any size. `variant` are
    backend, dtype, op, placement, call, timing, root, the algorithm that was asked for and the round's
    setting, in words.
    """

    cluster: str
    stage: str
    pattern: str
    operation: str
    nbytes: int
    variant: str
    nodes: int
    ranks: int
    metric: str


class SeriesResult(msgspec.Struct, frozen=True, kw_only=True):
    """One series on the night that is judged.

    `name` is how acknowledgements call it, `words` how people do. `value` is in `unit`, `repeats` the
    values that it is the median of. `baseline`, `mad` (raw) and `nights` are of the accepted nights;
    None below 7 of them. `effect` is value / baseline - 1, `worse` the share by which it is worse
    (negative: better), `mads` the same in MADs (None: the MAD is 0), `p` one-sided. `counts`: no chance
    among all series of the night (Benjamini-Hochberg). `smallest_effect` is the smallest share that
    would have been flagged. `since` is the index in `Gate.nights` of the first night of its streak,
    `scope` where it is slow: "nodes", "fleet" or "" (nobody looked on other nodes). `confirm_same` and
    `confirm_other` are the values of the confirming runs, of `same_looks` on the same nodes the best.
    `hosts` took part; of a worst place `place` is which one it was.

    `values` and `states` have one entry a night of `Gate.nights`, None and "missing" without one; so have
    `medians` and `smallest`, the baseline that the night was held against and the smallest share that
    would have been flagged (None: there was none yet).
    """

    key: SeriesKey
    name: str
    words: str
    unit: str
    larger_is_better: bool
    state: SeriesState
    value: float | None
    repeats: tuple[float, ...]
    baseline: float | None
    mad: float | None
    nights: int
    effect: float | None
    worse: float | None
    mads: float | None
    p: float | None
    counts: bool
    smallest_effect: float | None
    since: int | None
    scope: Literal["", "nodes", "fleet"]
    confirm_same: float | None
    confirm_other: float | None
    sentence: str
    same_looks: int = 0
    hosts: tuple[str, ...] = ()
    place: str = ""
    acknowledged: str = ""
    values: tuple[float | None, ...] = ()
    states: tuple[SeriesState, ...] = ()
    medians: tuple[float | None, ...] = ()
    smallest: tuple[float | None, ...] = ()


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A fact of the environment that changed; "" is not set, or not known."""

    what: str
    old: str
    new: str

    def sentence(self) -> str:
        """`kernel: 6.1.0 -> 6.12.0`."""
        return f"{self.what}: {self.old or 'not set'} -> {self.new or 'not set'}"


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """Nights of one environment. `night` is the index of its first night in `Gate.nights`.

    `is_new`: fewer than 7 nights, so that what is slow since it began is CHANGED. `slow` are names of
    series that are slower since it began, `acknowledged` by whom that was accepted ("": by nobody).
    """

    number: int
    since: float
    night: int
    nights: int
    changes: tuple[Changed, ...]
    is_new: bool
    slow: tuple[str, ...] = ()
    acknowledged: str = ""


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """A child folder of the history, or a gap where the schedule has a night ("missing", no folder).

    `name` is its date, in the history's time zone; `started` seconds since 1970, of a gap when it
    should have begun. `why` are sentences about its state. `flagged` counts its series by state.
    `exit_code` is the worst of its runs. `epoch` is a number of `Gate.epochs`, None of what has none.
    """

    name: str
    folder: str
    started: float | None
    state: NightState
    why: tuple[str, ...] = ()
    epoch: int | None = None
    hosts: tuple[str, ...] = ()
    runs: int = 0
    series: int = 0
    flagged: dict[str, int] = {}
    exit_code: int | None = None
    confirmed_same: bool = False
    confirmed_other: bool = False


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The series of one operation together; `states` counts them, `counts` those that are no chance.

    `median_worse` is the median share by which those that are flagged are worse.
    """

    operation: str
    series: int
    states: dict[str, int]
    counts: int
    median_worse: float | None
    sentence: str


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement as kept, and what it does tonight: holds, expired, or covers nothing."""

    series: str
    author: str
    reason: str
    night: str
    expires: str
    state: Literal["holds", "expired", "covers nothing"]
    covers: int
    sentence: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Something else that was found; what `alarms` keeps the verdict from being PASS."""

    kind: str  # missing, corrupt, incomplete, clock, nodes, series, acknowledgement, settings ...
    sentence: str
    alarms: bool = False
    night: int | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the gate says of one night.

    `night` is the index of the night that is judged in `nights`, which are in the order of time with
    the gaps between them. `series` are those of that night, the worst first. `reasons` say why the
    verdict is what it is, the first one for a subject line. `judged_at` is the present in seconds since
    1970, `price` that of a GPU-hour, as the history's settings say.
    """

    format: int
    version: str
    folder: str
    simulated: bool
    verdict: Verdict
    reasons: tuple[str, ...]
    judged_at: float
    price: float | None
    night: int
    nights: tuple[Night, ...]
    epochs: tuple[Epoch, ...]
    operations: tuple[OperationResult, ...]
    series: tuple[SeriesResult, ...]
    acks: tuple[Acknowledged, ...]
    told: tuple[Told, ...]
    coverage: str
    next_commands: tuple[str, ...]

    @property
    def tonight(self) -> Night:
        return self.nights[self.night]

    @property
    def warning(self) -> str:
        """What has to be said ahead of everything else; "" of a cluster that was measured."""
        return SIMULATED * self.simulated

    def of_state(self, *states: SeriesState) -> tuple[SeriesResult, ...]:
        """The series in one of these states, the worst first."""
        return tuple(series for series in self.series if series.state in states)
