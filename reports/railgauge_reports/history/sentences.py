"""What the gate says, in words: of a series, of the verdict, of what was covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from railgauge.topology import some
from railgauge_reports.acceptance.algebra import Verdict
from railgauge_reports.cells import percent
from railgauge_reports.history import verdicts
from railgauge_reports.history.answer import SeriesResult
from railgauge_reports.history.decided import Decided
from railgauge_reports.history.naming import told
from railgauge_reports.history.timeline import Timeline

#: Changes of the environment that a reason names.
_MOST_CHANGES = 4


def of_one(series: SeriesResult, when: Timeline) -> str:
    """What became of a series, with the figures that it rests on."""
    if series.state == "learning":
        value = told(series.key, series.value)
        return f"{series.words}: {value}, learning ({series.nights} nights accepted so far)"
    against = f"{told(series.key, series.value)} against {told(series.key, series.baseline)}"
    loss = series.worse or 0.0
    side = "worse" if loss > 0 else "better"
    mads = "" if series.mads is None else f", {abs(series.mads):.1f} MAD"
    head = (
        f"{series.words}: {against} ({percent(abs(loss))} {side}{mads} of {series.nights} nights)"
    )
    return head + _more(series, when)


def _more(series: SeriesResult, when: Timeline) -> str:
    since = "" if series.since is None else f", since {when.entries[series.since].name}"
    again = _again(series)
    if series.state == "regression":
        where = {
            "nodes": f"of {some(series.hosts)}, other nodes are fine" if series.hosts else "",
            "fleet": "of the fleet or its software: other nodes are slow too",
            "": "on other nodes nobody looked",
        }[series.scope]
        return f"{since}{again}; {where}"
    if series.state == "outlier":
        return f"{again}: not confirmed, and in no baseline"
    if series.state == "unconfirmed":
        told = "looked again often enough" if again else "looked again yet"
        return f"{since}{again}; nobody {told}"
    if series.state == "acknowledged":
        return f"{since}; acknowledged: {series.acknowledged}"
    return f"{since}{again}" if series.state in ("changed", "improved") else ""


def _again(series: SeriesResult) -> str:
    said = []
    if series.confirm_same is not None:
        best = f"{told(series.key, series.confirm_same)} when measured again"
        said.append(best + (f" (the best of {series.same_looks})" * (series.same_looks > 1)))
    if series.confirm_other is not None:
        said.append(f"{told(series.key, series.confirm_other)} on other nodes")
    return f", {', '.join(said)}" if said else ""


# the verdict --------------------------------------------------------------------------------------------


def of_series(decided: Decided, found: Sequence[SeriesResult]) -> list[tuple[Verdict, str]]:
    """What the series of a night ask for: a verdict and a sentence each."""
    by_state: dict[str, list[SeriesResult]] = {}
    for one in found:
        by_state.setdefault(one.state, []).append(one)
    made: list[tuple[Verdict, str]] = []
    slow = by_state.get("regression", [])
    sure = [one for one in slow if one.counts]
    if sure:
        made.append((verdicts.REGRESSION, _worst_of(sure, "slower")))
    elif slow:
        why = f"{_worst_of(slow, 'slower')}; among {len(found)} series that may be chance:"
        made.append((verdicts.INCONCLUSIVE, f"{why} another night tells"))
    if changed := by_state.get("changed"):
        why = f"{_worst_of(changed, 'slower')} since the environment changed"
        made.append((verdicts.CHANGED, f"{why}: {_changes(decided)}"))
    if unsure := by_state.get("unconfirmed"):
        why = _worst_of(unsure, "slower")
        looks = decided.history.settings.decision.confirm
        runs = f"{looks} confirming runs" if looks > 1 else "a confirming run"
        made.append((verdicts.UNCONFIRMED, f"{why}: {runs} would tell"))
    learning = len(by_state.get("learning", ()))
    if not found:
        made.append((verdicts.INCONCLUSIVE, "nothing was measured"))
    elif 2 * learning > len(found):
        least = decided.history.settings.decision.least
        known = min(one.nights for one in found if one.state == "learning")
        told = f"{learning} of {len(found)} series have fewer than {least} accepted nights"
        told += f" (this is number {known + 1}): nothing was judged of them"
        made.append((verdicts.LEARNING, told))
    return made


def _worst_of(slow: Sequence[SeriesResult], word: str) -> str:
    """`12 series are slower, worst pairs: sendrecv ...`."""
    worst = max(slow, key=lambda one: one.worse or 0.0)
    count = len(slow)
    head = f"{count} series {'are' if count > 1 else 'is'} {word}"
    return f"{head}{', worst' if count > 1 else ''}: {worst.sentence}"


def _changes(decided: Decided) -> str:
    """What changed as the newest epoch began."""
    changes = [change.sentence() for change in decided.epochs[-1].changes]
    more = len(changes) - _MOST_CHANGES
    return "; ".join(changes[:_MOST_CHANGES]) + (f"; {more} more" if more > 0 else "")


def passed(found: Sequence[SeriesResult]) -> str:
    """Why it is a PASS."""
    states = Counter(one.state for one in found)
    more = [f"{states['outlier']} unconfirmed outliers"] if states["outlier"] else []
    more += [f"{states['acknowledged']} acknowledged"] if states["acknowledged"] else []
    more += [f"{states['improved']} better"] if states["improved"] else []
    more += [f"{states['learning']} still learning"] if states["learning"] else []
    judged = len(found) - states["learning"]
    tail = f" ({', '.join(more)})" if more else ""
    return f"none of {judged} series is slower than its accepted nights{tail}"


def coverage(found: Sequence[SeriesResult]) -> str:
    """`40 of 42 series judged, 2 learning; the smallest effect that is seen is 2.00% to 3.10%`."""
    learning = sum(one.state == "learning" for one in found)
    judged = len(found) - learning
    text = f"{judged} of {len(found)} series judged"
    text += f", {learning} learning" if learning else ""
    seen = sorted(one.smallest_effect for one in found if one.smallest_effect is not None)
    if not seen:
        return text
    least, most = percent(seen[0]), percent(seen[-1])
    span = f" to {most} by series, in the middle {percent(seen[len(seen) // 2])}"
    return f"{text}; the smallest effect that is seen is {least}{span if most != least else ''}"
