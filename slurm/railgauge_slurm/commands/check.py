"""Check this node in seconds, without a collective: for Slurm's Prolog, HealthCheckProgram and monitors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from railgauge.errors import EXIT_NOT_MEASURED, EXIT_PASS, RailgaugeError, UsageError

if TYPE_CHECKING:
    from railgauge.auditing.records import Report
    from railgauge_slurm.checking import Told
    from railgauge_slurm.draining import Cap


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--expect",
    multiple=True,
    metavar="FILE|KEY=VALUE,...",
    help="What this site's nodes have: nics=8,rate=400,gpus=8,netdevs=eth0+eth1, or a file of"
    " railgauge audit --manifest.  [default: only what is wrong in itself]",
)
@click.option(
    "--check", "names", help="These checks only, comma separated.  [default: all of --list]"
)
@click.option("--list", "listed", is_flag=True, help="Name the checks; read nothing.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=50),
    default=10.0,
    help="Seconds after which it ends, whatever hangs.  [default: 10]",
)
@click.option(
    "--drain", is_flag=True, help="Drain this node where something is bad (as HealthCheckProgram)."
)
@click.option(
    "--max-drain", default="2%", metavar="N|N%", help="As railgauge slurm drain.  [default: 2%]"
)
@click.option("--partition", help="Whose nodes --max-drain counts.  [default: Slurm's default one]")
@click.option(
    "--prolog",
    is_flag=True,
    help="Exit with 0 where it could not tell: Slurm drains for any other code.",
)
@click.option("--nagios", is_flag=True, help="One line of a monitoring plugin and its exit codes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with every finding.")
@click.option("--sysfs", type=click.Path(path_type=Path), default=Path("/sys"), hidden=True)
@click.option("--proc", type=click.Path(path_type=Path), default=Path("/proc"), hidden=True)
@click.option("--dev", type=click.Path(path_type=Path), default=Path("/dev"), hidden=True)
def command(
    expect: tuple[str, ...],
    names: str | None,
    listed: bool,
    timeout: float,
    drain: bool,
    max_drain: str,
    partition: str | None,
    prolog: bool,
    nagios: bool,
    as_json: bool,
    sysfs: Path,
    proc: Path,
    dev: Path,
) -> int:
    """Read this node's links, devices, counters, memory and clocks, and say in one line what is bad.

    Neither root nor a GPU is needed; nothing is loaded or measured. Exits with 0 good, 1 bad, 3 could not
    tell (nothing is drained then), 2 usage. As Prolog use --prolog: any code but 0 drains the node and
    holds the job. With --drain a bad node drains itself, up to the cap.
    """
    from railgauge.auditing.machine import Machine
    from railgauge_slurm import checking
    from railgauge_slurm.draining import parse_cap

    if (nagios and as_json) or (nagios and prolog):
        raise UsageError(
            "--nagios has a line and exit codes of its own: leave --json and --prolog out"
        )
    checks = checking.selected(None if names is None else _words([names]))
    if listed:
        width = max(len(check.name) for check in checks)
        print("\n".join(f"{check.name:{width}}  {check.title}" for check in checks))
        return EXIT_PASS
    manifest = checking.expected(_words(expect))
    cap = parse_cap(max_drain)

    machine = Machine(sysfs, proc, dev=dev, manifest=manifest)
    taken = checking.read_within(machine, checks, timeout)
    report, told = checking.judged(taken, manifest, checks)
    code = _say(report, told, nagios, as_json)
    if drain and told.exit_code == 1:
        _drain(told, cap, partition)
    return EXIT_PASS if prolog and told.exit_code == EXIT_NOT_MEASURED else code


def _words(given: Sequence[str]) -> list[str]:
    """`a,b` and `c` -> a, b, c."""
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def _say(report: Report, told: Told, nagios: bool, as_json: bool) -> int:
    if nagios:
        from railgauge_reports import nagios as plugin

        state = plugin.code(told.exit_code)
        print(plugin.head(state, f"{told.code} {told.words}"), flush=True)
        return state
    if as_json:
        document = {
            "host": report.hosts[0],
            "line": told.line,
            "code": told.code,
            "exit_code": told.exit_code,
            "findings": [f for f in report.findings if f.status != "NOT APPLICABLE"],
        }
        print(msgspec.json.encode(document).decode(), flush=True)
    else:
        print(told.line, flush=True)
    return told.exit_code


def _drain(told: Told, cap: Cap, partition: str | None) -> None:
    """What became of it goes to stderr: the check has its answer, whether or not Slurm has one."""
    from railgauge_slurm.self_draining import drain_myself

    try:
        click.echo(drain_myself(told.code, told.words, cap, partition), err=True)
    except RailgaugeError as error:
        click.echo(f"railgauge: error: {error}", err=True)
