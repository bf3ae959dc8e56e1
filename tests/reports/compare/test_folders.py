"""Two folders of runs that are no pairs: what matches, what differs, and what the fabric counted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from railgauge.errors import NotMeasuredError
from railgauge.records import Counted, Moved, Wrong
from railgauge_reports.compare import show
from railgauge_reports.compare.answer import Answer, exit_code, judge_folders
from railgauge_reports.compare.effects import CANNOT_TELL, FASTER, SAME, SLOWER
from railgauge_reports.compare.measured import launches_of

SIZES = (1024, 65536)


def noisy(median: float, seed: int = 1, samples: int = 320) -> np.ndarray:
    return median * np.random.default_rng(seed).lognormal(0, 0.01, samples)


@pytest.fixture
def made(start) -> Callable[..., Path]:
    """`made("a", (1e-5, 2e-5), **plan)`: a run folder whose sizes take these medians."""

    def run(
        folder: str, medians: Sequence[float], *, counted: tuple[Counted, ...] = (), **more
    ) -> Path:
        writer = start(folder=folder, **{"sizes": SIZES, **more})
        for case, median in zip(writer.cases, medians, strict=True):
            writer.result(case, noisy(median, len(folder)), samples=320, counted=counted)
        return writer.end()

    return run


def judged(a: Path, b: Path, margin: float = 0.02, spread: float = 0.02) -> Answer:
    return judge_folders(launches_of(a), launches_of(b), (str(a), str(b)), margin, spread)


def word(answer: Answer) -> list[str]:
    return [row.word for row in answer.rows]


def test_a_run_beside_itself_is_never_different_and_says_what_it_assumes(made):
    folder = made("a", (1e-5, 2e-5))
    answer = judged(folder, folder)
    assert word(answer) == [CANNOT_TELL, CANNOT_TELL]
    assert "a side has one launch" in answer.notes[0]
    assert exit_code(answer) == 6
    trusting = judged(folder, folder, spread=0.001)
    assert word(trusting) == [SAME, SAME]
    assert exit_code(trusting) == 0
    assert answer.differences == []


def test_a_planted_effect_has_its_sign_and_its_interval(made):
    answer = judged(made("a", (1e-5, 2e-5)), made("bb", (1.1e-5, 1.6e-5)))
    assert word(answer) == [SLOWER, FASTER]
    slow, fast = answer.rows
    assert slow.ratio_low < 1.1 < slow.ratio_high
    assert fast.ratio_low < 0.8 < fast.ratio_high
    assert (slow.a_seconds, slow.b_seconds) == pytest.approx((1e-5, 1.1e-5), rel=0.01)
    assert slow.a_busbw_GBps == pytest.approx(1.5 * 1024 / 1e-5 / 1e9, rel=0.01)
    assert exit_code(answer) == 0


def test_several_runs_a_side_show_how_much_launches_differ(made, tmp_path):
    for side, ratio in (("a", 1.0), ("b", 1.05)):
        for turn, factor in enumerate((0.995, 1.0, 1.003, 1.001)):
            made(f"{side}/run{turn}", (1e-5 * ratio * factor, 2e-5 * factor))
    answer = judged(tmp_path / "a", tmp_path / "b")
    assert word(answer) == [SLOWER, SAME]
    assert (answer.launches_a, answer.launches_b) == (4, 4)
    assert "Welch" in answer.method
    assert answer.notes == []


def test_runs_that_vary_a_lot_from_launch_to_launch_cannot_tell(made, tmp_path):
    for side, ratio in (("a", 1.0), ("b", 1.05)):
        for turn, factor in enumerate((0.9, 1.0, 1.2)):
            made(f"{side}/run{turn}", (1e-5 * ratio * factor, 2e-5 * factor))
    assert word(judged(tmp_path / "a", tmp_path / "b")) == [CANNOT_TELL] * 2


def test_sizes_of_one_side_alone_are_listed_and_not_compared(made):
    answer = judged(made("a", (1e-5,), sizes=(1024,)), made("bb", (1.3e-5, 2e-5)))
    assert [row.nbytes for row in answer.rows] == [1024]
    assert answer.unmatched == [
        "only in B: all_reduce float32 sum out blocking barrier, 4 ranks: 64K"
    ]
    told = {d.what: (d.a, d.b) for d in answer.differences}
    assert told["plan: sizes"] == ("1K", "1K,64K")
    assert exit_code(answer) == 0
    assert exit_code(answer, fail_if_slower=0.5) == 6  # a size that has no partner is not ruled out


def test_plans_that_have_nothing_in_common_answer_nothing(made):
    a = made("a", (1e-5, 2e-5))
    b = made("bb", (1e-5, 2e-5), operations=("broadcast",))
    answer = judged(a, b)
    assert answer.rows == []
    assert len(answer.unmatched) == 2
    assert exit_code(answer) == 6
    assert "no case is alike on both sides" in show.text(answer)


def test_other_ranks_are_other_cases(made):
    answer = judged(made("a", (1e-5, 2e-5)), made("bb", (1e-5, 2e-5), ranks=2))
    assert answer.rows == []
    assert "4 ranks" in answer.unmatched[0]
    assert "2 ranks" in answer.unmatched[1]


def test_a_field_that_differs_throughout_is_what_is_compared(made):
    a = made("a", (1e-5, 2e-5))
    b = made("bb", (1.5e-5, 3e-5), calls=("persistent",), dtypes=("int32",))
    answer = judged(a, b)
    assert answer.compared == {"call": ("blocking", "persistent"), "dtype": ("float32", "int32")}
    assert word(answer) == [SLOWER, SLOWER]
    assert "differs: case: call: A blocking, B persistent" in show.text(answer)


def test_a_field_that_varies_within_a_side_must_match(made):
    a = made("a", (1e-5, 2e-5))
    b = made("bb", (1e-5, 2e-5, 3e-5, 4e-5), calls=("blocking", "persistent"))
    answer = judged(a, b)
    assert [row.call for row in answer.rows] == ["blocking", "blocking"]
    assert "persistent" in answer.unmatched[0]


def test_variables_and_versions_that_differ_are_printed(made):
    a = made("a", (1e-5, 2e-5), variables=(("UCX_TLS", "tcp"),), budget=2.0)
    b = made("bb", (1e-5, 2e-5), variables=(("UCX_TLS", "sm"), ("FI_X", "1")))
    path = b / "environment.json"
    path.write_text(path.read_text().replace("Test CPU", "Other CPU"))
    told = {d.what: (d.a, d.b) for d in judged(a, b).differences}
    assert told == {
        "plan: variable UCX_TLS": ("tcp", "sm"),
        "plan: variable FI_X": ("not set", "1"),
        "plan: budget": ("2.0", "1.0"),
        "processor": ("Test CPU", "Other CPU"),
    }


def test_what_the_audit_read_differs_check_by_check_and_its_cost_and_counts_do_not(made):
    folders = made("a", (1e-5, 2e-5)), made("bb", (1e-5, 2e-5))
    for folder, seconds, enabled, flaps in zip(
        folders, (0.01, 0.02), ([3], []), (1, 7), strict=True
    ):
        reads = [
            {"check": "pfc", "value": {"enabled": enabled}},
            {"check": "link_flaps", "value": {"eth0": flaps}},
            {"check": "mtu", "value": {"eth0": 9000}},
            {"check": "governor", "unknown": "no cpufreq"},
        ]
        environment = json.loads((folder / "environment.json").read_text())
        environment["nodes"][0]["audit"] = {"host": "n0", "seconds": seconds, "reads": reads}
        (folder / "environment.json").write_text(json.dumps(environment))
    told = {d.what: (d.a, d.b) for d in judged(*folders).differences}
    assert told == {"audit: pfc": ('{"enabled":[3]}', '{"enabled":[]}')}


def test_other_machines_cannot_be_told_from_another_configuration(made):
    a, b = made("a", (1e-5, 2e-5)), made("bb", (1.5e-5, 2e-5))
    journal = b / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"n1"', '"n7"'))
    answer = judged(a, b)
    assert (
        "A ran on n0 n1, B on n0 n7: machine and configuration cannot be told apart"
        in answer.notes[0]
    )
    assert answer.rows[0].hosts_b == "n0 n7"


def test_wrong_data_has_no_speed(made, start, flipped):
    a = made("a", (1e-5, 2e-5))
    writer = start(folder="bb", sizes=SIZES)
    writer.result(writer.cases[0], noisy(1e-6), samples=320, wrong=(flipped,))
    writer.result(writer.cases[1], noisy(1e-6), samples=320)
    answer = judged(a, writer.end("FAIL", 4))
    assert word(answer) == ["wrong data", FASTER]
    assert (answer.rows[0].reason, answer.rows[0].ratio) == ("on B", None)
    assert isinstance(flipped, Wrong)
    assert exit_code(answer) == 4
    assert any("ended with FAIL" in note for note in answer.notes)


def test_a_gap_is_a_reason_and_ranks_that_shared_a_gpu_say_nothing_of_speed(made, start):
    writer = start(folder="bb", sizes=SIZES, functional=True)
    writer.result(writer.cases[0], noisy(1e-5), samples=320)
    writer.gap(writer.cases[1], "needs 8 GiB")
    answer = judged(made("a", (1e-5, 2e-5)), writer.end())
    assert word(answer) == [CANNOT_TELL] * 2
    assert [row.reason for row in answer.rows] == [
        "ranks shared a GPU: its time says nothing of speed",
        "needs 8 GiB",
    ]
    assert answer.rows[0].b_busbw_GBps is None


def test_slower_fails_only_where_it_is_asked_and_shown(made):
    slow = judged(made("a", (1e-5, 2e-5)), made("bb", (1.2e-5, 2e-5)))
    assert exit_code(slow) == 0
    assert exit_code(slow, fail_if_slower=0.1) == 1
    assert exit_code(slow, fail_if_slower=0.5) == 0
    close = judged(made("c", (1e-5, 2e-5)), made("d", (1.04e-5, 2.04e-5)))
    assert exit_code(close, fail_if_slower=0.045) == 6  # 1.1 is not ruled out
    assert (exit_code(close), exit_code(close, fail_if_slower=0.2)) == (6, 0)


def test_folders_without_runs_are_named(tmp_path):
    with pytest.raises(NotMeasuredError, match=r"No such file.*\n.*expected: a run folder"):
        launches_of(tmp_path / "nowhere")
    with pytest.raises(NotMeasuredError, match=r"no journal\.jsonl here"):
        launches_of(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "journal.jsonl").write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(NotMeasuredError, match="not a railgauge record"):
        launches_of(tmp_path)


def test_pairs_of_ranks_are_compared_group_by_group(start):
    for folder, slow in (("a", 1.0), ("bb", 1.4)):
        writer = start(
            folder=folder, hosts=4, sizes=(1024,), pattern="pairs", operations=("sendrecv",)
        )
        for turn in range(3):
            index = 0
            times = np.round(noisy(1e-5) * 1e9).astype(np.int64)

            def stamps(group, slow=slow, times=times):
                rows = np.zeros((2, len(times), 2), np.int64)
                rows[:, :, 1] = times * (slow if 3 in group else 1)
                return rows

            writer.result(writer.cases[index], stamps, index=turn)
        writer.end()
    path = writer.path.parent
    answer = judged(path / "a", path / "bb")
    slower = {row.group for row in answer.rows if row.word == SLOWER}
    assert slower == {row.group for row in answer.rows if "3" in row.group}
    assert len(answer.rows) == 6
    assert "pairs round 0" in show.text(answer)


# what was counted -----------------------------------------------------------------------------------


def counted(*moved: Moved) -> tuple[Counted, ...]:
    return (Counted(node=0, seconds=1.0, moved=moved),)


def test_a_gain_that_costs_forty_times_the_losses_is_seen(made):
    few, many = (Moved("rdma", "mlx5_0", 1, "packet_seq_err", n) for n in (5, 200))
    sent = Moved("rdma", "mlx5_0", 1, "port_xmit_data", 4_000_000)
    a = made("a", (1e-5, 2e-5), counted=counted(few, sent))
    b = made("bb", (9e-6, 1.8e-5), counted=counted(many, sent))
    answer = judged(a, b)
    (row,) = answer.events
    moved = (32 + 320) * sum(SIZES) / 1e9
    assert (row.event, row.a, row.b) == ("seq_nak_rx", 10, 400)
    assert row.a_per_GB == pytest.approx(10 / moved)
    assert row.difference_per_GB == pytest.approx(390 / moved)
    assert row.times == pytest.approx(40)
    assert row.noteworthy
    assert "40 x" in show.text(answer)


def test_an_event_of_one_side_alone_is_zero_on_the_other_only_where_it_was_read(made):
    lost = counted(Moved("rdma", "mlx5_0", 1, "packet_seq_err", 7))
    idle, blind = counted(), ()
    a = made("a", (1e-5, 2e-5), counted=idle)
    b = made("bb", (1e-5, 2e-5), counted=lost)
    (row,) = judged(a, b).events
    assert (row.a, row.b, row.times) == (0, 14, math.inf)
    assert "only B" in show.text(judged(a, b))
    (row,) = judged(made("ccc", (1e-5, 2e-5), counted=blind), b).events
    assert (row.a, row.a_per_GB, row.times) == (None, None, None)
    assert "unknown" in show.text(judged(made("dddd", (1e-5, 2e-5), counted=blind), b))


def test_events_of_cases_that_one_side_has_alone_do_not_count(made):
    lost = counted(Moved("rdma", "mlx5_0", 1, "packet_seq_err", 7))
    a = made("a", (1e-5,), sizes=(1024,), counted=lost)
    (row,) = judged(a, made("bb", (1e-5, 2e-5), counted=lost)).events
    assert (row.a, row.b) == (7, 7)


# output ---------------------------------------------------------------------------------------------


def test_the_table_keeps_to_eighty_columns(made):
    answer = judged(made("a", (1e-5, 2e-5)), made("bb", (1.1e-5, 2e-5)))
    table = [
        line for line in show.text(answer).splitlines() if line.startswith(("size", "1K", "64K"))
    ]
    assert len(table) == 3
    assert max(map(len, table)) <= 80
    assert table[1].split()[-1] == SLOWER


def test_bandwidth_is_the_other_way_round(made):
    answer = judged(made("a", (1e-5, 2e-5)), made("bb", (2e-5, 2e-5)))
    line = next(x for x in show.text(answer, "busbw").splitlines() if x.startswith("1K"))
    size, a, b, ratio, *_ = line.split()
    assert (size, float(a) / float(b)) == ("1K", pytest.approx(2, rel=0.02))
    assert float(ratio) == pytest.approx(0.5, rel=0.02)


def test_markdown_has_pipe_tables_of_rows_and_differences(made):
    a, b = made("a", (1e-5, 2e-5)), made("bb", (1.1e-5, 2e-5), budget=3.0)
    text = show.markdown(judged(a, b))
    assert "| size | A | B | time B/A | 95 % interval | word |" in text
    assert "| plan: budget | 1.0 | 3.0 |" in text
    assert "slower |" in text
