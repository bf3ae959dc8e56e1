"""The texts of a schedule: the same every time, and one word stays one word for whoever reads the line."""

import dataclasses
import datetime
import shutil
import subprocess
from pathlib import Path

import pytest

from railgauge.errors import UsageError
from railgauge_slurm.nightly import schedule as texts
from railgauge_slurm.nightly.schedule import Clock, Schedule, scheduled

HOSTILE = "/tmp/a b/$(touch owned)/`id`/100%/'q'/\"d\"/<script>;&|é"


def of(history: str, **more: str) -> Schedule:
    return scheduled(
        Path(history), ("/opt/py thon", "-m", "railgauge"), Clock(2, 0), Clock(7, 30),
        {"SLURM_CONF": "/etc/slurm conf/%c", "PATH": "/opt/slurm/bin:/usr/bin"}, **more,
    )  # fmt: skip


def words_of_shell(line: str) -> list[str]:
    """What `/bin/sh` makes of the command of a line, program replaced by one that prints its words."""
    script = 'f() { for word in "$@"; do printf "%s\\n" "$word"; done; }\n'
    body = line.replace("'/opt/py thon'", "f", 1)
    assert body != line
    shown = subprocess.run(["sh", "-c", script + body.partition(" >>")[0]], capture_output=True)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.decode().splitlines()


@pytest.mark.parametrize("history", ["/shared/nights", HOSTILE])
def test_a_line_of_cron_is_the_command_and_nothing_else(history):
    made = texts.cron(of(history))
    night, morning = [line for line in made.splitlines() if not line.startswith("#")]
    assert night.startswith("0 2 * * * PATH=/opt/slurm/bin:/usr/bin SLURM_CONF=")
    assert morning.startswith("30 7 * * * ")
    unescaped = night.split("* * * ", 1)[1].replace("\\%", "%")
    assert "%" not in night.replace("\\%", "")
    assert words_of_shell(unescaped) == [
        "-m", "railgauge", "slurm", "nightly", "--history", history, "--now",
    ]  # fmt: skip
    assert not Path("owned").exists()


@pytest.mark.parametrize("history", ["/shared/nights", HOSTILE])
def test_a_block_of_scrontab_has_options_without_blanks_and_the_same_command(history):
    made = texts.scrontab(of(history, partition="debug", account="ops"))
    lines = made.splitlines()
    assert lines[0].endswith("edits in here are lost")
    assert lines[-1] == texts.end(of(history))
    options = [line.split(" ") for line in lines if line.startswith("#SCRON")]
    assert all(len(words) == 2 for words in options)
    assert ["#SCRON", "--partition=debug"] in options
    night = next(line for line in lines if line.startswith("0 2 * * * "))
    assert words_of_shell(night.split("* * * ", 1)[1])[-2:] == [history, "--now"]


def test_the_same_schedule_gives_the_same_text_and_another_history_another_name():
    assert texts.scrontab(of("/a")) == texts.scrontab(of("/a"))
    assert of("/a").name != of("/b").name
    assert texts.PRINTED.keys() == {"cron", "systemd", "scrontab"}


@pytest.mark.parametrize("history", ["/shared/nights", HOSTILE])
def test_units_of_systemd_are_understood_by_systemd(history, tmp_path):
    made = texts.systemd(of(history))
    assert len(made) == 4
    service = next(text for name, text in made.items() if name.endswith("night.service"))
    command = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    assert "$(touch" not in command.replace("$$(touch", "")
    assert "/100%/" not in service.replace("/100%%/", "")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    runnable = dataclasses.replace(of(history), variables={})
    for name, text in texts.systemd(runnable).items():
        (tmp_path / name).write_text(text.replace('"/opt/py thon"', "/bin/true"))
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    shown = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True
    )
    complaints = [line for line in shown.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []


@pytest.mark.parametrize("history", ["/a\nb", "/a\rb", "/a\x00b", "/a\u2028b"])
def test_a_path_that_would_begin_another_line_is_refused(history):
    with pytest.raises(UsageError, match="control character"):
        of(history)


def test_a_partition_that_a_scron_line_would_split_is_refused():
    with pytest.raises(UsageError, match="knows no quotes"):
        texts.scrontab(of("/a", partition="a b"))


@pytest.mark.parametrize("text", ["24:00", "2", "02:60", "", "02:00:00", "-1:00", "ab:cd"])
def test_what_is_no_time_of_day_names_its_field(text):
    with pytest.raises(UsageError, match=r"--at"):
        texts.clock(text, "--at")


def test_a_night_that_starts_late_belongs_to_the_time_that_it_was_planned_for():
    noon = datetime.timezone.utc
    late = datetime.datetime(2026, 11, 23, 0, 5, tzinfo=noon)
    assert Clock(23, 55).slot(late) == datetime.datetime(2026, 11, 22, 23, 55, tzinfo=noon)
    assert Clock(0, 5).slot(late) == late


def test_a_day_is_known_by_its_name_and_a_wrong_one_is_corrected():
    assert texts.day("Sunday", "--weekly") == texts.day("sun", "--weekly") == "sun"
    with pytest.raises(UsageError, match="Did you mean 'sun'"):
        texts.day("sunn", "--weekly")
