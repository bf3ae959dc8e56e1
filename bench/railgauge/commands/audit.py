"""Audit the configuration of every node of the job: links, priorities, NCCL, GPUDirect, PCIe, limits."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import msgspec

from railgauge.auditing.checks import all_checks, checks_named
from railgauge.auditing.facts import facts_of
from railgauge.auditing.judging import judge
from railgauge.auditing.machine import Machine
from railgauge.auditing.manifest import EMPTY, PROFILES, Manifest, read_manifest
from railgauge.auditing.reading import readings
from railgauge.auditing.records import FILE, Report, Taken, read_stored
from railgauge.auditing.table import WIDTH, table
from railgauge.errors import EXIT_PASS, NotMeasuredError, UsageError
from railgauge.launching.launchers import launched, python_module
from railgauge.plan_options import names_of

TIMEOUT_SECONDS = 60.0
NEXT = "railgauge audit on the host that is behind, without a launcher"


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--ranks", "-n", type=int, help="Number of ranks to start, each of which reads its own limits."
)
@click.option(
    "--profile",
    type=click.Choice(["auto", *PROFILES]),
    default="auto",
    help="What the fabric is meant to be.  [default: the manifest's, else what most nodes show]",
)
@click.option(
    "--priority", help="Lossless priorities, comma separated.  [default: those under PFC, else 3]"
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="TOML: the devices, rates and GPUs of every node.",
)
@click.option("--check", help="Checks or subjects, comma separated (--list).  [default: all]")
@click.option("--list", "listed", is_flag=True, help="Name the checks; read nothing.")
@click.option("--all", "everything", is_flag=True, help="Show what passed, and facts, one by one.")
@click.option(
    "--stored",
    type=click.Path(path_type=Path),
    help="Read nothing here: judge a run folder's audit.json, or one of --output, again.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="A folder to write audit.json into."
)
@click.option(
    "--timeout", type=float, default=TIMEOUT_SECONDS, help="Seconds for all ranks to arrive."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--sysfs", type=click.Path(path_type=Path), default=Path("/sys"), hidden=True)
@click.option("--proc", type=click.Path(path_type=Path), default=Path("/proc"), hidden=True)
@click.option("--etc", type=click.Path(path_type=Path), default=Path("/etc"), hidden=True)
@click.option("--answer", type=click.Path(path_type=Path), hidden=True, help="Where rank 0 writes.")
def command(**typed: Any) -> int:
    """Read the configuration of every node, and say what is wrong with it.

    Neither root nor a vendor's tool is needed; what only root can see is UNKNOWN, with the command.
    Alone it reads this host; under srun, mpirun or torchrun every node, and the limits and variables
    of every rank. Values that must be alike are compared by majority, and who differs is named.
    Exits with 0 nothing failed, 1 something FAILs, 6 what decides is unknown (or there is no RDMA
    device), 2 usage, 3 could not run.
    """
    names = names_of(typed["check"])
    checks_named(names)
    if typed["listed"]:
        return _list(names, typed["as_json"])
    priorities = _priorities(typed["priority"])
    manifest = read_manifest(typed["manifest"]) if typed["manifest"] else EMPTY
    if typed["ranks"] is not None and typed["ranks"] < 1:
        raise UsageError(f"--ranks {typed['ranks']}: expected at least 1")
    taken: list[Taken] | None
    if typed["stored"]:
        taken = read_stored(typed["stored"])
    elif launched():
        code, taken = _join(typed, manifest)
        if taken is None:  # another rank speaks, or the parent does
            return code
    elif typed["ranks"] is not None:
        taken = _started(typed)
    else:
        taken = [_readings(_machine(typed, manifest), leads=True)]
    report = judge(taken, typed["profile"], priorities, manifest, names)
    _say(report, typed)
    return report.exit_code


def _priorities(text: str | None) -> tuple[int, ...]:
    words = names_of(text) or ()
    if not all(word.isdecimal() and int(word) < 8 for word in words):
        raise UsageError(
            f"--priority {text}: expected 0 to 7, comma separated.\n  next: --priority 3"
        )
    return tuple(sorted(int(word) for word in words))


def _machine(typed: dict[str, Any], manifest: Manifest) -> Machine:
    return Machine(typed["sysfs"], typed["proc"], typed["etc"], manifest=manifest)


def _readings(machine: Machine, leads: bool) -> Taken:
    """Everything, whatever `--check` names: the profile is seen from other checks' values."""
    return readings(machine, all_checks().values(), leads)


# several ranks ------------------------------------------------------------------------------------


def _join(typed: dict[str, Any], manifest: Manifest) -> tuple[int, list[Taken] | None]:
    """Be one rank; what all have read on the rank that speaks, None elsewhere."""
    from railgauge.launching import rank_process
    from railgauge.launching.watchdog import CONTROL

    found: list[list[Taken]] = []

    def work(world: Any, watchdog: Any) -> int:
        watchdog.enter("the audit of this node")
        if watchdog.collector:
            watchdog.collector.next = NEXT
        machine = _machine(typed, world.broadcast(manifest))
        mine = _readings(machine, leads=world.leaders is not None)
        gathered = world.gather(msgspec.structs.replace(mine, rank=world.rank))
        if gathered is not None:
            found.append(gathered)
        return EXIT_PASS

    if CONTROL not in os.environ:
        rank_process.check_start(typed["ranks"])
    code = rank_process.member(work, typed["ranks"], typed["timeout"])
    if not found:
        return code, None
    if typed["answer"]:
        typed["answer"].write_bytes(msgspec.json.encode(found[0]))
        return code, None
    return code, found[0]


def _started(typed: dict[str, Any]) -> list[Taken]:
    """Start the ranks here; what they have read."""
    from railgauge.launching.launch import Launch

    with tempfile.TemporaryDirectory(prefix="railgauge-audit-") as folder:
        answer = Path(folder) / FILE
        words = python_module("railgauge", "audit", "--answer", str(answer))
        for name in ("ranks", "manifest", "timeout", "sysfs", "proc", "etc"):
            if typed[name] is not None:
                words += [f"--{name}", str(typed[name])]
        launch = Launch(typed["ranks"], words, typed["timeout"])
        launch.collector.next = NEXT
        launch.wait()
        try:
            return msgspec.json.decode(answer.read_bytes(), type=list[Taken])
        except OSError as error:
            raise NotMeasuredError(
                f"the ranks ended without an answer ({error.strerror}).\n  next: railgauge audit"
            ) from error


# answers ------------------------------------------------------------------------------------------


def _say(report: Report, typed: dict[str, Any]) -> None:
    text = msgspec.json.encode(_document(report))
    if typed["output"]:
        try:
            typed["output"].mkdir(parents=True, exist_ok=True)
            (typed["output"] / FILE).write_bytes(text + b"\n")
        except OSError as error:
            raise NotMeasuredError(
                f"--output {error.filename}: {error.strerror}.\n  expected: a folder to write into"
            ) from error
    width = WIDTH
    if sys.stdout.isatty():
        width = max(60, min(os.get_terminal_size(sys.stdout.fileno()).columns, 120))
    print(text.decode() if typed["as_json"] else table(report, typed["everything"], width))


def _document(report: Report) -> dict[str, Any]:
    """The report as data, with what the checks are and the facts by host."""
    named = {finding.check for finding in report.findings}
    checks = [
        {
            "name": c.name,
            "subject": c.subject,
            "title": c.title,
            "worst": c.worst,
            "source": c.source,
        }
        for c in all_checks().values()
        if c.name in named
    ]
    made: dict[str, Any] = msgspec.to_builtins(report)
    return made | {"checks": checks, "facts": facts_of(report), "counts": report.counts()}


def _list(names: tuple[str, ...] | None, as_json: bool) -> int:
    checks = checks_named(names)
    if as_json:
        rows = [
            {"name": c.name, "subject": c.subject, "title": c.title, "worst": c.worst}
            for c in checks
        ]
        print(msgspec.json.encode(rows).decode())
        return EXIT_PASS
    for subject in dict.fromkeys(check.subject for check in checks):
        print(f"{subject}:")
        for check in checks:
            if check.subject == subject:
                marks = [
                    check.worst,
                    *(["root"] if check.needs_root else []),
                    *(["each rank"] if check.each_rank else []),
                ]
                marks += ["alike"] if check.alike else []
                print(f"  {check.name:24} {check.title} ({', '.join(marks)})")
    return EXIT_PASS
