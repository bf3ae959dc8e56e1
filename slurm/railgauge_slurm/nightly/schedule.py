"""When a night begins, and its report: text for cron, for scrontab and for systemd timers.

Every text is a pure function of the schedule, so that installing it twice changes nothing. The command
is quoted for who reads the line: a shell (cron, scrontab), cron's own `%`, systemd's unit files.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from railgauge.errors import UsageError, unknown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as datetime.weekday counts
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
#: What no line of a table can hold: it would end the line, and begin another one.
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
#: Slurm's limit of a job that only submits others, and of one that writes reports.
SUBMITTING_MINUTES, REPORTING_MINUTES = 10, 60


@dataclasses.dataclass(frozen=True)
class Clock:
    """A time of day, as clocks on the wall show it."""

    hour: int
    minute: int

    def __str__(self) -> str:
        return f"{self.hour:02d}:{self.minute:02d}"

    def slot(self, now: datetime.datetime) -> datetime.datetime:
        """The last such time at or before `now`, in the same zone: a late start belongs to it."""
        today = now.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0)
        return today if today <= now else today - datetime.timedelta(days=1)


def clock(text: str, field: str) -> Clock:
    """`02:00`; raises UsageError that names the field."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{field}: {text!r} is no time of day.\n  expected: HH:MM, 00:00 to 23:59\n"
            f"  next: {field} 02:00"
        )
    return Clock(int(found[1]), int(found[2]))


def day(text: str, field: str) -> str:
    """`sun` of `Sunday`; raises UsageError that names the field."""
    name = text.strip().lower()
    if name[:3] not in DAYS or (len(name) > 3 and name not in _LONG):
        raise unknown(f"day of {field}", text, DAYS, f"{field} sun")
    return name[:3]


_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A command once a day. `name` is a word, `minutes` what it may take."""

    name: str
    about: str
    at: Clock
    command: tuple[str, ...]
    minutes: int


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The entries of one history, and the variables that their commands need.

    `partition` and `account` are of the jobs that scrontab makes of them.
    """

    history: Path
    entries: tuple[Entry, ...]
    variables: Mapping[str, str]
    partition: str = ""
    account: str = ""

    @property
    def name(self) -> str:
        """As `schedule_name`."""
        return schedule_name(self.history)

    def log(self, entry: Entry) -> Path:
        """Where what an entry prints is added to."""
        return self.history / "logs" / f"{entry.name}.log"


def schedule_name(history: Path) -> str:
    """A word that no other history has, as names of jobs and units want it."""
    digest = hashlib.sha256(str(history).encode(errors="surrogateescape")).hexdigest()
    return f"railgauge-nightly-{digest[:8]}"


def scheduled(
    history: Path,
    python: tuple[str, ...],
    at: Clock,
    morning: Clock,
    variables: Mapping[str, str],
    partition: str = "",
    account: str = "",
) -> Schedule:
    """The night at `at`, its report at `morning` whatever became of it; raises UsageError.

    `python` are the words that start railgauge.
    """
    for word in (str(history), *python, *variables.values()):
        check_line(word)
    own = (*python, "slurm", "nightly", "--history", str(history))
    night = Entry("night", "submits the night's jobs", at, (*own, "--now"), SUBMITTING_MINUTES)
    report = Entry(
        "morning",
        "reports, also where no night was",
        morning,
        (*own, "--report"),
        REPORTING_MINUTES,
    )
    return Schedule(history, (night, report), variables, partition, account)


def check_line(text: str) -> str:
    """The text; raises UsageError where a line of a table cannot hold it."""
    if _BREAKS.search(text):
        raise UsageError(
            f"{text!r}: a control character, which no line of cron, scrontab or systemd can hold.\n"
            "  expected: a path without line breaks\n  next: --history ANOTHER_FOLDER"
        )
    return text


# what each scheduler reads ----------------------------------------------------------------------------


def shell_line(schedule: Schedule, entry: Entry) -> str:
    """The command as a shell reads it, with its variables, what it says added to its log."""
    pairs = [f"{name}={shlex.quote(value)}" for name, value in sorted(schedule.variables.items())]
    log = shlex.quote(str(schedule.log(entry)))
    return " ".join([*pairs, shlex.join(entry.command), f">>{log}", "2>&1"])


def cron(schedule: Schedule) -> str:
    """Lines of a crontab (crontab -e): cron ends a command at a % that has no backslash."""
    made = [f"# {_title(schedule)}"]
    for entry in schedule.entries:
        made.append(f"# {entry.about}")
        line = shell_line(schedule, entry).replace("%", "\\%")
        made.append(f"{entry.at.minute} {entry.at.hour} * * * {line}")
    return "\n".join(made) + "\n"


def begin(schedule: Schedule) -> str:
    """The line above an installed block; the word of the history is what it is known by."""
    return f"# {schedule.name} begin: written by railgauge slurm nightly, edits in here are lost"


def end(schedule: Schedule) -> str:
    """The line below it."""
    return f"# {schedule.name} end"


def scrontab(schedule: Schedule) -> str:
    """A block of scrontab's file.

    Options of `#SCRON` are split at blanks and know no quotes (Slurm 22.05, src/scrontab/parse.c), so
    that none holds a path: output goes to the log by the shell.
    """
    made = [begin(schedule), f"# {_title(schedule)}"]
    for entry in schedule.entries:
        made += [f"# {entry.about}", f"#SCRON --job-name={schedule.name}-{entry.name}"]
        made += [f"#SCRON --time={entry.minutes}", "#SCRON --ntasks=1", "#SCRON --output=/dev/null"]
        for option in ("partition", "account"):
            if value := getattr(schedule, option):
                made.append(f"#SCRON --{option}={scron_word(value, option)}")
        made.append(f"{entry.at.minute} {entry.at.hour} * * * {shell_line(schedule, entry)}")
    return "\n".join([*made, end(schedule)]) + "\n"


def scron_word(text: str, field: str) -> str:
    """The text as part of a #SCRON line; raises UsageError where it would be several."""
    if re.fullmatch(r"[^\s\x00-\x1f\x7f]+", text) is None:
        raise UsageError(
            f"{field}: {text!r} cannot stand in a #SCRON line, which knows no quotes.\n"
            f"  expected: the name of a Slurm {field}\n  next: --print cron"
        )
    return text


def systemd(schedule: Schedule) -> dict[str, str]:
    """File name -> content: a service and a timer for each entry; systemctl enables the timers."""
    made = {}
    for entry in schedule.entries:
        unit = f"{schedule.name}-{entry.name}"
        variables = "".join(
            f"Environment={_unit_word(f'{name}={value}')}\n"
            for name, value in sorted(schedule.variables.items())
        )
        log = str(schedule.log(entry)).replace("%", "%%")
        made[f"{unit}.service"] = (
            f"[Unit]\nDescription=railgauge {entry.about}\n\n[Service]\nType=oneshot\n{variables}"
            f"ExecStart={' '.join(map(_argument, entry.command))}\n"
            f"StandardOutput=append:{log}\nStandardError=inherit\nTimeoutStartSec={entry.minutes}min\n"
        )
        made[f"{unit}.timer"] = (
            f"[Unit]\nDescription=railgauge {entry.about}\n\n[Timer]\n"
            f"OnCalendar=*-*-* {entry.at}:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )
    return made


def systemd_text(schedule: Schedule) -> str:
    """All unit files, each below its name."""
    return "\n".join(f"# {name}\n{text}" for name, text in systemd(schedule).items())


def _argument(text: str) -> str:
    """A word of ExecStart=, where $ begins a variable."""
    return _unit_word(text).replace("$", "$$")


def _unit_word(text: str) -> str:
    """A word of a unit file: in quotes, with C's escapes; % begins a specifier (systemd.syntax(7))."""
    plain = text.replace("%", "%%")
    if re.fullmatch(r"[\w@%+=:,./-]+", plain, re.ASCII):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _title(schedule: Schedule) -> str:
    return f"railgauge nightly of {schedule.history}"


PRINTED: dict[str, Callable[[Schedule], str]] = {
    "cron": cron,
    "systemd": systemd_text,
    "scrontab": scrontab,
}
