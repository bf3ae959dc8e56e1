"""Which factors explain low samples: Bayes over nodes, rails of nodes, leaves, pairs of leaves, rounds.

The model is a maximum of losses: a sample is low where any of its factors is bad, or by chance (a
transient, noise) at the rate `rate`. A factor that is bad makes an unknown share of its samples low, any
share being as likely before looking. With l of n samples of a factor low, and none of them explained by
another factor, its odds of being bad are

    prior / (1 - prior) * B(l + 1, n - l + 1) / (rate^l (1 - rate)^(n - l))

(B is the beta function: the likelihood integrated over that share), and its confidence is
odds / (1 + odds). A normal sample is evidence against all of its factors, whoever its other end is.

Factors are taken up greedily: those that beat every other factor of their samples, together; then what
they explain is set aside. Factors most of whose samples are low come before those that are low at times:
else a leaf with two bad nodes would pass for a leaf that is bad at times. At last each is looked at
again beside all the others: what only it explains is its own evidence. Factors that explain the same
samples and nothing of their own cannot be told apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, expit

from railgauge_reports.localise.pairs import Floats, Ints

#: Chance that a sample is low although nothing is bad, before looking: one in a hundred.
TRANSIENT_RATE, TRANSIENT_WEIGHT = 0.01, 100
#: A bad factor makes at least this share of its samples low (one of 8 uplinks that a hash spreads over).
LEAST_SHARE = 0.1
MOSTLY = 0.5  # what is mostly low comes before what is so at times
#: Other factors whose odds on the same samples are within 20 to 1 fit as well: 95 % would not tell.
AS_WELL = float(np.log(20))
MOST_TURNS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """Factors of one kind, numbered 0 to size - 1.

    `normal[f]` counts the normal samples of factor f; `ends` are for each low sample the factors of this
    kind, int [low] each, -1 for none. `prior` is the chance of being bad, `least` how many low samples
    it takes, `share` the least share of them.
    """

    name: str
    normal: Ints
    ends: tuple[Ints, ...]
    prior: float
    least: int = 2
    share: float = LEAST_SHARE

    @property
    def size(self) -> int:
        return len(self.normal)

    def counts(self, rows: np.ndarray) -> Ints:
        """Low samples of each factor among `rows` (bool [low])."""
        found = np.zeros(self.size + 1, np.int64)
        for end in self.ends:
            found += np.bincount(end[rows] + 1, minlength=self.size + 1)
        return found[1:]


@dataclasses.dataclass(frozen=True)
class Factor:
    """A factor that was taken up: l of n samples low that no other one explains.

    `level` is the median of its low samples (log of the share that is left), `samples` where they are
    (numbers of low samples).
    """

    kind: str
    number: int
    low: int
    normal: int
    level: float
    log_odds: float
    samples: Ints
    alternatives: tuple[tuple[str, int], ...] = ()

    @property
    def confidence(self) -> float:
        return float(expit(self.log_odds))


@dataclasses.dataclass(frozen=True)
class Explained:
    """Factors with evidence of their own; classes of which at least one member must be bad; the rest.

    `uncleared` have no sample but what others explain. `covered` is bool [low]: explained by any of
    `factors` or `classes`.
    """

    factors: tuple[Factor, ...]
    classes: tuple[tuple[Factor, ...], ...]
    uncleared: tuple[Factor, ...]
    covered: np.ndarray


def log_odds(low: Ints, normal: Ints, rate: float, prior: float) -> Floats:
    """Log odds of being bad (see above), any shape."""
    low, normal = np.asarray(low, np.float64), np.asarray(normal, np.float64)
    bad = betaln(low + 1, normal + 1)
    chance = low * np.log(rate) + normal * np.log1p(-rate)
    return np.asarray(bad - chance + np.log(prior / (1 - prior)))


def class_confidence(members: Sequence[Factor]) -> float:
    """Chance that one of them is bad: the sum of their odds, each alone, against chance."""
    odds = float(np.logaddexp.reduce([member.log_odds for member in members]))
    return float(expit(odds))


def chance_rate(low: int, samples: int) -> float:
    """The rate of low samples that nothing explains, one in a hundred before looking."""
    return (low + TRANSIENT_RATE * TRANSIENT_WEIGHT) / (samples + TRANSIENT_WEIGHT)


def explain(values: Floats, kinds: tuple[Kind, ...], rate: float, slack: float) -> Explained:
    """The factors behind the low samples `values` [low], centred logs.

    A factor explains a sample that is at most `slack`, or half of the factor's level, below its level.
    """
    search = _Search(values, kinds, rate, slack)
    for _ in range(MOST_TURNS):
        if not search.take():
            break
    return search.explained()


class _Taken(NamedTuple):
    """A factor that was taken up: its low samples, and which of them it explains (bool, alike)."""

    place: int
    number: int
    samples: Ints
    reach: np.ndarray


class _Search:
    """The state of `explain`: which factors are taken, at which level, and what they cover."""

    def __init__(self, values: Floats, kinds: tuple[Kind, ...], rate: float, slack: float) -> None:
        self.values, self.kinds, self.rate, self.slack = values, kinds, rate, slack
        self.levels = [np.full(kind.size, np.nan) for kind in kinds]
        self.covers = np.zeros(len(values), np.int32)  # by how many factors

    def take(self) -> bool:
        """Take up the factors that beat all others of their samples; False where there is none."""
        rows = self.covers == 0
        if not rows.any():
            return False
        return self._take(rows, MOSTLY) or self._take(rows, 0.0)

    def _take(self, rows: np.ndarray, share: float) -> bool:
        odds = [
            self._candidates(kind, level, rows, share)
            for kind, level in zip(self.kinds, self.levels, strict=True)
        ]
        best = np.full(len(self.values), -np.inf)
        for kind, own in zip(self.kinds, odds, strict=True):
            for end in kind.ends:
                best = np.maximum(best, np.where(end >= 0, own[end], -np.inf))
        found = False
        for place, (kind, own) in enumerate(zip(self.kinds, odds, strict=True)):
            rivals = np.full(kind.size, -np.inf)
            for end in kind.ends:
                here = rows & (end >= 0)
                np.maximum.at(rivals, end[here], best[here])
            chosen = (own > -np.inf) & (rivals <= own + 1e-9)
            if chosen.any():
                found = True
                self._set_levels(place, chosen, rows)
        for kind, level in zip(self.kinds, self.levels, strict=True):
            for end in kind.ends:
                self.covers += rows & self._reaches(level, end)
        return found

    def _candidates(self, kind: Kind, level: Floats, rows: np.ndarray, share: float) -> Floats:
        low = kind.counts(rows)
        odds = log_odds(low, kind.normal, self.rate, kind.prior)
        least = max(share, kind.share) * (low + kind.normal)
        weak = (low < kind.least) | (low < least) | (odds <= 0)
        odds[weak | np.isfinite(level)] = -np.inf
        return odds

    def _set_levels(self, place: int, chosen: np.ndarray, rows: np.ndarray) -> None:
        """The median of the open samples of each chosen factor."""
        kind = self.kinds[place]
        numbers, found = [], []
        for end in kind.ends:
            here = np.flatnonzero(rows & (end >= 0))
            here = here[chosen[end[here]]]
            numbers.append(end[here])
            found.append(self.values[here])
        number, value = np.concatenate(numbers), np.concatenate(found)
        order = np.lexsort((value, number))
        number, value = number[order], value[order]
        first = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
        count = np.diff(np.append(first, len(number)))
        middle = (value[first + (count - 1) // 2] + value[first + count // 2]) / 2
        self.levels[place][number[first]] = middle

    def _reaches(self, level: Floats, end: Ints) -> np.ndarray:
        """Samples that a taken factor at this end explains."""
        own = np.where(end >= 0, level[end], np.nan)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.values >= own - np.maximum(self.slack, -own / 2))

    # what each has of its own ------------------------------------------------------------------------

    def explained(self) -> Explained:
        self.covers[:] = 0
        taken = []
        for place, kind in enumerate(self.kinds):
            for end in kind.ends:
                self.covers += self._reaches(self.levels[place], end)
            for number in np.flatnonzero(np.isfinite(self.levels[place])):
                samples = self._samples(place, int(number))
                reach = self._reaches_at(place, int(number), samples)
                taken.append(_Taken(place, int(number), samples, reach))
        doubtful, uncleared = self._weakest_out([one for one in taken if not self._is_sole(one)])
        settled = {(one.place, one.number) for one in (*doubtful, *uncleared)}
        sole = [one for one in taken if (one.place, one.number) not in settled]
        known = np.zeros(len(self.values), bool)
        for one in sole:
            known[one.samples[one.reach]] = True
        factors = tuple(self._with_alternatives(self._own(one)) for one in sole)
        classes, left, covered = self._classes(doubtful, known)
        dropped = tuple(self._own(one) for one in uncleared)
        return Explained(factors, classes, dropped + left, covered)

    def _own(self, one: _Taken) -> Factor:
        """A taken factor with the samples that no other one explains."""
        others = self.covers[one.samples] - one.reach
        return self._factor(one.place, one.number, one.samples[others == 0])

    def _is_sole(self, one: _Taken) -> bool:
        made = self._own(one)
        return made.log_odds > 0 and made.low >= self.kinds[one.place].least

    def _weakest_out(self, doubtful: list[_Taken]) -> tuple[list[_Taken], list[_Taken]]:
        """(doubtful, dropped): drop the one that explains least of its own, and look again at the rest.

        Of several that explain as little none can be preferred: they stay where they share samples.
        """
        dropped: list[_Taken] = []
        tied: list[_Taken] = []
        left = list(doubtful)
        while left:
            odds = {id(one): self._own(one).log_odds for one in left}
            weakest = min(left, key=lambda one: odds[id(one)])
            like = [o for o in left if odds[id(o)] <= odds[id(weakest)] + 1e-9 and o is not weakest]
            like += tied
            left.remove(weakest)
            if any(np.intersect1d(weakest.samples, other.samples).size for other in like):
                tied.append(weakest)
                continue
            dropped.append(weakest)
            self.covers[weakest.samples[weakest.reach]] -= 1
            left = [one for one in left if not self._is_sole(one)]
        return [one for one in tied if not self._is_sole(one)], dropped

    def _samples(self, place: int, number: int) -> Ints:
        """The low samples of a factor, those that are lower than it explains among them."""
        ends = self.kinds[place].ends
        return np.flatnonzero(np.logical_or.reduce([end == number for end in ends]))

    def _reaches_at(self, place: int, number: int, rows: Ints) -> np.ndarray:
        """Which of its samples a taken factor explains."""
        level = self.levels[place][number]
        return np.asarray(self.values[rows] >= level - max(self.slack, -level / 2))

    def _factor(self, place: int, number: int, own: Ints) -> Factor:
        kind = self.kinds[place]
        normal = int(kind.normal[number])
        odds = float(log_odds(np.array(len(own)), np.array(normal), self.rate, kind.prior))
        level = (
            float(np.median(self.values[own])) if len(own) else float(self.levels[place][number])
        )
        return Factor(kind.name, number, len(own), normal, level, odds, own)

    def _with_alternatives(self, factor: Factor) -> Factor:
        """What else would explain every sample that is the factor's own, about as well."""
        found: list[tuple[str, int]] = []
        rows = factor.samples
        for kind in self.kinds:
            shared = {int(end[rows[0]]) for end in kind.ends} - {-1} if len(rows) else set()
            for number in shared:
                if (kind.name, number) == (factor.kind, factor.number):
                    continue
                at = [end == number for end in kind.ends]
                if not np.logical_or.reduce([here[rows] for here in at]).all():
                    continue
                low = int(sum(np.count_nonzero((self.covers <= 1) & here) for here in at))
                normal = np.array(int(kind.normal[number]))
                odds = float(log_odds(np.array(low), normal, self.rate, kind.prior))
                if odds >= factor.log_odds - AS_WELL:
                    found.append((kind.name, number))
        return dataclasses.replace(factor, alternatives=tuple(found))

    def _classes(
        self, doubtful: list[_Taken], known: np.ndarray
    ) -> tuple[tuple[tuple[Factor, ...], ...], tuple[Factor, ...], np.ndarray]:
        """Doubtful factors that share samples which nobody else explains, put together."""
        uncleared: list[Factor] = []
        groups: list[tuple[list[Factor], set[int]]] = []
        for one in doubtful:
            at_stake = one.samples[~known[one.samples]]
            members = [self._factor(one.place, one.number, at_stake)]
            rows = {int(row) for row in at_stake}
            rest = []
            for others, theirs in groups:
                if theirs & rows:
                    members, rows = others + members, theirs | rows
                else:
                    rest.append((others, theirs))
            groups = [*rest, (members, rows)]
        covered = known.copy()
        classes = []
        for members, rows in groups:
            if not rows or class_confidence(members) < 0.5:  # chance, beside what others explain
                uncleared += members
                continue
            classes.append(tuple(members))
            covered[list(rows)] = True
        return tuple(classes), tuple(uncleared), covered
