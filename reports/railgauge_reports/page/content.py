"""What the page says, as text and tables: the template only arranges it."""

from __future__ import annotations

import dataclasses
import datetime

import pandas as pd

from railgauge.units import format_size
from railgauge_reports.cells import NOTHING, significant, table
from railgauge_reports.cells import seconds as format_time
from railgauge_reports.cost import cost_of, energy_frame
from railgauge_reports.counters import counter_frame
from railgauge_reports.flows import flow_frame
from railgauge_reports.judged import Finding, Judged, judged_of
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import Suspect
from railgauge_reports.lossless import told
from railgauge_reports.machine import machine_facts
from railgauge_reports.odd_hosts import odd_hosts
from railgauge_reports.page.chart import Chart, Grid
from railgauge_reports.page.gallery import charts_of
from railgauge_reports.page.matrix import MOST_PLAYERS

#: Findings of the first screen, and of the page.
WORST, MOST_FINDINGS = 5, 60
MOST_ROWS = 200
MOST_FLOWS = 30
MOST_ODD = 60
MOST_EVIDENCE = 40  # rows of a finding
MOST_HOSTS = 8
#: A sign beside every verdict: nobody needs to see a colour.
SIGNS = {
    "PASS": "✓",
    "FAIL": "✕",
    "REGRESSION": "✕",
    "INCONCLUSIVE": "?",
    "UNCONFIRMED": "?",
    "CHANGED": "?",
    "LEARNING": "~",
    "SKIP": "~",
}
#: Words that are as bad as FAIL; what is neither PASS nor these is drawn as unsure.
_BAD = ("FAIL", "ERROR", "REGRESSION", "WRONG DATA", "HANG")


@dataclasses.dataclass(frozen=True)
class Fact:
    """A figure of the first screen."""

    name: str
    value: str
    more: str = ""


@dataclasses.dataclass(frozen=True)
class FabricFinding:
    """A rule that fired, with its evidence as a table."""

    title: str
    where: str
    facts: tuple[tuple[str, str], ...]
    next: tuple[str, ...]
    evidence: Grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstScreen:
    """What every page begins with; `advice` are those of `commands` that nobody can type."""

    warning: str
    word: str
    besides: str
    subtitle: str
    seconds: float  # of the epoch, when it began
    coverage: str
    measured: int
    planned: int
    facts: tuple[Fact, ...]
    worst: tuple[Finding, ...]
    commands: tuple[str, ...]
    advice: frozenset[str]

    @property
    def sign(self) -> str:
        return SIGNS.get(self.word, "!")

    @property
    def tone(self) -> str:
        """The class of the style sheet that colours the verdict."""
        return "good" if self.word == "PASS" else "bad" if self.word in _BAD else "unsure"

    @property
    def heading(self) -> str:
        """Above the worst findings."""
        return "Worst findings" if self.worst else "Findings"

    @property
    def clean(self) -> str:
        """Where there is none."""
        return "Nothing was found wrong in what was measured."

    @property
    def started(self) -> str:
        began = datetime.datetime.fromtimestamp(self.seconds, datetime.timezone.utc)
        return began.strftime("%Y-%m-%d %H:%M UTC")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page(FirstScreen):
    """Everything of one page; empty tuples and None are sections that are left out."""

    more: tuple[Finding, ...]
    left: int
    suspects: tuple[Suspect, ...]
    charts: tuple[Chart, ...]
    tables: tuple[tuple[str, str, tuple[Grid, ...]], ...]  # id, title, tables
    fabric_says: str
    fabric: tuple[FabricFinding, ...]
    unknown: Grid | None
    cost: Grid | None
    cost_says: str
    rows: Grid
    rows_say: str
    beside: str
    machine: tuple[tuple[str, str], ...]


def whole(run: LoadedRun) -> bool:
    """Does the page hold every row and every pair?"""
    return len(run.rows) <= MOST_ROWS and len(set(run.stored.last.hosts)) <= MOST_PLAYERS


def page_of(run: LoadedRun) -> Page:
    """The page of a run."""
    judged, stored, verdict = judged_of(run), run.stored, run.verdict
    counters = counter_frame(stored)
    cost, cost_says = _cost(run, judged)
    commands = _commands(run, judged)
    rows, rows_say = _rows(run)
    return Page(
        warning=run.warning,
        word=verdict.word,
        besides=_besides(judged),
        subtitle=_subtitle(run),
        seconds=stored.last.started,
        coverage=f"{verdict.coverage.sentence()}.",
        measured=verdict.coverage.measured,
        planned=verdict.coverage.planned,
        facts=_facts(run, judged),
        worst=judged.findings[:WORST],
        more=judged.findings[WORST:MOST_FINDINGS],
        left=max(0, len(judged.findings) - MOST_FINDINGS),
        suspects=judged.suspects,
        commands=commands,
        advice=frozenset(command for command in commands if command.startswith("(")),
        charts=charts_of(run, judged, counters),
        tables=tuple(entry for entry in (_flows(run), _odd(run), _energy(counters)) if entry[2]),
        fabric_says=told.summary(run.fabric),
        fabric=_fabric(run),
        unknown=_unknown(run),
        cost=cost,
        cost_says=cost_says,
        rows=rows,
        rows_say=rows_say,
        beside="" if whole(run) else run.asked.beside,
        machine=tuple(machine_facts(stored)),
    )


def _besides(judged: Judged) -> str:
    """`with 2 warnings`: a PASS with a slow pair is no clean bill."""
    count = judged.count("warning")
    return f"with {count} warning{'s' * (count > 1)}" if count else ""


def _subtitle(run: LoadedRun) -> str:
    stored = run.stored
    hosts = len(set(stored.last.hosts))
    where = f"{stored.last.ranks:,} ranks on {hosts:,} host{'s' * (hosts > 1)}"
    operations = ", ".join(stored.plan.operations)
    return f"{operations}, pattern {stored.plan.pattern}, {stored.last.backend} ({stored.library}), {where}"


def _facts(run: LoadedRun, judged: Judged) -> tuple[Fact, ...]:
    rows, made = run.rows, []
    if rows["busbw_GBps"].notna().any():
        best = rows.iloc[int(rows["busbw_GBps"].argmax())]
        size = f"{best['operation']} of {format_size(int(best['nbytes']))}"
        made.append(Fact("highest busbw", f"{significant(best['busbw_GBps'])} GB/s", size))
    if judged.pairs is not None:
        slowest = judged.pairs.slowest(1).iloc[0]
        who = judged.pairs.words(int(slowest["one"]), int(slowest["other"]), int(slowest["rail"]))
        share = f"{judged.pairs.share(float(slowest['busbw_GBps'])):.0%} of the median"
        made.append(
            Fact("slowest pair", f"{significant(slowest['busbw_GBps'])} GB/s", f"{who}, {share}")
        )
    if rows["median_seconds"].notna().any():
        least = rows.iloc[int(rows["median_seconds"].argmin())]
        size = f"{least['operation']} of {format_size(int(least['nbytes']))}"
        made.append(Fact("shortest median", format_time(least["median_seconds"]), size))
    checked = rows["wrong"].notna()
    wrong = f"{int(rows['wrong'].sum()):,}" if checked.any() else "not checked"
    made.append(
        Fact("wrong elements", wrong, f"{int(checked.sum()):,} of {len(rows):,} rows checked")
    )
    return tuple(made)


def _commands(run: LoadedRun, judged: Judged) -> tuple[str, ...]:
    wanted = [*(s.next_test for s in judged.suspects), *run.verdict.next_commands]
    wanted += [finding.next for finding in judged.findings[:WORST]]
    return tuple(dict.fromkeys(filter(None, wanted)))


def _rows(run: LoadedRun) -> tuple[Grid, str]:
    """All rows, or of many those that are slowest against the median of their case."""
    rows, say = run.rows, f"All {len(run.rows):,} rows."
    if len(rows) > MOST_ROWS:
        rates = rows["busbw_GBps"]
        share = rates / rates.groupby(rows["case"]).transform("median")
        gaps = rows["gap"].fillna(True).to_numpy(bool)
        low = share.astype("Float64").fillna(2.0).to_numpy(float)
        low[gaps] = -1.0  # what is missing is worse than what is slow
        worst = pd.Series(low).nsmallest(MOST_ROWS, keep="first").index
        rows = rows.iloc[sorted(worst)]
        say = (
            f"The {len(rows)} of {len(run.rows):,} rows that are missing or slowest against the median"
            " of their case."
        )
    made = table(rows.assign(hosts=rows["hosts"].str.slice(0, 80)))
    header = (*made.header[:1], "hosts", *made.header[1:])
    hosts = ["" if pd.isna(host) else _short(str(host)) for host in rows["hosts"]]
    body = [(row[0], host, *row[1:]) for row, host in zip(made.body, hosts, strict=True)]
    return Grid(", ".join(made.common) or "Rows", header, body, left=2), say


def _short(hosts: str) -> str:
    names = hosts.split(" ")
    more = len(names) - 2
    return hosts if more <= 0 else f"{names[0]} and {more + 1} more"


def _cost(run: LoadedRun, judged: Judged) -> tuple[Grid | None, str]:
    short = judged.shortfall
    if short is None:
        return None, ""
    cost = cost_of(run, short)
    priced = run.asked.price is not None
    says = (
        f"Compared: {short.of}, {short.share:.1%} below {short.against}. Of"
        f" {cost.processors:,} {cost.noun}s that work all day, so much is spent waiting, by the share of"
        " a job's time that is communication"
        + (f", at {run.asked.price:,.2f} an hour." if priced else " (--price gives it in money).")
    )
    header = ("of a job's time", f"{cost.noun}-hours a day", *(("money a day",) if priced else ()))
    rows = [
        (f"{share:.0%}", f"{hours:,.1f}", *(() if money is None else (f"{money:,.2f}",)))
        for share, hours, money in cost.rows
    ]
    return Grid("What the shortfall costs", header, rows, left=0), says


def _energy(counters: pd.DataFrame) -> tuple[str, str, tuple[Grid, ...]]:
    rows = [
        (
            str(row["operation"]),
            format_size(int(row["nbytes"])),
            str(row["gpus"]),
            *(significant(row[name]) for name in ("watts", "joules_per_GB", "joules")),
        )
        for _, row in energy_frame(counters).iterrows()
    ]
    header = ("operation", "size", "GPUs", "W a GPU", "J a GB moved", "J of all")
    caption = "Energy of the GPUs while a case ran, idle power and warm-up included"
    return "energy", "Energy", (Grid(caption, header, rows[:MOST_ROWS]),) if rows else ()


def _odd(run: LoadedRun) -> tuple[str, str, tuple[Grid, ...]]:
    found = odd_hosts(run.stored)
    rows = [
        (odd.fact, odd.words(), odd.value, odd.majority, f"{odd.holders} of {odd.hosts}")
        for odd in found[:MOST_ODD]
    ]
    header = ("fact", "hosts", "have", "others have", "which are")
    caption = "Facts that are not the same on all hosts"
    if len(found) > MOST_ODD:
        caption += f"; {len(found) - MOST_ODD} more are in environment.json"
    return (
        "environment",
        "Environment outliers",
        (Grid(caption, header, rows, left=5),) if rows else (),
    )


def _flows(run: LoadedRun) -> tuple[str, str, tuple[Grid, ...]]:
    found = flow_frame(run.stored)
    if found.empty:
        return "flows", "Flows", ()
    shown = found.nsmallest(MOST_FLOWS, "share", keep="first")
    rows = [
        (
            f"{row['source_host']} (rank {row['source']})",
            f"{row['target_host']} (rank {row['target']})",
            NOTHING if pd.isna(row["setting"]) else str(row["setting"]),
            format_size(int(row["nbytes"])),
            significant(row["GBps"]),
            f"{row['share']:.0%}",
            format_time(row["median_seconds"]),
            format_time(row["p99_seconds"]),
        )
        for _, row in shown.iterrows()
    ]
    header = ("from", "to", "setting", "size", "GB/s", "of the mean", "median", "p99")
    caption = f"The {len(rows)} of {len(found):,} flows with the least of the mean of their group"
    return "flows", "Flows", (Grid(caption, header, rows, left=3),)


def _fabric(run: LoadedRun) -> tuple[FabricFinding, ...]:
    made = []
    for finding in told.shown(run.fabric.judgement):
        rule = finding.rule
        after = f", consequence of {finding.consequence_of}" if finding.consequence_of else ""
        rows = [told.cells(row, NOTHING) for row in finding.evidence[:MOST_EVIDENCE]]
        evidence = Grid(f"Evidence of {rule.id}", told.HEADER, rows, left=4)
        facts = (
            ("Diagnosis", rule.diagnosis),
            ("At fault", rule.blame),
            ("Remedy", rule.remedy),
            ("Source", rule.source),
        )
        made.append(
            FabricFinding(
                f"{rule.id} {rule.name}: {told.WORDS[finding.severity]}{after}",
                f"{finding.site.words()}: {finding.words}",
                facts,
                finding.next,
                evidence,
            )
        )
    return tuple(made)


def _unknown(run: LoadedRun) -> Grid | None:
    if run.fabric.silent:
        return None
    rows = told.unknowns(run.fabric.judgement)
    return (
        Grid("Rules that could not be judged", ("rule", "missing"), rows, left=2) if rows else None
    )
