"""Accept a cluster: audit, nodes, pairs, leaves, scales, congestion, soak; one verdict and its coverage."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import EXIT_PASS, InterruptedRunError, UsageError, unknown
from railgauge.launching.launchers import launched
from railgauge.launching.rank_process import Signals, default_output, say

if TYPE_CHECKING:
    from railgauge_reports.acceptance.kept import Kept

#: Options that say what is accepted: with --resume alone they are those of the folder.
_ASKED = (
    *("backend", "cluster", "nodes", "faults", "leaves", "launcher", "python", "ranks"),
    "ranks_per_node",
)
_FORMATS = ("table", "json", "markdown", "html", "junit", "prometheus")


@click.command(context_settings={"max_content_width": 100})
@click.argument("profile", required=False)
@click.option("--adaptive", is_flag=True, help="Look closer at suspects by further runs.")
@click.option("--backend", help="What moves the data (railgauge list).  [default: mpi]")
@click.option(
    "--cluster",
    help="A TOML file of a cluster, or a name: what --backend simulated models, or what a real one is"
    " held against.",
)
@click.option("--nodes", type=click.IntRange(min=1), help="Its nodes, instead of what it says.")
@click.option("--faults", help="A TOML file of faults to plant (simulated).")
@click.option("--leaves", help="Leaf switches and their hosts, as railgauge run --leaves.")
@click.option("--launcher", help='What starts the ranks of a run: "srun -n 64".')
@click.option(
    "--python", help="The Python of these ranks, where it is another one: of a container."
)
@click.option("--ranks", "-n", type=click.IntRange(min=1), help="Ranks that it starts.")
@click.option("--ranks-per-node", type=click.IntRange(min=1), help="Of each node.")
@click.option(
    "--set", "overrides", multiple=True, help="A stage's plan, STAGE.FIELD=VALUE. Repeatable."
)
@click.option("--only", metavar="STAGE", help="Run this stage alone; the others stay open.")
@click.option("--waivers", type=click.Path(path_type=Path), help="A TOML file of waivers.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="The folder.  [default: runs/TIME-accept]"
)
@click.option("--resume", is_flag=True, help="Go on with the acceptance in --output.")
@click.option("--dry-run", is_flag=True, help="Show stages, time and node-hours; measure nothing.")
@click.option("--checklist", is_flag=True, help="Show what a buyer asks, and what answers it.")
@click.option(
    "--timeout",
    type=float,
    default=3600.0,
    show_default=True,
    help="Seconds that a launched run may take, besides its duration.",
)
@click.option("--format", "name", default="table", show_default=True, metavar="|".join(_FORMATS))
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(**typed: Any) -> int:
    """Run the stages of PROFILE (a TOML file, or a name that ships) and judge them together.

    \b
    railgauge accept quick --backend simulated --nodes 64 --dry-run
    railgauge accept nightly --backend nccl --launcher "srun -n 64" -n 64 --ranks-per-node 8
    railgauge accept --resume --adaptive --output FOLDER
    railgauge accept FOLDER --checklist

    Exits with 0 PASS (waived findings are listed), 1 FAIL, 2 usage, 3 a stage could not measure, 4
    wrong data, 5 hang, 6 inconclusive (a required stage was left out, or came to no answer), 75
    interrupted (--resume goes on).
    """
    _check(typed)
    if typed["checklist"]:
        return _checklist(typed)
    if launched():
        raise UsageError(
            "accept starts the ranks of its runs itself, and a launcher has started it.\n"
            "  next: railgauge accept PROFILE --launcher 'srun -n 16', without one around it"
        )
    if typed["dry_run"]:
        return _dry_run(typed)
    from railgauge_reports.kept import alone_in

    folder, kept = _wanted(typed)
    try:
        with alone_in(folder):
            _drive(folder, _begun(folder, kept, typed), typed)
    except KeyboardInterrupt:  # between two runs, or before the first
        raise InterruptedRunError(
            f"interrupted.\n  next: railgauge accept --resume --output {folder}"
        ) from None
    return _print(folder, typed["name"])


def _drive(folder: Path, kept: Kept, typed: dict[str, Any]) -> None:
    """Run what is to be run; interrupted, say what is known so far."""
    from railgauge_reports.acceptance.drive import Drive
    from railgauge_reports.acceptance.launching import Launched, Launching, Modelled

    launching: Launching
    signals: Signals | None = None
    if kept.asked.modelled:
        heard = signals = Signals()
        launching = Modelled(lambda: heard.seen)
    else:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        asked = kept.asked
        launching = Launched(asked.launcher, asked.ranks, typed["timeout"], asked.python)
    say(f"acceptance: {folder}")
    drive = Drive(folder, kept, launching, say)
    try:
        drive.run(typed["only"])
    except InterruptedRunError:
        _print(folder, typed["name"])
        raise
    finally:
        if signals is not None:
            signals.forget()


def _print(folder: Path, name: str) -> int:
    """Print the result; its exit code."""
    from railgauge_reports import formats
    from railgauge_reports.acceptance.judge import judge, read_acceptance

    result = judge(read_acceptance(folder))
    click.echo(formats.acceptance_renderer(name)(result), nl=False)
    return result.verdict.exit_code


def _dry_run(typed: dict[str, Any]) -> int:
    from railgauge_reports.acceptance import show
    from railgauge_reports.acceptance.asking import asked_from
    from railgauge_reports.acceptance.cost import costs
    from railgauge_reports.acceptance.planning import planned
    from railgauge_reports.acceptance.profile import overridden, parse, read_text

    name, text = read_text(_named(typed))
    asked = asked_from(typed)
    profile = overridden(parse(name, text), asked.overrides)
    stages = planned(profile, asked)
    if typed["only"]:
        _check_only(typed["only"], [stage.stage.name for stage in stages])
        stages = tuple(stage for stage in stages if stage.stage.name == typed["only"])
    made = costs(stages, asked)
    if typed["name"] == "json":
        click.echo(show.dry_run_json(name, asked.nodes, stages, made), nl=False)
    else:
        click.echo(show.dry_run(name, profile.about, asked.nodes, stages, made), nl=False)
    return EXIT_PASS


def _checklist(typed: dict[str, Any]) -> int:
    """The checklist with what a folder answered, or with what a profile would."""
    import msgspec

    from railgauge_reports.acceptance import is_acceptance, show
    from railgauge_reports.acceptance.judge import asked_of, judge, read_acceptance
    from railgauge_reports.acceptance.profile import parse, read_text

    given = _named(typed)
    code = EXIT_PASS
    if is_acceptance(Path(given)):
        result = judge(read_acceptance(Path(given)))
        items, code = result.checklist, result.verdict.exit_code
    else:
        items = asked_of(parse(*read_text(given)))
    if typed["name"] == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(items), indent=1).decode())
    else:
        render = show.checklist_markdown if typed["name"] == "markdown" else show.checklist_text
        click.echo(render(items).rstrip("\n"))
    return code


# what was typed ---------------------------------------------------------------------------------------


def _check(typed: dict[str, Any]) -> None:
    if typed["as_json"]:
        if typed["name"] not in ("table", "json"):
            raise UsageError(
                f"--json means --format json, and --format {typed['name']} asks for another."
            )
        typed["name"] = "json"
    if typed["name"] not in _FORMATS:
        raise unknown("format", typed["name"], _FORMATS, "railgauge accept --help")
    if not 0 < typed["timeout"] < float("inf"):
        raise UsageError(f"--timeout {typed['timeout']:g}: expected a number above 0.")


def _check_only(name: str, names: list[str]) -> None:
    if name not in names:
        raise unknown("stage of --only", name, names, "railgauge accept PROFILE --dry-run")


def _named(typed: dict[str, Any]) -> str:
    if typed["profile"] is None:
        from railgauge_reports.acceptance import profiles

        told = "\n".join(f"  {name:16} {what}" for name, what in profiles.names().items())
        raise UsageError(f"which PROFILE?\n{told}\n  next: railgauge accept quick --dry-run")
    return str(typed["profile"])


def _wanted(typed: dict[str, Any]) -> tuple[Path, Kept]:
    """The folder, made where it is new, and what is to stand in its accept.json.

    What cannot be accepted is refused before anything is written.
    """
    from railgauge_reports.acceptance import KEPT
    from railgauge_reports.acceptance.asking import asked_from
    from railgauge_reports.acceptance.kept import check_same, fresh, read_kept
    from railgauge_reports.acceptance.planning import planned
    from railgauge_reports.acceptance.profile import read_text
    from railgauge_reports.kept import new_folder

    folder = typed["output"] or Path(f"{default_output()}-accept")
    if typed["resume"]:
        if typed["output"] is None:
            raise UsageError("--resume: which acceptance?\n  next: --resume --output FOLDER")
        kept = read_kept(folder)
        given = [name for name in (*_ASKED, "overrides") if typed[name] not in (None, ())]
        if typed["profile"] is not None:
            check_same(folder, kept, read_text(typed["profile"])[1], asked_from(typed))
        elif given:
            raise UsageError(
                f"--{given[0].replace('_', '-')}: a resumed acceptance has its own ({KEPT}).\n"
                "  next: leave it out, or name the profile and all options again"
            )
    else:
        name, text = read_text(_named(typed))
        kept = fresh(name, text, asked_from(typed), typed["adaptive"], time.time())
    stages = planned(kept.parsed(), kept.asked)
    if typed["only"]:
        _check_only(typed["only"], [stage.stage.name for stage in stages])
    kept = _with_waivers(kept, typed)
    if not typed["resume"]:
        new_folder(folder, "an acceptance")
    return folder, kept


def _with_waivers(kept: Kept, typed: dict[str, Any]) -> Kept:
    """With what --adaptive and --waivers add, now or to an acceptance that is resumed."""
    import msgspec

    from railgauge_reports.acceptance.waivers import read_waivers

    waivers = read_waivers(typed["waivers"]) if typed["waivers"] else kept.waivers
    adaptive = kept.adaptive or typed["adaptive"]
    return msgspec.structs.replace(kept, adaptive=adaptive, waivers=waivers)


def _begun(folder: Path, kept: Kept, typed: dict[str, Any]) -> Kept:
    """accept.json is there from now on; of a resumed one what another process wrote meanwhile counts."""
    from railgauge_reports.acceptance.kept import read_kept
    from railgauge_reports.kept import new_folder

    if typed["resume"]:
        kept = _with_waivers(read_kept(folder), typed)
    else:
        new_folder(folder, "an acceptance")  # still empty?
    kept.write(folder)
    return kept
