"""The decision: every night of many series in turn, each against the nights accepted before it. Pure.

Read this first. Columns are series, rows are nights in the order of time; a night that lies in the future
of another one changes nothing of it, so that any night can be judged as of then.

    slow, and the confirming run on the same nodes is fine     OUTLIER
    slow since the first night of a new environment            CHANGED
    slow, and a confirming run is slow too, or the night before was    REGRESSION
    slow, and nobody looked again                              UNCONFIRMED

None of these values, and no better one until it has lasted, enters a baseline. What moves it is an
acknowledgement, an improvement on `improved` nights in a row, and a new environment after `epoch` nights.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge_reports.history.baselines import Baselines, Counts, Indices
from railgauge_reports.history.rule import (
    RULE,
    Flags,
    Floats,
    Judgement,
    Rule,
    against,
    p_values,
    smallest_effect,
)
from railgauge_reports.history.streaks import Streaks


class State(enum.IntEnum):
    """What became of a series on a night."""

    MISSING = 0  # not measured
    LEARNING = 1  # fewer accepted nights than a baseline needs; this one is accepted
    ACCEPTED = 2
    IMPROVED = 3
    OUTLIER = 4  # slow, and fine when it was looked at again
    UNCONFIRMED = 5
    CHANGED = 6
    REGRESSION = 7
    ACKNOWLEDGED = 8  # slow or better, and somebody accepts that


class Scope(enum.IntEnum):
    """Where a regression is: on the nodes of the night, or on others too; UNKNOWN: nobody looked."""

    UNKNOWN = 0
    NODES = 1
    FLEET = 2


#: States of values that are in no baseline; those of a level that shifts later enter it then.
FLAGGED = (State.IMPROVED, State.OUTLIER, State.UNCONFIRMED, State.CHANGED, State.REGRESSION)
#: Those that are worse than the baseline, and where nobody has said that it was an accident.
WORSE = (State.UNCONFIRMED, State.CHANGED, State.REGRESSION)
#: The same, and those of streaks, as tables: flag of a state.
_IS_WORSE = np.isin(np.arange(len(State)), WORSE)
_IS_ON = np.isin(np.arange(len(State)), (State.IMPROVED, *WORSE))


@dataclasses.dataclass(frozen=True, eq=False)
class Ack:
    """An acknowledgement: from night `first` on the level of `series` (a flag each) is accepted.

    `last` is the last night on which it is; None: for good. Only what is flagged on night `first`, or
    first flagged on a later night where it is not for good, is acknowledged, and that once.
    """

    first: int
    series: Flags
    last: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Walk:
    """Everything that was decided, [nights, series] each.

    `state` and `scope` are of State and Scope (uint8). `median`, `mad` and `nights` are of the baseline
    that a value was held against, `worse` and `mads` what it lost (`rule.Judgement`), `smallest` what
    would have been seen. `p` is one-sided and counts the confirming runs and the nights before of the
    same streak. `since` is the night on which the streak began, -1 of none. `acked` is the number of
    the acknowledgement that accepted the value, -1 of none.
    """

    state: npt.NDArray[np.uint8]
    scope: npt.NDArray[np.uint8]
    median: Floats
    mad: Floats
    nights: npt.NDArray[np.int64]
    worse: Floats
    mads: Floats
    smallest: Floats
    p: Floats
    since: Indices
    acked: Indices
    same_slow: Flags
    other_slow: Flags


def walk(
    values: Floats,
    larger: Flags,
    *,
    epochs: Sequence[int] | npt.NDArray[np.int64] | None = None,
    same: Floats | None = None,
    other: Floats | None = None,
    acks: Sequence[Ack] = (),
    rule: Rule = RULE,
) -> Walk:
    """Judge all nights.

    `values` are [nights, series], NaN: not measured; `larger` [series] says where larger is better.
    `epochs` [nights] numbers the environments (None: one). `same` and `other` [nights, series] are what
    the confirming runs measured (NaN: there was none); what they say of a night that is not slow counts
    for nothing.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    nights, series = values.shape
    nothing = np.full(values.shape, np.nan)
    walker = _Walker(series, np.asarray(larger, np.bool_), rule, acks)
    numbers = np.zeros(nights, np.int64) if epochs is None else np.asarray(epochs, np.int64)
    one = nothing if same is None else np.where(np.isfinite(same), same, np.nan)
    two = nothing if other is None else np.where(np.isfinite(other), other, np.nan)
    made = _empty(nights, series)
    for night in range(nights):
        if night and numbers[night] != numbers[night - 1]:
            walker.open_epoch()
        row = walker.night(night, values[night], one[night], two[night])
        for name, column in row.items():
            getattr(made, name)[night] = column
    unset = np.isnan(made.p)
    made.p[unset] = p_values(made.worse, made.smallest, made.nights, rule)[unset]
    return made


def _empty(nights: int, series: int) -> Walk:
    shape = (nights, series)

    def flags() -> Flags:
        return np.zeros(shape, np.bool_)

    def floats() -> Floats:
        return np.full(shape, np.nan)

    return Walk(
        state=np.zeros(shape, np.uint8),
        scope=np.zeros(shape, np.uint8),
        median=floats(),
        mad=floats(),
        nights=np.zeros(shape, np.int64),
        worse=floats(),
        mads=floats(),
        smallest=floats(),
        p=floats(),
        since=np.full(shape, -1, np.int32),
        acked=np.full(shape, -1, np.int32),
        same_slow=flags(),
        other_slow=flags(),
    )


class _Looks(NamedTuple):
    """A night and its confirming runs against the same baseline."""

    night: Judgement
    same: Judgement
    other: Judgement
    known: Flags
    enough: Flags  # nights in the baseline


class _Walker:
    """Where a walk stands."""

    def __init__(self, series: int, larger: Flags, rule: Rule, acks: Sequence[Ack]) -> None:
        self._larger, self._rule, self._acks = larger, rule, acks
        self._baselines = Baselines(series, rule)
        self._streaks = Streaks(series, max(rule.epoch, rule.improved))
        self._fresh = np.zeros(series, np.bool_)  # no accepted night in this environment yet
        self._used = [np.zeros(series, np.bool_) for _ in acks]

    def open_epoch(self) -> None:
        """Another environment begins. Who was slow already is not slow because of it."""
        self._fresh |= ~self._streaks.slow
        _, _, count = self._baselines.told()
        self._baselines.forget((count > 0) & (count < self._rule.least))

    def night(
        self, night: int, values: Floats, same: Floats, other: Floats
    ) -> dict[str, npt.NDArray[np.generic]]:
        """Decide one night, and carry on with what it leaves behind."""
        back, since = self._baselines.expire(night)
        self._streaks.resume(back, since)
        median, mad, count = self._baselines.told()
        enough = count >= self._rule.least
        held = np.where(enough, median, np.nan)
        smallest = smallest_effect(held, mad, self._rule)
        made = [against(v, held, mad, self._larger, smallest) for v in (values, same, other)]
        looks = _Looks(made[0], made[1], made[2], ~np.isnan(values), enough)
        state = self._states(looks)
        self._streaks.add(_IS_WORSE[state], values, True, night)
        self._streaks.add(state == State.IMPROVED, values, False, night)
        p = self._evidence(state, looks, smallest, count)
        scope = self._scopes(state, looks)
        since = np.where(_IS_ON[state], self._streaks.since, -1)
        state, acked = self._acknowledged(night, state, median)
        self._carry_on(state, values, median)
        return {
            "state": state, "scope": scope, "median": median, "mad": mad, "nights": count,
            "worse": looks.night.worse, "mads": looks.night.mads, "smallest": smallest, "p": p,
            "since": since, "acked": acked,
            "same_slow": looks.same.slow, "other_slow": looks.other.slow,
        }  # fmt: skip

    def _states(self, looks: _Looks) -> npt.NDArray[np.uint8]:
        """What every series is, before anybody's acknowledgement. The later line wins."""
        slow = looks.night.slow
        refuted = ~np.isnan(looks.same.worse) & ~looks.same.slow
        again = looks.same.slow | looks.other.slow | self._streaks.slow
        state = np.full(slow.shape, State.MISSING, np.uint8)
        state[looks.known & ~looks.enough] = State.LEARNING
        state[looks.known & looks.enough] = State.ACCEPTED
        state[looks.night.better] = State.IMPROVED
        state[slow] = State.UNCONFIRMED
        state[slow & again] = State.REGRESSION
        state[slow & self._fresh] = State.CHANGED
        state[slow & refuted] = State.OUTLIER
        return state

    def _evidence(
        self, state: npt.NDArray[np.uint8], looks: _Looks, smallest: Floats, count: Counts
    ) -> Floats:
        """p of those that are slow, of all looks at each together; NaN of the others.

        With fresh noise the largest of k p values is below x with probability x^k.
        """
        made = np.full(state.shape, np.nan)
        rows = np.flatnonzero(looks.night.slow)
        if not rows.size:
            return made
        night, same, other = (
            p_values(look.worse[rows], smallest[rows], count[rows], self._rule)
            for look in (looks.night, looks.same, looks.other)
        )
        slow = _IS_WORSE[state[rows]]
        self._streaks.look(rows[slow], night[slow])
        for look, p in ((looks.same, same), (looks.other, other)):
            again = slow & look.slow[rows]
            self._streaks.look(rows[again], p[again])
        made[rows] = np.where(slow, self._streaks.p[rows], np.maximum(night, same) ** 2)
        return made

    def _scopes(self, state: npt.NDArray[np.uint8], looks: _Looks) -> npt.NDArray[np.uint8]:
        """Where regressions are; what an earlier night of the streak showed holds on."""
        kept, slow = self._streaks.scope, _IS_WORSE[state]
        kept[slow & ~np.isnan(looks.other.worse) & ~looks.other.slow] = Scope.NODES
        kept[slow & looks.other.slow] = Scope.FLEET
        return np.where(state == State.REGRESSION, kept, Scope.UNKNOWN).astype(np.uint8)

    def _acknowledged(
        self, night: int, state: npt.NDArray[np.uint8], median: Floats
    ) -> tuple[npt.NDArray[np.uint8], Indices]:
        """The states, and which acknowledgement accepted a level. Each does so once a series."""
        state, acked = state.copy(), np.full(state.shape, -1, np.int32)
        for number, ack in enumerate(self._acks):
            until = ack.first if ack.last is None else ack.last
            if not ack.first <= night <= until:
                continue
            taken = ack.series & ~self._used[number] & _IS_ON[state]
            self._used[number] |= taken
            self._baselines.keep(taken, ack.last, self._streaks.since)
            self._shift(taken, median)
            state[taken], acked[taken] = State.ACKNOWLEDGED, number
        return state, acked

    def _carry_on(self, state: npt.NDArray[np.uint8], values: Floats, median: Floats) -> None:
        """What enters the baselines, and whose streak is over."""
        lasting = (state == State.IMPROVED) & (self._streaks.count >= self._rule.improved)
        own = (state == State.CHANGED) & (self._streaks.count >= self._rule.epoch)
        self._shift(lasting | own, median)
        taken = (state == State.ACCEPTED) | (state == State.LEARNING)
        self._baselines.accept(taken, values)
        self._streaks.end(taken | (state == State.OUTLIER))
        self._fresh &= ~(taken | own | (state == State.IMPROVED) | (state == State.ACKNOWLEDGED))

    def _shift(self, which: Flags, median: Floats) -> None:
        """The nights of these streaks are the level from now on."""
        self._baselines.shift(which, median, self._streaks.values)
        self._streaks.end(which)
