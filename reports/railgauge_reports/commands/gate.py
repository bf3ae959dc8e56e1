"""Judge a history of nights: has anything become slower than the nights accepted before?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import RailgaugeError, UsageError
from railgauge.launching.rank_process import say
from railgauge_reports import formats, nagios
from railgauge_reports.processes import shell_words

if TYPE_CHECKING:
    from railgauge_reports.history.answer import Gate


@click.command(context_settings={"max_content_width": 100})
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--night", metavar="DATE|FOLDER", help="Judge this night, as of then.")
@click.option("--since", metavar="DATE|FOLDER", help="Leave the nights before out.")
@click.option("--confirm", is_flag=True, help="Measure what is flagged again, on the same nodes.")
@click.option("--confirm-other", is_flag=True, help="Measure it on nodes that the night had not.")
@click.option(
    "--launcher",
    help='What starts the ranks of a confirming run: "srun -n 16 --nodelist={hosts}"; {hosts} are those'
    " of the night, split by commas.",
)
@click.option(
    "--timeout",
    type=float,
    default=3600.0,
    show_default=True,
    help="Seconds that a confirming run may take, besides its duration.",
)
@click.option("--ack", metavar="SERIES|all", help="Accept what is flagged as the new level.")
@click.option("--author", help="Who accepts it.  [default: this user]")
@click.option("--reason", help="Why.")
@click.option("--expires", metavar="DATE", help="The last day on which it is accepted.")
@click.option(
    "--format",
    "name",
    metavar="table|json|...",
    help="What to print (railgauge list).  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write to this file and print its path."
)
@click.option(
    "--nagios",
    "as_nagios",
    is_flag=True,
    help="Print one line of a monitoring plugin and exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
def command(history: Path, as_nagios: bool, **typed: Any) -> int:
    """Judge the last night of HISTORY, a folder whose child folders are nights, against those before.

    \b
    railgauge gate history
    railgauge gate history --confirm --launcher "srun -n 16 -w {hosts}"
    railgauge gate history --ack '*/all_reduce/*' --reason "new firmware, ticket 4711"

    Exits with 0 PASS, 1 REGRESSION, 2 usage, 3 nothing that can be read, 4 wrong data and 5 a hang on
    that night, 6 LEARNING, CHANGED, UNCONFIRMED, or INCONCLUSIVE (missing nights, an unreadable run).
    """
    if as_nagios:
        return _monitored(history, typed)
    name = _format(typed)
    render = formats.gate_renderer(name)
    gate = _judged(history, typed)
    made = render(gate)
    if typed["output"] is not None:
        from railgauge_reports.commands.report import write

        output: Path = typed["output"]
        more = formats.beside_gate(name, gate)
        if more is not None:
            write(output.with_name(f"{output.stem}{formats.beside_suffix(name)}"), more)
        write(output, made)
        click.echo(str(typed["output"]))
    else:
        click.echo(made, nl=False)
    return gate.verdict.exit_code


def _judged(history: Path, typed: dict[str, Any]) -> Gate:
    """The answer, after what was asked to be done before."""
    from railgauge_reports.history.gate import gate_of

    _check(typed)
    if typed["ack"] is not None:
        _acknowledge(history, typed)
    for option, other in (("confirm", False), ("confirm_other", True)):
        if typed[option]:
            from railgauge_reports.history.confirm import confirm

            launcher = shell_words(typed["launcher"], "--launcher")
            confirm(history, typed["night"], launcher, other, typed["timeout"], say)
    return gate_of(history, typed["night"], typed["since"])


def _acknowledge(history: Path, typed: dict[str, Any]) -> None:
    """Keep the acknowledgement of what is flagged on the night."""
    import getpass

    from railgauge_reports.history.acking import acknowledge

    author = typed["author"]
    if author is None:
        try:
            author = getpass.getuser()
        except (KeyError, OSError):
            raise UsageError("--ack: who accepts it?\n  next: --author NAME") from None
    kept = acknowledge(
        history, typed["ack"], author, typed["reason"], typed["expires"], typed["night"]
    )
    say(f"acknowledged: {kept.sentence()}")


def _monitored(history: Path, typed: dict[str, Any]) -> int:
    """A monitoring system takes 2 for CRITICAL, so no error leaves with a code of ours."""
    try:
        if typed["name"] or typed["as_json"] or typed["output"]:
            raise UsageError("--nagios prints one line: leave --format and --output out")
        gate = _judged(history, typed)
    except RailgaugeError as error:
        click.echo(nagios.failure(error))
        return nagios.UNKNOWN
    click.echo(nagios.gate_line(gate))
    return nagios.code(gate.verdict.exit_code)


# what was typed -----------------------------------------------------------------------------------------


def _format(typed: dict[str, Any]) -> str:
    if typed["as_json"] and typed["name"] not in (None, "json"):
        raise UsageError(
            f"--json means --format json, and --format {typed['name']} asks for another."
        )
    return "json" if typed["as_json"] else typed["name"] or "table"


def _check(typed: dict[str, Any]) -> None:
    if typed["ack"] is None:
        for option in ("author", "reason", "expires"):
            if typed[option] is not None:
                raise UsageError(f"--{option} is of --ack.\n  next: --ack SERIES, or --ack all")
    elif not (typed["reason"] or "").strip():
        raise UsageError("--ack: why is it accepted?\n  next: --reason 'new firmware, ticket 4711'")
    if typed["launcher"] is not None and not (typed["confirm"] or typed["confirm_other"]):
        raise UsageError("--launcher is of --confirm and --confirm-other.")
    if typed["confirm"] and typed["confirm_other"]:
        raise UsageError("--confirm and --confirm-other want other nodes.\n  next: one by one")
    if not 0 < typed["timeout"] < float("inf"):
        raise UsageError(f"--timeout {typed['timeout']:g}: expected a number above 0.")
