"""Which night is a deep one, how long it may wait, and what becomes of one that measured nothing."""

import datetime
import os
from pathlib import Path

import msgspec
import pytest

from railgauge_reports.acceptance.algebra import Verdict
from railgauge_reports.history import verdicts
from railgauge_reports.history.answer import Acknowledged, Gate, Night, Told
from railgauge_slurm.nightly import nights, reporting
from railgauge_slurm.nightly.settings import Nightly
from railgauge_slurm.nightly.tonight import is_deep, outside, waits

SETTINGS = Nightly(nodes=4, at="23:30", morning="07:00", weekly="sun")
#: Sunday, the 22nd of November 2026, and the zone of this host.
SUNDAY = datetime.datetime(2026, 11, 22, 23, 31).astimezone()
SQUEUE = """#!/bin/sh
printf '%-40s%-20s%-12s%-12s%-24s%-24s%-24s%-40s%s\\n' 7 {state} 0 0 0:00 1:00 N/A '{reason}' node0
"""


def night(history: Path, when: datetime.datetime, **more: object) -> Path:
    """The folder of a night that was submitted, with its record alone."""
    folder = nights.make_folder(history, when.timestamp(), "short")
    made = nights.fresh(when.timestamp(), "login", "short", bool(more.pop("deep", False)), 4)
    nights.write_night(folder, msgspec.structs.replace(made, **more))
    return folder


def answer(verdict: Verdict, *reasons: str, over: tuple[Night, ...] = ()) -> Gate:
    """What a gate said of one night that was accepted."""
    tonight = Night(
        name="2026-11-22", folder="20261122T020000Z-short", started=0.0, state="accepted"
    )
    return Gate(
        format=1, version="0", folder="/h", simulated=False, verdict=verdict, reasons=reasons,
        judged_at=0.0, night=0, nights=over or (tonight,), epochs=(), operations=(), series=(), acks=(),
        price=None, told=(Told(kind="clock", sentence="one"),), coverage="", next_commands=(),
    )  # fmt: skip


def test_the_night_of_the_weekly_day_is_deep_also_where_it_starts_after_midnight(tmp_path):
    assert is_deep(tmp_path, SETTINGS, None, SUNDAY)
    assert is_deep(tmp_path, SETTINGS, None, SUNDAY + datetime.timedelta(hours=1))
    assert not is_deep(tmp_path, SETTINGS, None, SUNDAY - datetime.timedelta(hours=1))
    assert not is_deep(tmp_path, SETTINGS, None, SUNDAY + datetime.timedelta(days=1))
    never = msgspec.structs.replace(SETTINGS, weekly="never")
    assert not is_deep(tmp_path, never, None, SUNDAY)
    assert is_deep(tmp_path, never, True, SUNDAY)


def test_a_second_night_of_that_day_is_a_plain_one_unless_the_first_was_refused(tmp_path):
    later = SUNDAY + datetime.timedelta(hours=2)
    night(tmp_path, SUNDAY, deep=True, refused="no")
    assert is_deep(tmp_path, SETTINGS, None, later)
    night(tmp_path, SUNDAY, deep=True, job="7")
    assert not is_deep(tmp_path, SETTINGS, None, later)


def test_a_night_waits_until_the_morning_or_an_hour_longer_than_it_takes():
    assert waits(SETTINGS, SUNDAY, 30) == 7 * 60 + 29
    assert waits(SETTINGS, SUNDAY.replace(hour=6, minute=50), 30) == 90


def test_jobs_inherit_nothing_of_the_job_around_them(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "7")
    monkeypatch.setenv("SBATCH_PARTITION", "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    with outside():
        assert {n for n in os.environ if n.startswith(("SLURM", "SBATCH"))} == {"SLURM_CONF"}
    assert os.environ["SLURM_NTASKS"] == "7"


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("PENDING", "Resources", "has not begun: job 7 waits (Resources)"),
        ("PENDING", "None", "has not begun: job 7 waits (PENDING)"),
        ("DEADLINE", "None", "measured nothing: job 7 DEADLINE"),
        ("NODE_FAIL", "None", "measured nothing: job 7 NODE_FAIL"),
        ("RUNNING", "None", ""),
    ],
)
def test_a_night_without_a_measurement_says_what_became_of_its_job(
    tmp_path, programs, state, reason, told
):
    programs("squeue", SQUEUE.format(state=state, reason=reason))
    folder = night(tmp_path, SUNDAY, job="7")
    assert reporting.became(folder) == (f"{folder.name} {told}" if told else "")


def test_a_night_without_a_job_says_why(tmp_path, programs):
    programs(
        "squeue", "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n"
    )
    refused = night(
        tmp_path, SUNDAY, refused="sbatch refused (1):\n  | invalid partition\n  next: x"
    )
    assert reporting.became(refused).endswith(
        "was refused: sbatch refused (1): | invalid partition"
    )
    assert "not submitted" in reporting.became(night(tmp_path, SUNDAY))
    assert "job 7 is gone" in reporting.became(night(tmp_path, SUNDAY, job="7"))
    torn = night(tmp_path, SUNDAY)
    (torn / nights.RECORD).write_bytes(b"\xff{")
    assert "not the record of a night" in reporting.became(torn)
    by_hand = nights.make_folder(tmp_path, SUNDAY.timestamp(), "x")
    assert "nothing was measured" in reporting.became(by_hand)


def test_only_nights_after_the_last_measured_one_are_told_of_and_not_all(tmp_path, programs):
    programs("squeue", "#!/bin/sh\necho 'Invalid job id specified' >&2; exit 1\n")
    days = [SUNDAY + datetime.timedelta(days=k) for k in range(6)]
    folders = [night(tmp_path, day, job="7") for day in days]
    (folders[1] / "accept.json").write_text("{}")
    told = reporting.unmeasured(tmp_path)
    assert len(told) == 4
    assert told[0].startswith(folders[5].name)
    assert told[3] == "1 more nights before them measured nothing"
    (folders[5] / "accept.json").write_text("{}")
    assert reporting.unmeasured(tmp_path) == []


def test_a_time_that_went_by_without_a_night_is_told(tmp_path):
    def told(now: datetime.datetime) -> list[str]:
        return reporting.silent(tmp_path, SETTINGS, now.timestamp())

    morning = (SUNDAY + datetime.timedelta(days=1)).replace(hour=7, minute=0)
    assert told(morning) == []  # no night was ever made: it was set up today
    night(tmp_path, SUNDAY)
    assert told(morning) == []
    assert "no night was submitted at 23:30" in told(morning + datetime.timedelta(days=1))[0]


def test_there_is_no_pass_beside_an_alarm_and_a_regression_stays_one():
    passed = reporting.with_alarms(answer(verdicts.PASS, "all is well"), ["no night"])
    assert (passed.verdict, passed.reasons[0]) == (verdicts.INCONCLUSIVE, "no night")
    slow = reporting.with_alarms(answer(verdicts.REGRESSION, "slow"), ["no night"])
    assert (slow.verdict, slow.reasons) == (verdicts.REGRESSION, ("slow", "no night"))
    assert [told.kind for told in slow.told if told.alarms] == ["night"]
    assert reporting.with_alarms(slow, []) is slow


def test_what_the_gate_needs_is_never_let_go(tmp_path):
    days = [SUNDAY - datetime.timedelta(days=k) for k in range(40, 0, -1)]
    folders = [night(tmp_path, day, deep=k in (1, 2)) for k, day in enumerate(days)]
    states = {3: "flagged", 5: "corrupt"}
    told = tuple(
        Night(name=f"n{k}", folder=folder.name, started=0.0, state=states.get(k, "accepted"))
        for k, folder in enumerate(folders)
    )
    ack = Acknowledged(
        series="*",
        author="a",
        reason="r",
        night="n7",
        expires="",
        state="expired",
        covers=0,
        sentence="",
    )
    gate = msgspec.structs.replace(answer(verdicts.PASS, over=told), acks=(ack,))
    why = reporting.needed(tmp_path, gate)
    kept = {folders.index(tmp_path / name): reason for name, reason in why.items()}
    assert set(kept) == {1, 2, 3, 5, 7, *range(20, 40)}
    assert (kept[3], kept[7], kept[39]) == ("flagged", "acknowledged", "in a baseline")
