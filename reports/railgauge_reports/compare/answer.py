"""From launches of A and B to rows with effects and words: a pure function of run folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from railgauge.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_WRONG_DATA
from railgauge.records import End
from railgauge_reports.compare.differences import Difference, differences, machines
from railgauge_reports.compare.effects import (
    ALPHA,
    CANNOT_TELL,
    SLOWER,
    Effect,
    Sample,
    more_blocks,
    paired,
    unpaired,
    words,
)
from railgauge_reports.compare.events import EventRow, counts_of, event_rows
from railgauge_reports.compare.measured import Key, Launch, Matched, Time, alone, match

WRONG_DATA = "wrong data"
LEAST_PAIRS = 6  # fewer have no 95 % interval: 1 - 2 / 2^5 < 0.95

Pairs = Sequence[tuple[Launch, Launch]]


class Row(Key, frozen=True, kw_only=True):
    """One case, round and group on both sides. None is a value that cannot be had, never 0.

    `ratio` is time of B / time of A (above 1: B is slower); `a_seconds` and `b_seconds` are medians over
    launches, of which `ratio` is not the quotient. Fields of the case that are compared are None.
    """

    hosts_a: str
    hosts_b: str
    a_seconds: float | None = None
    b_seconds: float | None = None
    a_busbw_GBps: float | None = None  # noqa: N815 (a unit)
    b_busbw_GBps: float | None = None  # noqa: N815
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    blocks: int = 0
    more_blocks: int | None = None
    word: str = CANNOT_TELL
    reason: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All that a comparison says; `--json` prints it. `method` says what the intervals are made of."""

    a: str
    b: str
    method: str
    margin: float
    launches_a: int
    launches_b: int
    compared: dict[str, tuple[str, str]]
    rows: list[Row]
    unmatched: list[str]
    differences: list[Difference]
    events: list[EventRow]
    notes: list[str]

    @property
    def told(self) -> bool:
        """Does every row have an answer?"""
        return bool(self.rows) and all(row.word != CANNOT_TELL for row in self.rows)

    def within(self, precision: float) -> bool:
        """Is every interval this narrow (relative half-width)?"""
        return bool(self.rows) and all(
            row.ratio_low is not None
            and row.ratio_high is not None
            and math.log(row.ratio_high / row.ratio_low) / 2 <= math.log1p(precision)
            for row in self.rows
        )


def exit_code(answer: Answer, fail_if_slower: float | None = None) -> int:
    """4 wrong data; 6 where no row has an answer; else 0, whatever it is: a comparison is no verdict.

    With `fail_if_slower` (a share) it is one, and fails closed: 1 where B is shown to be slower and by
    that much, 6 where that cannot be ruled out of every row or a case has no partner.
    """
    if any(row.word == WRONG_DATA for row in answer.rows):
        return EXIT_WRONG_DATA
    if fail_if_slower is None:
        told = any(row.word != CANNOT_TELL for row in answer.rows)
        return EXIT_PASS if told else EXIT_INCONCLUSIVE
    most = 1 + fail_if_slower
    if any(row.word == SLOWER and (row.ratio or 0) >= most for row in answer.rows):
        return EXIT_FAIL
    ruled_out = all(row.ratio_high is not None and row.ratio_high <= most for row in answer.rows)
    whole = bool(answer.rows) and not answer.unmatched
    return EXIT_PASS if ruled_out and whole else EXIT_INCONCLUSIVE


# two folders ----------------------------------------------------------------------------------------


def judge_folders(
    a: Sequence[Launch], b: Sequence[Launch], names: tuple[str, str], margin: float, spread: float
) -> Answer:
    """Launches that are no pairs: runs of yesterday and today, or of two clusters."""
    matched = match(a, b)
    first, second = ([matched.times(launch) for launch in side] for side in (a, b))

    def effect(key: Key) -> tuple[Effect | None, int | None, str]:
        samples = _sample(first, key), _sample(second, key)
        found = unpaired(*samples, margin, spread)
        short = "" if found or not all(len(s.logs) for s in samples) else "too few samples"
        return found, None, short

    rows = _rows(matched, first, second, effect)
    single = min(len(a), len(b)) == 1
    method = "Welch's t on the log medians of launches"
    notes = [text for text in (machines(_stored(a), _stored(b)),) if text]
    if single:
        method = (
            f"medians of single launches, taken to differ by {spread:.2g} from launch to launch"
        )
        notes.append(
            f"a side has one launch: how much launches differ is assumed ({spread:.0%}, --launch-spread)"
            " and not seen; next: railgauge compare --interleave, or several runs a side"
        )
    return _answer(a, b, names, matched, rows, method, margin, notes, are_pairs=False)


def _sample(side: Sequence[dict[Key, Time]], key: Key) -> Sample:
    times = [found for launch in side if (found := launch.get(key)) and _usable(found)]
    logs = np.array([math.log(time.median) for time in times if time.median])
    return Sample(logs, times[0].within if len(times) == 1 else math.nan)


# pairs ----------------------------------------------------------------------------------------------


def judge_pairs(pairs: Pairs, names: tuple[str, str], margin: float, looks: int) -> Answer:
    """Launches in alternation: pair by pair, with a share of the error for each of `looks` looks."""
    a, b = [one for one, _ in pairs], [two for _, two in pairs]
    matched = match(a, b)
    first, second = ([matched.times(launch) for launch in side] for side in (a, b))

    def effect(key: Key) -> tuple[Effect | None, int | None, str]:
        both = [(one.get(key), two.get(key)) for one, two in zip(first, second, strict=True)]
        usable = [(x.median, y.median) for x, y in both if x and y and _usable(x) and _usable(y)]
        ratios = np.array([math.log(y / x) for x, y in usable if x and y])
        found = paired(ratios, margin, looks)
        more = more_blocks(ratios, margin, looks, len(matched.keys))
        short = (
            f"{_pairs(len(ratios))}: at least {LEAST_PAIRS}" if len(ratios) < LEAST_PAIRS else ""
        )
        return found, more, short

    rows = _rows(matched, first, second, effect)
    share = f" (judged up to {looks} times, each with 1/{looks} of the error)" if looks > 1 else ""
    method = (
        f"signed ranks of the log ratios of {_pairs(len(pairs))} of launches in alternation{share}"
    )
    found = machines(_stored(a), _stored(b))
    return _answer(
        a, b, names, matched, rows, method, margin, [found] if found else [], are_pairs=True
    )


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count != 1)}"


# rows -----------------------------------------------------------------------------------------------


def _rows(
    matched: Matched,
    a: Sequence[dict[Key, Time]],
    b: Sequence[dict[Key, Time]],
    effect: Callable[[Key], tuple[Effect | None, int | None, str]],
) -> list[Row]:
    found = [effect(key) for key in matched.keys]
    made = []
    for key, (seen, more, short), word in zip(
        matched.keys, found, words([seen for seen, _, _ in found]), strict=True
    ):
        one, two = ([t for launch in side if (t := launch.get(key))] for side in (a, b))
        row: dict[str, Any] = msgspec.structs.asdict(key) | _side("a", one) | _side("b", two)
        if any(time.wrong for time in (*one, *two)):
            sides = " and ".join(
                name for name, side in (("A", one), ("B", two)) if any(t.wrong for t in side)
            )
            made.append(Row(**row, word=WRONG_DATA, reason=f"on {sides}"))
            continue
        reasons = dict.fromkeys(time.reason for time in (*one, *two) if time.reason)
        reason = "; ".join(reasons) or (short if word == CANNOT_TELL else "")
        if seen is not None:
            row |= _ratios(seen)
        still = more if word == CANNOT_TELL else None
        made.append(Row(**row, word=word, reason=reason, more_blocks=still))
    return made


def _usable(time: Time) -> bool:
    """Has it a time that says something of speed, and right data?"""
    return time.median is not None and not time.wrong and not time.reason


def _side(name: str, times: Sequence[Time]) -> dict[str, Any]:
    medians = [time.median for time in times if time.median is not None]
    rates = [time.busbw_GBps for time in times if time.busbw_GBps is not None and not time.wrong]
    return {
        f"hosts_{name}": " | ".join(dict.fromkeys(time.hosts for time in times)),
        f"{name}_seconds": float(np.median(medians)) if medians else None,
        f"{name}_busbw_GBps": float(np.median(rates)) if rates else None,
    }


def _ratios(effect: Effect) -> dict[str, Any]:
    known = math.isfinite(effect.low)
    return {
        "ratio": math.exp(effect.estimate),
        "ratio_low": math.exp(effect.low) if known else None,
        "ratio_high": math.exp(effect.high) if known else None,
        "blocks": effect.blocks,
    }


def _stored(launches: Sequence[Launch]) -> list[Any]:
    return [launch.stored for launch in launches]


def _answer(
    a: Sequence[Launch],
    b: Sequence[Launch],
    names: tuple[str, str],
    matched: Matched,
    rows: list[Row],
    method: str,
    margin: float,
    notes: list[str],
    are_pairs: bool,
) -> Answer:
    odd = sum(
        row.word == CANNOT_TELL
        and row.ratio_low is not None
        and row.ratio_high is not None
        and not row.ratio_low <= 1 <= row.ratio_high
        for row in rows
    )
    if odd:
        chance = (
            f"{odd} of {len(rows)} intervals leave 1 out where no difference is claimed: among so many"
            f" rows chance does that (false discovery rate {ALPHA:.0%})"
        )
        notes = [*notes, chance]
    counts = [[counts_of(launch, matched) for launch in side] for side in (a, b)]
    return Answer(
        a=names[0],
        b=names[1],
        method=method,
        margin=margin,
        launches_a=len(a),
        launches_b=len(b),
        compared=dict(matched.compared),
        rows=rows,
        unmatched=[*alone("A", matched.only_a), *alone("B", matched.only_b)],
        differences=differences(_stored(a), _stored(b)),
        events=event_rows(counts[0], counts[1], are_pairs),
        notes=[*notes, *_ends("A", a), *_ends("B", b)],
    )


def _ends(side: str, launches: Sequence[Launch]) -> list[str]:
    """A sentence for each launch that did not come to its end in order."""
    made = []
    for launch in launches:
        end = launch.stored.end
        if not isinstance(end, End):
            made.append(f"{side}: {launch.stored.called} ended without a word")
        elif end.exit_code:
            said = f": {end.message.splitlines()[0]}" if end.message else ""
            made.append(f"{side}: {launch.stored.called} ended with {end.verdict}{said}")
    return made
