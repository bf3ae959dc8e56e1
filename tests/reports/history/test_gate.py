"""What the gate says of histories of real run folders, made by the simulated backend."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from railgauge.cli import main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL
from railgauge.simulation.faults import SlowNic
from railgauge_reports.history.acking import acknowledge
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.gate import gate_of

Judged = Callable[..., Gate]
SLOW = [SlowNic(node="node0001", nic=0, share=0.5)]


def kinds(gate: Gate) -> set[str]:
    return {one.kind for one in gate.told if one.alarms}


def sentences(gate: Gate) -> str:
    return "\n".join([*gate.reasons, *(one.sentence for one in gate.told)])


def test_a_good_night_passes_and_says_what_it_could_have_seen(judged: Judged) -> None:
    gate = judged(9)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("PASS", 0)
    assert gate.simulated
    assert len(gate.nights) == 10
    assert [night.state for night in gate.nights] == ["learning"] * 7 + ["accepted"] * 3
    assert {one.key.operation for one in gate.series} == {"all_reduce", "alltoall"}
    assert {one.key.metric for one in gate.series} == {"busbw", "time"}
    for one in gate.series:
        assert one.smallest_effect is not None
        assert one.smallest_effect >= 0.02
        assert one.baseline == pytest.approx(one.value, rel=0.05)
        assert len(one.values) == len(one.states) == len(gate.nights)
        assert one.values[gate.night] == one.value
        assert one.medians[:7] == one.smallest[:7] == (None,) * 7
        assert (one.medians[-1], one.smallest[-1]) == (one.baseline, one.smallest_effect)
    assert "4 of 4 series judged" in gate.coverage


def test_below_seven_nights_it_learns_and_says_so(judged: Judged) -> None:
    gate = judged(9, night="2026-01-05")
    assert (gate.verdict.word, gate.verdict.exit_code) == ("LEARNING", 6)
    assert "4 of 4 series have fewer than 7 accepted nights (this is number 5)" in gate.reasons[0]
    assert len(gate.nights) == 5


def looked_again(nights: Any, *runs: int) -> None:
    """Night 10 is slow in these confirming runs on its own nodes, too."""
    for run in runs:
        nights.add(10, into=f"confirm-same/again{run}/run", seed=98 + run, faults=SLOW)


def test_a_slow_night_is_unconfirmed_until_somebody_looks_again(
    nights: Any, judged: Judged
) -> None:
    nights.add(10, faults=SLOW)
    gate = judged(10)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("UNCONFIRMED", 6)
    assert gate.tonight.flagged == {"accepted": 2, "unconfirmed": 2}
    assert [one.key.metric for one in gate.of_state("unconfirmed")] == ["busbw", "busbw"]
    assert any("--confirm" in command for command in gate.next_commands)
    looked_again(nights, 1)
    assert judged(10).verdict.word == "UNCONFIRMED"
    looked_again(nights, 2)
    gate = judged(10)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("REGRESSION", 1)
    assert all(one.confirm_same is not None for one in gate.of_state("regression"))
    assert gate.operations[0].counts == 1


def test_a_slow_night_that_is_fine_when_measured_again_passes_and_is_no_baseline(
    nights: Any, judged: Judged
) -> None:
    before = judged(9)
    nights.add(10, faults=SLOW)
    nights.add(10, into="confirm-same", seed=99)
    gate = judged(10)
    assert gate.verdict.word == "PASS"
    assert "2 unconfirmed outliers" in gate.reasons[0]
    nights.add(11)
    after = judged(11)
    for one in after.series:
        (was,) = [other for other in before.series if other.name == one.name]
        assert one.nights == was.nights + (1 if one.key.metric == "busbw" else 2)


def test_other_nodes_tell_whether_it_is_these_nodes_or_all(nights: Any, judged: Judged) -> None:
    def others(host: str) -> str:
        return host.replace("node", "other")

    nights.add(10, faults=SLOW)
    looked_again(nights, 1, 2)
    nights.add(10, into="confirm-other", seed=98, hosts=others)
    gate = judged(10)
    slow = gate.of_state("regression")
    assert {one.scope for one in slow} == {"nodes"}
    assert slow[0].hosts == ("node0000", "node0001", "node0002", "node0003")
    assert "of node0000, node0001, node0002 and 1 more, other nodes are fine" in gate.reasons[0]
    shutil.rmtree(nights.folder / "night010.00/confirm-other")
    nights.add(10, into="confirm-other", seed=98, hosts=others, faults=SLOW)
    assert {one.scope for one in judged(10).of_state("regression")} == {"fleet"}


def test_a_confirming_run_on_the_wrong_nodes_counts_for_nothing(
    nights: Any, judged: Judged
) -> None:
    nights.add(10, faults=SLOW)
    nights.add(10, into="confirm-other", seed=98, faults=SLOW)
    nights.add(10, into="confirm-same", seed=98, hosts=lambda host: f"x{host}", faults=SLOW)
    gate = judged(10)
    assert gate.verdict.word == "UNCONFIRMED"
    assert "confirm-same ran on xnode0000, xnode0001, xnode0002, which" in sentences(gate)
    assert "confirm-other ran on node0000, node0001, node0002 as the night did" in sentences(gate)


def test_a_slow_night_in_a_new_environment_is_changed_and_names_what_changed(
    nights: Any, judged: Judged
) -> None:
    for night in sorted(nights.folder.iterdir()):
        path = night / "environment.json"
        facts = json.loads(path.read_text())
        facts["nodes"][0]["kernel"] = "6.1.0"
        facts["nodes"][0]["variables"] = {"NCCL_ALGO": "Ring", "SLURM_JOB_ID": night.name}
        path.write_text(json.dumps(facts))
    assert len(judged(9).epochs) == 1
    facts = {"kernel": "6.12.0", "variables": {"NCCL_BUFFSIZE": "1", "SLURM_JOB_ID": "9"}}
    nights.add(10, faults=SLOW, environment=facts)
    gate = judged(10)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("CHANGED", 6)
    changes = [change.sentence() for change in gate.epochs[-1].changes]
    assert changes == [
        "kernel: 6.1.0 -> 6.12.0",
        "variable NCCL_BUFFSIZE: not set -> 1",
        "variable NCCL_ALGO: Ring -> not set",
    ]
    assert gate.epochs[-1].is_new
    assert set(gate.epochs[-1].slow) == {one.name for one in gate.of_state("changed")}
    assert "kernel: 6.1.0 -> 6.12.0" in gate.reasons[0]
    acknowledge(nights.folder, "all", "A. Operator", "new kernel", None, "night010.00")
    gate = judged(10)
    assert gate.verdict.word == "PASS"
    nights.add(11, faults=SLOW, environment=facts)
    assert judged(11).verdict.word == "PASS"
    assert "A. Operator" in judged(11).epochs[-1].acknowledged


def test_one_missing_night_is_told_and_two_alarm(nights: Any, judged: Judged) -> None:
    nights.add(11)
    gate = judged(11)
    assert gate.verdict.word == "PASS"
    assert [night.state for night in gate.nights[-2:]] == ["missing", "accepted"]
    assert "1 night is missing before 2026-01-12" in sentences(gate)
    nights.add(14)
    gate = judged(14)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert kinds(gate) == {"missing"}
    assert "2 nights are missing before 2026-01-15" in gate.reasons[0]


def test_a_history_that_has_gone_silent_alarms(nights: Any, judged: Judged) -> None:
    assert judged(10).verdict.word == "PASS"  # the night of day 10 is not late yet
    gate = judged(12)
    assert gate.verdict.exit_code == 6
    assert "missing since 2026-01-10, the last one there is" in gate.reasons[0]
    assert [night.state for night in gate.nights[10:]] == ["missing", "missing"]
    assert judged(12, night="2026-01-10").verdict.word == "PASS"  # as of then
    (nights.folder / "history.toml").write_text('every = "7d"\n')
    assert judged(12).verdict.word == "PASS"
    (nights.folder / "history.toml").write_text('every = "off"\n')
    assert judged(400).verdict.word == "PASS"


def test_a_night_that_cannot_be_read_is_named_and_the_others_are_used(
    nights: Any, judged: Judged
) -> None:
    (nights.folder / "night004.00" / JOURNAL).write_bytes(b"\x00\xff not a journal\n{}\n")
    gate = judged(9)
    assert gate.verdict.word == "PASS"
    assert (gate.nights[4].folder, gate.nights[4].state) == ("night004.00", "corrupt")
    assert "night004.00 cannot be read, and is left out" in sentences(gate)
    (nights.folder / "night009.00" / JOURNAL).write_text("")
    gate = judged(9)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert gate.series == ()
    assert kinds(gate) == {"corrupt"}


def test_samples_that_are_cut_short_name_the_run(nights: Any, judged: Judged) -> None:
    for path in (nights.folder / "night003.00" / "samples").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    gate = judged(9)
    assert gate.verdict.word == "PASS"
    assert (gate.nights[3].folder, gate.nights[3].state) == ("night003.00", "corrupt")


def test_a_run_that_ended_without_a_word_does_not_pass(nights: Any, judged: Judged) -> None:
    path = nights.folder / "night009.00" / JOURNAL
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    gate = judged(9)
    assert (gate.verdict.word, gate.verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert "ended ERROR (3)" in gate.reasons[0]
    assert gate.series != ()


def test_two_nights_of_one_time_are_told_and_a_copy_counts_once(
    nights: Any, judged: Judged
) -> None:
    before = judged(9)
    shutil.copytree(nights.folder / "night008.00", nights.folder / "zz-copy")
    gate = judged(9)
    assert "zz-copy is a copy, and left out" in sentences(gate)
    assert [one.nights for one in gate.series] == [one.nights for one in before.series]


def test_a_clock_that_is_ahead_is_told(judged: Judged) -> None:
    gate = judged(7)
    assert "night 2026-01-09, and 1 more began in the future" in sentences(gate)


def test_a_time_that_no_clock_has_is_told_and_is_that_of_the_files(
    nights: Any, judged: Judged
) -> None:
    for folder, absurd in (("night004.00", 1e300), ("night005.00", -1e18)):
        path = nights.folder / folder / JOURNAL
        at = path.stat().st_mtime
        first, _, rest = path.read_text().partition("\n")
        path.write_text(json.dumps(json.loads(first) | {"started": absurd}) + "\n" + rest)
        os.utime(path, (at, at))
    gate = judged(9)
    assert gate.verdict.word == "PASS"
    assert [night.folder for night in gate.nights[4:6]] == ["night004.00", "night005.00"]
    assert "night004.00 records a time that no clock has" in sentences(gate)


def test_a_folder_of_a_hostile_name_is_a_night_like_any_other(
    nights: Any, judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsencode(nights.folder) + b"/\xff<script>|`x`"
    os.rename(nights.folder / "night003.00", name)
    gate = judged(9)
    assert gate.verdict.word == "PASS"
    assert gate.nights[3].folder == "\ufffd<script>|`x`"
    assert main(["gate", str(nights.folder), "--json", "--night", "2026-01-10"]) == 0
    assert json.loads(capsys.readouterr().out)["nights"][3]["folder"] == gate.nights[3].folder


@pytest.mark.parametrize(
    ("code", "verdict", "word", "expected"),
    [
        (4, "FAIL", "WRONG DATA", 4),
        (5, "ERROR", "HANG", 5),
        (6, "INCONCLUSIVE", "INCONCLUSIVE", 6),
        (75, "INTERRUPTED", "INCONCLUSIVE", 6),
    ],
)
def test_a_run_of_the_night_that_did_not_end_well_decides(
    nights: Any, judged: Judged, code: int, verdict: str, word: str, expected: int
) -> None:
    path = nights.folder / "night009.00" / JOURNAL
    *lines, last = path.read_text().splitlines()
    end = json.loads(last) | {"exit_code": code, "verdict": verdict, "message": "because"}
    path.write_text("\n".join([*lines, json.dumps(end)]) + "\n")
    gate = judged(9)
    assert (gate.verdict.word, gate.verdict.exit_code) == (word, expected)
    assert f"night009.00 ended {verdict} ({code}): " in gate.reasons[0]


def test_another_set_of_nodes_is_told_and_is_no_new_environment(
    nights: Any, judged: Judged
) -> None:
    nights.add(10, hosts=lambda host: host.replace("node0003", "node0009"))
    gate = judged(10)
    assert gate.verdict.word == "PASS"
    assert len(gate.epochs) == 1
    assert "other nodes than the night before: new node0009, gone node0003" in sentences(gate)


def test_names_of_folders_and_the_order_of_reading_say_nothing(nights: Any, judged: Judged) -> None:
    nights.add(10, faults=SLOW)
    before = judged(10)
    folders = sorted(nights.folder.glob("night*"))
    for number, folder in enumerate(folders):
        folder.rename(folder.with_name(f"{(number * 7) % 11:02d}-again"))
    after = judged(10)
    assert after.verdict == before.verdict
    assert [one.name for one in after.series] == [one.name for one in before.series]
    assert [one.p for one in after.series] == [one.p for one in before.series]
    assert [n.name for n in after.nights] == [n.name for n in before.nights]


def test_since_leaves_earlier_nights_out(judged: Judged) -> None:
    gate = judged(9, since="2026-01-04")
    assert gate.verdict.word == "LEARNING"
    assert gate.nights[0].name == "2026-01-04"
    with pytest.raises(UsageError, match="no such night"):
        judged(9, since="yesterday")
    with pytest.raises(UsageError, match=r"--night 2031-01-01: no such night"):
        judged(9, night="2031-01-01")


def test_several_runs_of_a_night_are_one_value_their_median(nights: Any, judged: Judged) -> None:
    for number in range(3):
        nights.add(10 + number / 1000, name="several", into=f"run{number}", seed=1000 + number)
    gate = judged(10)
    for one in gate.series:
        assert len(one.repeats) == 3
        assert one.value == sorted(one.repeats)[1]


def test_an_acknowledgement_covers_the_series_that_it_names(nights: Any, judged: Judged) -> None:
    nights.add(10, faults=SLOW)
    looked_again(nights, 1, 2)
    acknowledge(nights.folder, "*/alltoall/*", "me", 'a "reason"\nof two lines', None, "2026-01-11")
    gate = judged(10)
    assert [one.key.operation for one in gate.of_state("acknowledged")] == ["alltoall"]
    assert gate.verdict.word == "REGRESSION"
    assert gate.acks[0].state == "holds"
    assert gate.acks[0].covers == 1
    with pytest.raises(UsageError, match="covers nothing that is flagged"):
        acknowledge(nights.folder, "*/broadcast/*", "me", "why", None, "2026-01-11")


def test_an_acknowledgement_that_has_expired_is_told_and_counts_no_more(
    nights: Any, judged: Judged
) -> None:
    nights.add(10, faults=SLOW)
    acknowledge(nights.folder, "all", "me", "cable on order", "2026-01-12", "2026-01-11")
    nights.add(11, faults=SLOW)
    assert judged(11).verdict.word == "PASS"
    nights.add(12, faults=SLOW)
    gate = judged(12)
    assert gate.verdict.word == "REGRESSION"
    assert gate.acks[0].state == "expired"
    assert {one.since for one in gate.of_state("regression")} == {10}


def test_bad_settings_and_acknowledgements_name_the_field(nights: Any, judged: Judged) -> None:
    for text, why in (
        ('every = "daily"', "every"),
        ('time_zone = "Mars/Olympus"', "time zone"),
        ("colour = 3", "colour"),
        ("\x00", "history.toml"),
    ):
        (nights.folder / "history.toml").write_text(text)
        with pytest.raises(UsageError, match=why):
            judged(9)
    (nights.folder / "history.toml").unlink()
    (nights.folder / "acks.toml").write_text('[[acks]]\nseries = "all"\n')
    with pytest.raises(UsageError, match="night"):
        judged(9)


def test_a_history_without_nights_cannot_be_judged(tmp_path: Any, nights: Any) -> None:
    for folder, why in (
        (tmp_path / "nowhere", "No such file"),
        (tmp_path, "no night in it|is locked|none of"),
        (nights.folder / "night001.00", "no history"),
    ):
        if folder == tmp_path:
            folder = tmp_path / "empty"
            folder.mkdir()
        with pytest.raises(NotMeasuredError, match=why):
            gate_of(folder)


def test_the_answer_is_json_as_it_stands(nights: Any, judged: Judged) -> None:
    nights.add(10, faults=SLOW)
    gate = judged(10)
    assert msgspec.json.decode(msgspec.json.encode(gate), type=Gate) == gate
