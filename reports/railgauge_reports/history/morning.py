"""The morning report in words: what changed since when, who is named, which nights are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from railgauge_reports.cells import NOTHING, cut, escaped, pipes, some
from railgauge_reports.history.answer import Gate, Night, SeriesResult, SeriesState
from railgauge_reports.history.named import named_by
from railgauge_reports.history.naming import told

#: Series that are told of one by one, other lines of a kind, characters of a sentence.
MOST_SERIES, MOST, MOST_WORDS = 12, 8, 400
#: States of a series that is worse than its baseline on the night that is judged, the worst first.
WORSE: tuple[SeriesState, ...] = ("regression", "changed", "unconfirmed", "outlier")
#: All that are no plain night of a series.
FLAGGED: tuple[SeriesState, ...] = (*WORSE, "improved", "acknowledged")
#: What a series of that state is.
_STATES: dict[SeriesState, str] = {
    "regression": "slower",
    "changed": "slower since the environment changed",
    "unconfirmed": "slower, and nobody looked again",
    "outlier": "slow, and fine when measured again",
    "improved": "faster",
    "acknowledged": "another level, acknowledged",
    "accepted": "as before",
    "learning": "learning",
    "missing": "not measured",
}
_SCOPES = {
    "nodes": "these nodes alone, others are fine",
    "fleet": "not these nodes alone, others are slow too",
    "": "on other nodes nobody looked",
}
#: Kinds of `Told` about nights, which stand among the nights.
_NIGHTS = ("missing", "corrupt")
SERIES = (
    "series",
    "state",
    "baseline",
    "tonight",
    "effect",
    "MADs",
    "since",
    "smallest effect seen",
)
NIGHTS = ("night", "state", "why", "series", "flagged", "exit", "again", "epoch")
ACKS = ("series", "night", "author", "expires", "state", "covers", "reason")
EPOCHS = ("since", "nights", "what changed", "slower series", "accepted by")


def markdown(gate: Gate) -> str:
    """CommonMark for a mail or a chat: short, with what changed first."""
    flagged = gate.of_state(*FLAGGED)
    rows = [series_row(gate, series) for series in flagged[:MOST_SERIES]]
    left = len(flagged) - len(rows)
    named = [f"named by the night: {found.words}" for found in named_by(gate)[:MOST]]
    odd = [night for night in gate.nights if night.state in ("missing", "corrupt")]
    alarms = [told.sentence for told in gate.told if told.alarms and told.kind not in _NIGHTS]
    parts = [
        f"# {escaped(headline(gate))}",
        *([f"**{gate.warning}.**"] if gate.warning else []),
        *_bullets(changes(gate) or list(gate.reasons) or ["nothing changed"]),
        *_bullets([*named, *some(alarms, MOST, "are in the JSON")]),
        *([pipes(SERIES, rows)] if rows else []),
        *([f"{left} more series changed; `--format json` has all."] if left > 0 else []),
        f"{escaped(gate.coverage)}; {counted_nights(gate)}.",
        *_bullets(some([_odd(night) for night in odd], MOST, "nights are in the JSON")),
        *_section("Environment", _bullets(epoch_lines(gate))),
        *_section("Acknowledged", _bullets([ack.sentence for ack in gate.acks[:MOST]])),
        *_section("Next", [f"```\n{chr(10).join(gate.next_commands)}\n```"] * bool(gate.next_commands)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


# what changed -----------------------------------------------------------------------------------------


def headline(gate: Gate) -> str:
    """`REGRESSION (1): night 20261030 of nightly`."""
    tonight = gate.tonight
    return f"{gate.verdict.word} ({gate.verdict.exit_code}): night {tonight.name} of {gate.folder}"


def changes(gate: Gate) -> list[str]:
    """What is not as it was, the worst first: series that changed alike on one night are one sentence."""
    alike: dict[tuple[str, int | None, str, str], list[SeriesResult]] = {}
    for state in FLAGGED:
        for series in gate.of_state(state):
            key = (series.state, series.since, series.scope, series.key.operation)
            alike.setdefault(key, []).append(series)
    made = [_told(gate, group) for group in alike.values()]
    last = gate.epochs[-1] if gate.epochs else None
    if last is not None and last.is_new and last.changes:
        since = gate.nights[last.night].name
        what = ", ".join(change.sentence() for change in last.changes)
        made.append(cut(f"the environment, since {since}: {what}", MOST_WORDS))
    return some(made, MOST_SERIES, "changes are in the JSON")


def _told(gate: Gate, group: Sequence[SeriesResult]) -> str:
    worst = max(group, key=lambda series: abs(series.effect or 0.0))
    sentence = from_to(gate, worst)
    if len(group) == 1:
        return sentence
    every = sum(series.key.operation == worst.key.operation for series in gate.series)
    head = f"{worst.key.operation}: {len(group)} of {every} series {_STATES[worst.state]}"
    return cut(f"{head}, most of all {sentence}", MOST_WORDS)


def from_to(gate: Gate, series: SeriesResult) -> str:
    """`all_reduce 1G: 48.0 -> 40.1 GB/s (-16.4%, 21 MADs) since 20261018, 12 nights; slow again on ...`."""
    mads = "" if series.mads is None else f", {series.mads:.0f} MADs"
    effect = "" if series.effect is None else f" ({series.effect:+.1%}{mads})"
    moved = f"{told(series.key, series.baseline)} -> {told(series.key, series.value)}{effect}"
    where = f" ({series.place})" if series.place else ""
    head = " ".join(filter(None, (f"{series.words}{where}: {moved}", since_words(gate, series))))
    by = f" by {series.acknowledged}" if series.acknowledged else ""
    state = "" if series.state == "regression" else f"{_STATES[series.state]}{by}"
    scope = _SCOPES[series.scope] if series.state == "regression" else ""
    return cut("; ".join(filter(None, (head, state, again(series), scope))), MOST_WORDS)


def since_words(gate: Gate, series: SeriesResult) -> str:
    """`since 20261018, 12 nights`; "" of what has no streak."""
    if series.since is None:
        return ""
    nights = sum(night.state != "missing" for night in gate.nights[series.since : gate.night + 1])
    return f"since {gate.nights[series.since].name}, {nights} night{'s' * (nights != 1)}"


def again(series: SeriesResult) -> str:
    """What the confirming runs measured, on which nodes."""
    same = "fine" if series.state == "outlier" else "slow" if series.state in WORSE else ""
    other = {"nodes": "fine", "fleet": "slow", "": ""}[series.scope]
    looked = [
        f"{word or 'measured'} again on {where} nodes ({told(series.key, value)})"
        for value, where, word in (
            (series.confirm_same, "the same", same),
            (series.confirm_other, "other", other),
        )
        if value is not None
    ]
    return ", ".join(looked)


# rows and lines ---------------------------------------------------------------------------------------


def series_row(gate: Gate, series: SeriesResult) -> tuple[str, ...]:
    """Of SERIES."""
    return (
        series.words,
        series.state,
        told(series.key, series.baseline),
        told(series.key, series.value),
        NOTHING if series.effect is None else f"{series.effect:+.1%}",
        NOTHING if series.mads is None else f"{series.mads:.1f}",
        NOTHING if series.since is None else gate.nights[series.since].name,
        NOTHING if series.smallest_effect is None else f"{series.smallest_effect:.1%}",
    )


def night_row(night: Night) -> tuple[str, ...]:
    """Of NIGHTS."""
    looked = ("same" * night.confirmed_same, "other" * night.confirmed_other)
    flagged = ", ".join(f"{n} {state}" for state, n in night.flagged.items() if state in FLAGGED)
    return (
        night.name,
        night.state,
        why(night) or NOTHING,
        str(night.series) if night.series else NOTHING,
        flagged or NOTHING,
        NOTHING if night.exit_code is None else str(night.exit_code),
        " and ".join(filter(None, looked)) or NOTHING,
        NOTHING if night.epoch is None else str(night.epoch),
    )


def why(night: Night) -> str:
    """The first reason for its state, and how many more there are."""
    if not night.why:
        return ""
    left = len(night.why) - 1
    return cut(night.why[0], 200) + (f" (and {left} more)" if left else "")


def ack_rows(gate: Gate) -> list[tuple[str, ...]]:
    """Of ACKS."""
    return [
        (a.series, a.night, a.author, a.expires or "never", a.state, str(a.covers), a.reason)
        for a in gate.acks
    ]


def epoch_rows(gate: Gate) -> list[tuple[str, ...]]:
    """Of EPOCHS, the latest first."""
    return [
        (
            gate.nights[epoch.night].name,
            str(epoch.nights),
            cut(", ".join(change.sentence() for change in epoch.changes), MOST_WORDS) or NOTHING,
            str(len(epoch.slow)) if epoch.slow else NOTHING,
            epoch.acknowledged or NOTHING,
        )
        for epoch in reversed(gate.epochs)
    ]


def epoch_lines(gate: Gate) -> list[str]:
    """`20261010 (20 nights): nccl: 2.28 -> 2.29`, those that somebody changed, the latest first."""
    lines = [
        f"{since} ({nights} night{'s' * (nights != '1')}): {what}"
        + (f"; {slow} series slower" if slow != NOTHING else "")
        + (f"; accepted by {by}" if by != NOTHING else "")
        for since, nights, what, slow, by in epoch_rows(gate)
        if what != NOTHING
    ]
    return some(lines, MOST, "epochs are in the JSON")


def counted_nights(gate: Gate) -> str:
    """`24 nights accepted, 5 flagged, 1 missing`."""
    counts = Counter(night.state for night in gate.nights)
    states = [f"{count} {state}" for state, count in counts.most_common()]
    return f"{len(gate.nights)} night{'s' * (len(gate.nights) != 1)}: {', '.join(states)}"


def _odd(night: Night) -> str:
    return f"night {night.name} {night.state}: {why(night)}".rstrip(": ")


def _section(title: str, parts: list[str]) -> list[str]:
    return [f"## {title}", *parts] if parts else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    lines = "\n".join(f"- {escaped(sentence)}" for sentence in sentences)
    return [lines] if lines else []
