"""The line of a monitoring plugin, and its exit codes."""

from __future__ import annotations

import re

import pytest

from railgauge.cli import main
from railgauge_reports.nagios import MOST_TEXT

METRIC = re.compile(r"(?:'[^'=]+'|[^' =]+)=-?[0-9.]+(?:s|B|%|c)?(?:;[-0-9.:@~]*){0,4}")


def told(capsys) -> tuple[str, list[str]]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    text, _, metrics = out.strip().partition(" | ")
    return text, re.findall(r"(?:'[^']*'|[^ '])+", metrics)


def test_a_pass_is_ok_with_performance_data(start, capsys):
    run = start(sizes=(1 << 20,))
    run.result(run.cases[0], 1e-4, samples=2000)
    assert main(["report", str(run.end()), "--nagios"]) == 0
    text, metrics = told(capsys)
    assert text.startswith("RAILGAUGE OK: 1 of 1 planned measurements made")
    assert all(METRIC.fullmatch(metric) for metric in metrics), metrics
    assert "measured=1;;;0;1" in metrics
    assert "'busbw_GBps all_reduce'=15.729;;;0" in metrics
    assert "'latency all_reduce'=0.0001s;;;0" in metrics


@pytest.mark.parametrize(
    ("verdict", "code", "state", "expected"),
    [
        ("FAIL", 1, "CRITICAL", 2),
        ("FAIL", 4, "CRITICAL", 2),
        ("ERROR", 5, "CRITICAL", 2),
        ("INCONCLUSIVE", 6, "WARNING", 1),
        ("ERROR", 75, "WARNING", 1),
        ("ERROR", 3, "UNKNOWN", 3),
    ],
)
def test_other_verdicts_have_the_states_that_a_monitor_knows(
    start, capsys, verdict, code, state, expected
):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    assert (
        main(["report", str(run.end(verdict, code, "because | of this")), "--nagios"]) == expected
    )
    text, _ = told(capsys)
    assert text.startswith(f"RAILGAUGE {state}: ")
    assert "|" not in text


def test_a_run_that_ended_without_a_word_is_unknown(start, capsys):
    assert main(["report", str(start().path), "--nagios"]) == 3
    assert told(capsys)[0].startswith("RAILGAUGE UNKNOWN: the run ended without a word")


def test_no_folder_is_unknown_and_never_critical(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nothing"), "--nagios"]) == 3
    assert told(capsys)[0].startswith("RAILGAUGE UNKNOWN: ")


def test_a_format_beside_it_is_unknown(start, capsys):
    assert main(["report", str(start().path), "--nagios", "--format", "csv"]) == 3
    assert "--nagios prints one line" in told(capsys)[0]


def test_a_long_reason_is_cut(start, capsys):
    run = start(sizes=(8,))
    assert main(["report", str(run.end("FAIL", 1, "x" * 5000)), "--nagios"]) == 2
    text, metrics = told(capsys)
    assert len(text) < MOST_TEXT + 40
    assert metrics
