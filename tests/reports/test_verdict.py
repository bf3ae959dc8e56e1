from __future__ import annotations

import msgspec
import pytest

from railgauge_reports.frames import case_frame
from railgauge_reports.stored import read_run
from railgauge_reports.verdict import judge


def judged(path):
    return judge(read_run(path))


def test_a_complete_and_right_run_passes(start):
    run = start()
    for case in run.cases:
        run.result(case)
    verdict = judged(run.end())
    assert (verdict.word, verdict.exit_code, verdict.reasons) == ("PASS", 0, ())
    assert verdict.coverage.sentence().startswith("2 of 2 planned measurements made; the buffers")


def test_a_run_without_a_last_word_is_an_error(start):
    run = start()
    run.result(run.cases[0])
    verdict = judged(run.path)
    assert (verdict.word, verdict.exit_code) == ("ERROR", 3)
    assert "ended without a word" in verdict.reasons[0]
    assert "--resume" in verdict.reasons[0]
    assert "--resume" in verdict.next_commands[0]
    assert verdict.coverage.not_reached == 1


def test_wrong_data_fails_with_exit_4_and_a_command_that_repeats_it(start, flipped):
    run = start()
    run.result(run.cases[0])
    run.result(run.cases[1], wrong=(flipped,))
    verdict = judged(run.end("FAIL", 4))
    assert (verdict.word, verdict.exit_code) == ("FAIL", 4)
    assert f"--plan {run.path / 'plan.json'} " in verdict.next_commands[0]
    assert verdict.next_commands[0].endswith(
        "--operation all_reduce --dtype float32 --sizes 1024 --placement out --call blocking --op sum"
    )


def test_wrong_data_does_not_hide_how_the_run_ended(start, flipped):
    run = start()
    run.result(run.cases[0], wrong=(flipped,))
    verdict = judged(run.end("ERROR", 5, "rank 3 did not arrive"))
    assert (verdict.word, verdict.exit_code) == ("FAIL", 4)
    assert verdict.reasons[1] == "rank 3 did not arrive"


def test_results_of_another_plan_never_pass(start):
    run = start(sizes=(8,))
    run.result(msgspec.structs.replace(run.cases[0], nbytes=16, count=4))
    verdict = judged(run.end("PASS", 0))
    assert (verdict.word, verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert "0 of 1 planned" in verdict.reasons[0]


def test_data_that_nobody_checked_never_passes(start):
    run = start(sizes=(8,))
    run.result(run.cases[0], checked=0)
    verdict = judged(run.end("PASS", 0))
    assert (verdict.word, verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert "1 not checked" in verdict.reasons[0]


def test_data_that_nobody_can_check_passes_and_is_called_unverified(start):
    plan = {"ranks": 2, "backend": "perftest", "operations": ("rdma_write_bandwidth",)}
    run = start(sizes=(8,), dtypes=("uint8",), window=128, **plan)
    run.result(run.cases[0], checked=0, columns=("duration", "launch"))
    loaded = read_run(run.end("PASS", 0))
    verdict = judge(loaded)
    assert (verdict.word, verdict.exit_code) == ("PASS", 0)
    assert "the buffers of 0 of" in verdict.coverage.sentence()
    frame = case_frame(loaded)
    assert frame[["wrong", "steady"]].isna().all(axis=None)


def test_wrong_data_of_the_first_start_is_not_forgotten_by_a_resumed_run(start, flipped):
    first = start()
    first.result(first.cases[0], wrong=(flipped,))
    second = start(resume=True)
    second.result(second.cases[1])
    assert judged(second.end("PASS", 0)).exit_code == 4


def test_a_resumed_run_that_is_killed_again_is_an_error(start):
    first = start()
    first.result(first.cases[0])
    first.end("INTERRUPTED", 75)
    start(resume=True)
    assert judged(first.path).exit_code == 3


@pytest.mark.parametrize(("word", "code"), [("ERROR", 5), ("INTERRUPTED", 75), ("FAIL", 1)])
def test_the_last_word_of_a_run_is_kept(start, word, code):
    run = start()
    run.result(run.cases[0])
    verdict = judged(run.end(word, code, "rank 3 did not arrive"))
    assert (verdict.word, verdict.exit_code) == (word, code)
    assert "rank 3 did not arrive" in verdict.reasons


def test_a_gap_is_inconclusive_and_says_what_was_left_out(start):
    run = start()
    run.result(run.cases[0])
    run.gap(run.cases[1], "no memory")
    verdict = judged(run.end("INCONCLUSIVE", 6))
    assert (verdict.word, verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert verdict.reasons == (
        "not measured: all_reduce float32 sum 1024 B out blocking: no memory",
    )


def test_a_gap_of_the_first_start_is_not_forgotten_by_a_resumed_run(start):
    first = start()
    first.gap(first.cases[0], "no memory")
    second = start(resume=True)
    second.result(second.cases[1])
    assert judged(second.end("PASS", 0)).exit_code == 6


def test_a_missing_row_never_passes(start):
    run = start()
    run.result(run.cases[0])
    verdict = judged(run.end("PASS", 0))
    assert (verdict.word, verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert "1 of 2 planned" in verdict.reasons[0]


def test_a_result_without_samples_never_passes(start):
    run = start(sizes=(8,))
    run.result(run.cases[0], samples=0)
    assert judged(run.end("PASS", 0)).exit_code == 6


def test_every_round_of_a_pattern_is_planned(start):
    run = start(hosts=4, pattern="pairs", operations=("sendrecv",), sizes=(8,))
    run.result(run.cases[0], index=0)
    assert judged(run.end("PASS", 0)).coverage.planned == 3
