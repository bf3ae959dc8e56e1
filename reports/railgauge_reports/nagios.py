"""The verdict as a monitoring plugin says it: one line with performance data, exit code 0 to 3.

After the Monitoring Plugins Development Guidelines: `SERVICE STATUS: text | 'label'=value;...`, a
value in the class [-0-9.], no unit for what is neither seconds, bytes nor percent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from railgauge.errors import (
    EXIT_FAIL,
    EXIT_HANG,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_WRONG_DATA,
    RailgaugeError,
)

if TYPE_CHECKING:
    from railgauge_reports.acceptance.answer import Result
    from railgauge_reports.history.answer import Gate
    from railgauge_reports.loaded import LoadedRun

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
#: Exit code of ours -> theirs. Whatever is not here could not be judged.
CODES = {
    EXIT_PASS: 0,
    EXIT_INCONCLUSIVE: 1,
    EXIT_INTERRUPTED: 1,
    EXIT_FAIL: 2,
    EXIT_WRONG_DATA: 2,
    EXIT_HANG: 2,
}
UNKNOWN = 3
#: Characters of the text: agents cut lines off (NRPE, 1 KiB in its first version).
MOST_TEXT = 400
#: Curves with performance data of their own.
MOST_METRICS = 20


def code(exit_code: int) -> int:
    """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    return CODES.get(exit_code, UNKNOWN)


def line(run: LoadedRun) -> str:
    """The one line of a run."""
    from railgauge_reports.judged import judged_of

    verdict, judged = run.verdict, judged_of(run)
    first = [finding.sentence for finding in judged.findings if finding.severity != "note"][:1]
    text = "; ".join(filter(None, (run.warning, *first, verdict.coverage.sentence())))
    return f"{head(code(verdict.exit_code), text)} | {' '.join(_metrics(run))}"


def acceptance_line(result: Result) -> str:
    """The one line of an acceptance: who is at fault first, and what it covered."""
    from railgauge_reports.acceptance.faults import faults_of

    faults, covered = faults_of(result), result.coverage
    first = [fault.brief() for fault in faults[:1]] or list(result.reasons[:1])
    more = [f"{len(faults) - 1} more faults"] if len(faults) > 1 else []
    waived = [f"{len(result.waived)} waivers"] if result.waived else []
    text = "; ".join([*filter(None, [result.warning]), *first, *more, *waived, covered.sentence()])
    metrics = [
        f"measured={covered.measured};;;0;{covered.planned}",
        f"nodes={covered.nodes_tested};;;0;{covered.nodes}",
        f"faults={len(faults)};;;0",
        f"node_hours={_number(result.node_hours)};;;0",
        *(f"'{_label(s.name)}'={_number(s.all_seconds)}s;;;0" for s in result.stages),
    ]
    return f"{head(code(result.verdict.exit_code), text)} | {' '.join(metrics)}"


def gate_line(gate: Gate) -> str:
    """The one line of a history's night: why the verdict is what it is, and how many series are what."""
    text = "; ".join(filter(None, (gate.warning, *gate.reasons[:2], gate.coverage)))
    counted = Counter(str(one.state) for one in gate.series)
    states = ("regression", "changed", "unconfirmed", "outlier", "learning")
    metrics = [
        f"series={len(gate.series)};;;0",
        *(f"{state}={counted[state]};;;0" for state in states),
        f"missing_nights={sum(night.state == 'missing' for night in gate.nights)};;;0",
    ]
    return f"{head(code(gate.verdict.exit_code), text)} | {' '.join(metrics)}"


def failure(error: RailgaugeError) -> str:
    """The one line of a run that cannot be read."""
    return head(UNKNOWN, str(error).partition("\n")[0])


def head(state: int, text: str) -> str:
    """`RAILGAUGE CRITICAL: text`, in one line without a bar."""
    from railgauge_reports.cells import cut

    plain = " ".join(text.replace("|", "/").split())  # a bar begins the performance data
    return f"RAILGAUGE {STATES[state]}: {cut(plain, MOST_TEXT)}"


def _metrics(run: LoadedRun) -> list[str]:
    from railgauge_reports.series import series_frame

    covered = run.verdict.coverage
    made = [
        f"measured={covered.measured};;;0;{covered.planned}",
        f"wrong_elements={int(run.rows['wrong'].fillna(0).sum())};;;0",
    ]
    series = series_frame(run.rows)
    best = series[series["busbw_GBps"].notna()].sort_values("busbw_GBps", ascending=False)
    for label, rate in best.drop_duplicates("label")[["label", "busbw_GBps"]].itertuples(
        index=False, name=None
    ):
        made.append(f"'busbw_GBps {_label(label)}'={_number(rate)};;;0")
    shortest = series[series["median_seconds"].notna()].sort_values("median_seconds")
    for label, seconds in shortest.drop_duplicates("label")[["label", "median_seconds"]].itertuples(
        index=False, name=None
    ):
        made.append(f"'latency {_label(label)}'={_number(seconds)}s;;;0")
    return made[: 2 + 2 * MOST_METRICS]


def _label(text: str) -> str:
    return text.replace("'", "''").replace("=", ":").replace("|", "/")


def _number(value: float) -> str:
    """Six digits without an exponent, which the class [-0-9.] lacks."""
    return f"{value:.12f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.3f}"
