"""Text for Prometheus' node exporter (textfile collector): write it with --output NAME.prom.

`--output` replaces the file whole, so that no half of it is ever scraped. Labels are bounded: no host,
no pair, no rank; of each curve so many sizes, of all together so many series, and how many were left
out is a metric of its own. No sample bears a time stamp; when the run ended is a metric.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from railgauge.units import GIGA
from railgauge_reports.acceptance.answer import Result
from railgauge_reports.acceptance.faults import counts, faults_of
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.prometheus import of_gate
from railgauge_reports.judged import SEVERITIES, judged_of
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED
from railgauge_reports.lossless import told
from railgauge_reports.series import VARIANT, series_frame

WORDS = ("PASS", "FAIL", "ERROR", "SKIP", "INCONCLUSIVE")
RULES = ("FIRED", "CLEAR", "UNKNOWN")
#: Curves and sizes that have series of their own; the largest sizes are kept.
MOST_CURVES, MOST_SIZES = 24, 16
#: Labels of a curve; `simulated` is on everything that a model could have answered.
LABELS = (
    "simulated",
    "operation",
    "dtype",
    "op",
    "placement",
    "call",
    "setting",
    "ranks",
    "nbytes",
)


def render(run: LoadedRun) -> str:
    """The exposition text, format 0.0.4."""
    registry = CollectorRegistry()
    _run(run, registry)
    _curves(run, registry)
    return generate_latest(registry).decode()


def _run(run: LoadedRun, registry: CollectorRegistry) -> None:
    stored, verdict = run.stored, run.verdict
    simulated = str(run.simulated).lower()

    def gauge(name: str, told_of: str, *labels: str) -> Gauge:
        return Gauge(f"railgauge_{name}", told_of, ("simulated", *labels), registry=registry)

    info = gauge("run_info", "The run, always 1", "version", "backend", "library", "pattern")
    last = stored.last
    info.labels(simulated, last.version, last.backend, stored.library, stored.plan.pattern).set(1)
    state = gauge("verdict", "1 for the verdict of the run, 0 for the others", "verdict")
    for word in dict.fromkeys((*WORDS, verdict.word)):
        state.labels(simulated, word).set(word == verdict.word)
    judged = judged_of(run)
    singles = {
        "exit_code": ("Exit code of the verdict, 0 is PASS", verdict.exit_code),
        "ranks": ("Ranks of the run", stored.last.ranks),
        "hosts": ("Hosts of the run", len(set(stored.last.hosts))),
        "planned_measurements": ("Pairs of case and round in the plan", verdict.coverage.planned),
        "measured_measurements": ("Those that were measured whole", verdict.coverage.measured),
        "checked_iterations": ("Iterations whose data was verified", verdict.coverage.checked),
        "wrong_elements": ("Elements that were wrong", int(run.rows["wrong"].fillna(0).sum())),
        "suspects": ("Nodes, GPUs, rails and links that are suspected", len(judged.suspects)),
        "start_timestamp_seconds": ("When the last start of the run began", stored.last.started),
    }
    if stored.end is not None:
        singles["completion_timestamp_seconds"] = ("When the run ended", stored.end.finished)
    for name, (told_of, value) in singles.items():
        gauge(name, told_of).labels(simulated).set(value)
    found = gauge("findings", "Findings by severity", "severity")
    for severity in SEVERITIES:
        found.labels(simulated, severity).set(judged.count(severity))
    if not run.fabric.silent:
        states = list(told.by_rule(run.fabric.judgement).values())
        rules = gauge("fabric_rules", "Rules of a lossless fabric by what came of them", "state")
        for name in RULES:
            rules.labels(simulated, name).set(states.count(name))


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run; `stage` is bounded by the profile, and no host is a label."""
    registry = CollectorRegistry()
    simulated = str(result.simulated).lower()

    def gauge(name: str, told_of: str, *labels: str) -> Gauge:
        name = f"railgauge_acceptance_{name}"
        return Gauge(name, told_of, ("simulated", *labels), registry=registry)

    info = gauge("info", "The acceptance, always 1", "version", "profile")
    info.labels(simulated, result.version, result.profile).set(1)
    words = (*WORDS, "INTERRUPTED")
    state = gauge("verdict", "1 for the verdict, 0 for the others", "verdict")
    stages = gauge("stage_verdict", "1 for the verdict of a stage", "stage", "kind", "verdict")
    seconds = gauge("stage_seconds", "What a stage took, follow-ups included", "stage", "kind")
    for word in words:
        state.labels(simulated, word).set(word == result.verdict.word)
        for stage in result.stages:
            is_its = word == stage.verdict.word
            stages.labels(simulated, stage.name, stage.kind, word).set(is_its)
    for stage in result.stages:
        seconds.labels(simulated, stage.name, stage.kind).set(stage.all_seconds)
    _covered(result, gauge)
    _found(result, gauge)
    return generate_latest(registry).decode()


def _covered(result: Result, gauge: Callable[..., Gauge]) -> None:
    covered, simulated = result.coverage, str(result.simulated).lower()
    counted = {
        "nodes": (covered.nodes_tested, covered.nodes),
        "nics": (covered.nics_tested, covered.nics),
        "node_pairs": (covered.pairs_tested, covered.pairs),
        "leaf_pairs": (covered.leaf_pairs_tested, covered.leaf_pairs),
        "measurements": (covered.measured, covered.planned),
    }
    tested = gauge("tested", "How many of them were tested", "what")
    every = gauge("existing", "How many there are, or were planned; 0: not known", "what")
    for what, (got, of) in counted.items():
        tested.labels(simulated, what).set(got)
        every.labels(simulated, what).set(of)
    singles = {
        "exit_code": ("Exit code of the verdict, 0 is PASS", result.verdict.exit_code),
        "node_hours": ("Hours that its runs took, times nodes", result.node_hours),
        "start_timestamp_seconds": ("When it began", result.started),
    }
    if result.finished is not None:
        singles["completion_timestamp_seconds"] = ("When its last stage ended", result.finished)
    for name, (told_of, value) in singles.items():
        gauge(name, told_of).labels(simulated).set(value)


def _found(result: Result, gauge: Callable[..., Gauge]) -> None:
    simulated, faults = str(result.simulated).lower(), faults_of(result)
    findings = result.findings
    counted = dict.fromkeys(("fail", "warning"), 0)
    for finding in filter(counts, findings):
        counted["fail" if finding.verdict.word in ("FAIL", "ERROR") else "warning"] += 1
    counted["waived"] = sum(bool(finding.waived) for finding in findings)
    counted["refuted"] = sum(finding.verified == REFUTED for finding in findings)
    found = gauge(
        "findings", "Findings by severity; waived and refuted ones count for nothing", "severity"
    )
    for severity, count in counted.items():
        found.labels(simulated, severity).set(count)
    by_place = gauge(
        "faults", "Places that findings and suspects are about, by severity", "severity"
    )
    for severity in ("fail", "warning"):
        by_place.labels(simulated, severity).set(sum(f.severity == severity for f in faults))
    suspects = gauge("suspects", "Suspects by what verification said of them", "verified")
    every = [suspect for fault in faults for _, suspect in fault.suspects]
    for word, own in (("confirmed", CONFIRMED), ("no", "")):
        suspects.labels(simulated, word).set(sum(s.verified == own for s in every))


def _curves(run: LoadedRun, registry: CollectorRegistry) -> None:
    series = series_frame(run.rows)
    names = series["label"].drop_duplicates().head(MOST_CURVES)
    drawn = series[series["label"].isin(names)]
    kept = drawn.groupby("label", sort=False).tail(MOST_SIZES)
    left = len(series) - len(kept)
    Gauge("railgauge_series_left_out", "Cases that have no series here", registry=registry).set(
        left
    )
    busbw = Gauge(
        "railgauge_busbw_bytes_per_second",
        "busbw of the median group and of the slowest one",
        (*LABELS, "group"),
        registry=registry,
    )
    seconds = Gauge(
        "railgauge_iteration_seconds",
        "Time of an iteration: median, 99th percentile, of all groups the slowest",
        (*LABELS, "statistic"),
        registry=registry,
    )
    variants = kept[["operation", *VARIANT, "ranks", "nbytes"]].astype("string").fillna("")
    for (_, row), (_, own) in zip(kept.iterrows(), variants.iterrows(), strict=True):
        of = [str(run.simulated).lower(), *(own[name] for name in LABELS[1:])]
        for column, group in (("busbw_GBps", "median"), ("busbw_low", "slowest")):
            if pd.notna(row[column]):
                busbw.labels(*of, group).set(float(row[column]) * GIGA)
        for column, statistic in (
            ("median_seconds", "median"),
            ("p99_seconds", "p99"),
            ("max_seconds", "max"),
        ):
            if pd.notna(row[column]):
                seconds.labels(*of, statistic).set(float(row[column]))


def render_gate(gate: Gate) -> str:
    """What the gate says of a night; no series, host or night is a label."""
    registry = CollectorRegistry()
    of_gate(gate, registry)
    return generate_latest(registry).decode()
