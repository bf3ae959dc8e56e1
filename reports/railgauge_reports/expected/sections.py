"""What `railgauge expect` says, as text and as data: curve, algorithms, words, traps, references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from railgauge.expectation.estimate import Estimate
from railgauge.units import GIGA, format_seconds, format_size
from railgauge_reports.cells import NOTHING, align
from railgauge_reports.expected.answer import unknown_of
from railgauge_reports.expected.derived import check_of
from railgauge_reports.expected.question import Curve, Question, curve, large_busbw_GBps, regime
from railgauge_reports.expected.references import NONE, Reference, fitting
from railgauge_reports.expected.thresholds import Judged
from railgauge_reports.expected.traps import Caught, traps_of
from railgauge_reports.expected.words import explanation, figure, who

HEADER = (
    *("nbytes", "seconds", "fastest - slowest", "busbw GB/s", "slowest - fastest", "bound"),
    *("algorithm", "protocol", "ruled by"),
)


def section(
    question: Question, sizes: Sequence[int], unknown: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything about one operation, as JSON's own types; `unknown` is what a run did not record."""
    asked = {
        "operation": question.operation,
        "pattern": question.pattern,
        "nodes": question.nodes,
        "ranks": question.ranks,
        "algorithm": question.algorithm,
        "reason": question.reason,
    }
    if question.reason:
        return asked
    band = curve(question, sizes)
    largest = next(e for e in question.chosen if e.form.name == band.algorithms[-1])
    return asked | {
        "shape": who(question),
        "rows": _rows(band),
        "algorithms": [_algorithm(question, e, sizes[-1]) for e in _by_bound(question)],
        "explanation": list(explanation(question, largest)),
        "traps": [
            {"id": c.trap.id, "words": c.words, "next": c.trap.next, "source": c.trap.source}
            for c in _caught(question, band)
        ],
        "unknown": [
            *unknown,
            *(u for u in unknown_of(question) if _about(u) not in map(_about, unknown)),
        ],
        "references": [msgspec.to_builtins(entry) for entry in fitting(question)],
    }


def _by_bound(question: Question) -> list[Estimate]:
    return sorted(question.everything, key=lambda e: -e.bound_GBps)


def _algorithm(question: Question, estimate: Estimate, nbytes: int) -> dict[str, Any]:
    """An algorithm that exists there, whoever would choose it, at the largest size."""
    form = estimate.form
    busbw = large_busbw_GBps(question, estimate, nbytes) if estimate.lines else None
    return {
        "name": form.name,
        "bound_GBps": estimate.bound_GBps,
        "binding": estimate.binding.resource,
        "nbytes": nbytes,
        "busbw_GBps": busbw,
        "nccl": form.nccl or None,
        "summary": form.summary,
    }


def _about(unknown: str) -> str:
    return unknown.partition(":")[0]


def _caught(question: Question, band: Curve) -> list[Caught]:
    """The traps of all sizes, each once: of the last size that it is set for."""
    found: dict[str, Caught] = {}
    for at, name in enumerate(band.algorithms):
        estimate = next(e for e in question.chosen if e.form.name == name)
        ruled = regime(float(band.seconds[at]), float(band.latency_seconds[at]))
        found |= {c.trap.id: c for c in traps_of(question, estimate, ruled)}
    return list(found.values())


def _rows(band: Curve) -> list[dict[str, Any]]:
    """One object a size; None where only the bound is known."""
    busbw = [band.busbw_GBps(s) for s in (band.seconds, band.seconds_high, band.seconds_low)]
    return [
        {
            "nbytes": int(band.nbytes[k]),
            "seconds": _none(band.seconds[k]),
            "seconds_low": _none(band.seconds_low[k]),
            "seconds_high": _none(band.seconds_high[k]),
            "algbw_GBps": _none(band.nbytes[k] / band.seconds[k] / GIGA),
            "busbw_GBps": _none(busbw[0][k]),
            "busbw_low_GBps": _none(busbw[1][k]),
            "busbw_high_GBps": _none(busbw[2][k]),
            "bound_GBps": float(band.bound_GBps[k]),
            "algorithm": band.algorithms[k],
            "protocol": band.protocols[k],
            "regime": regime(float(band.seconds[k]), float(band.latency_seconds[k])),
        }
        for k in range(len(band.nbytes))
    ]


def _none(value: float) -> float | None:
    return None if value != value else float(value)


# for people -----------------------------------------------------------------------------------------------


def text(made: dict[str, Any]) -> str:
    """A section as lines."""
    title = f"{made['operation']}, {made['pattern']}"
    if made["reason"]:
        return f"{title}: no expectation: {made['reason']}"
    lines = [f"{title}: {made['shape']}", ""]
    lines += align(HEADER, [_cells(row) for row in made["rows"]])
    lines += ["", "why, at the largest size:", *(f"  {line}" for line in made["explanation"])]
    if len(made["algorithms"]) > 1:
        at = format_size(made["algorithms"][0]["nbytes"])
        lines += [
            "",
            f"all algorithms at {at}, busbw in GB/s, and what NCCL calls those that it has:",
        ]
        header = ("algorithm", "busbw", "bound", "bound by", "NCCL")
        lines += (f"  {line}" for line in align(header, [_cells_of(a) for a in made["algorithms"]]))
    for trap in made["traps"]:
        lines += [
            "",
            f"trap: {trap['words']}",
            f"  next: {trap['next']}",
            f"  source: {trap['source']}",
        ]
    if made["unknown"]:
        lines += ["", "not known:", *(f"  {line}" for line in made["unknown"])]
    told = [msgspec.convert(entry, Reference).told() for entry in made["references"]] or [NONE]
    return "\n".join([*lines, "", "published:", *(f"  {line}" for line in told)])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    def seconds(name: str) -> str:
        return NOTHING if row[name] is None else format_seconds(row[name])

    def rate(name: str) -> str:
        return NOTHING if row[name] is None else figure(row[name])

    return (
        format_size(row["nbytes"]),
        seconds("seconds"),
        f"{seconds('seconds_low')} - {seconds('seconds_high')}",
        rate("busbw_GBps"),
        f"{rate('busbw_low_GBps')} - {rate('busbw_high_GBps')}",
        rate("bound_GBps"),
        row["algorithm"],
        row["protocol"] or NOTHING,
        row["regime"] or NOTHING,
    )


def _cells_of(algorithm: dict[str, Any]) -> tuple[str, ...]:
    busbw = algorithm["busbw_GBps"]
    return (
        algorithm["name"],
        NOTHING if busbw is None else figure(busbw),
        figure(algorithm["bound_GBps"]),
        algorithm["binding"],
        algorithm["nccl"] or NOTHING,
    )


def linted(judged: Sequence[Judged]) -> str:
    """A paragraph each: the verdict, then why."""
    paragraphs = [
        "\n".join([f"{one.verdict.upper()} {one.name}", *(f"  {line}" for line in one.words)])
        for one in judged
    ]
    counts = {word: sum(one.verdict == word for one in judged) for word in _ORDER}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return "\n\n".join([*paragraphs, told])


_ORDER = ("unreachable", "blind", "unknown", "fine")


def referenced(entries: Sequence[Reference]) -> str:
    """The table of published figures, with what is expected of the same hardware where it is known."""
    header = (
        "hardware",
        "nodes",
        "GPUs",
        "operation",
        "algorithm",
        "size",
        "GB/s busbw",
        "expected",
    )
    body = []
    for entry in entries:
        check = check_of(entry)
        body.append(
            (
                entry.hardware,
                *(NOTHING if count is None else str(count) for count in (entry.nodes, entry.gpus)),
                entry.operation,
                entry.algorithm or NOTHING,
                entry.size,
                f"{entry.range} {entry.kind}",
                NOTHING if check is None else f"{figure(check.low)} - {figure(check.high)}",
            )
        )
    lines = align(header, body)
    tails = ["source", *(f"{e.source}{f' ({e.note})' if e.note else ''}" for e in entries)]
    width = max(map(len, lines), default=0)
    return "\n".join(
        f"{line.ljust(width)}  {tail}" for line, tail in zip(lines, tails, strict=True)
    )
