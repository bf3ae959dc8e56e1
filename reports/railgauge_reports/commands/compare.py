"""Compare two runs, or two configurations in alternation: an effect, its interval, or "cannot tell"."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import NotMeasuredError, RailgaugeError, UsageError, unknown
from railgauge.launching.launchers import launched
from railgauge.launching.rank_process import default_output, say
from railgauge.plan_options import parse_variable
from railgauge_reports.processes import shell_words

if TYPE_CHECKING:
    from railgauge_reports.compare.answer import Answer
    from railgauge_reports.compare.kept import Kept, Side, Study

#: Options of `railgauge run` that a comparison decides itself.
_OURS = ("--output", "--resume", "--format", "--json", "--sweep", "--dry-run")
#: What only --interleave knows: parameter -> option.
_INTERLEAVED = {
    **{name: f"--{name}" for name in ("a", "b", "launcher", "budget", "precision", "output")},
    "a_args": "--a-args",
    "b_args": "--b-args",
    "ranks": "--ranks",
    "blocks": "--rounds-of-AB",
    "resume": "--resume",
}
_FORMATS = ("table", "json", "markdown")


@click.command(context_settings={"max_content_width": 100})
@click.argument("arguments", nargs=-1, metavar="A B | -- [ARGUMENTS OF railgauge run]")
@click.option("--interleave", is_flag=True, help="Run both configurations in alternation.")
@click.option(
    "--a", "-A", multiple=True, help="Of A: an environment variable, NAME=VALUE. Repeatable."
)
@click.option(
    "--b", "-B", multiple=True, help="Of B: an environment variable, NAME=VALUE. Repeatable."
)
@click.option("--a-args", help='Of A: options of railgauge run, as in "--algorithm ring".')
@click.option("--b-args", help='Of B: options of railgauge run, as in "--algorithm tree".')
@click.option("--ranks", "-n", type=int, help="Ranks of either side.  [default: as railgauge run]")
@click.option(
    "--launcher", help='What starts the ranks of a launch: "srun -n 16".  [default: railgauge]'
)
@click.option(
    "--rounds-of-AB",
    "--blocks",
    "blocks",
    type=int,
    help="A fixed number of pairs.  [default: as many as an answer needs, 42 at most]",
)
@click.option("--precision", type=float, help="Stop when every interval is this narrow: 0.01.")
@click.option("--budget", type=float, help="Seconds of launches at most.  [default: 600]")
@click.option("--margin", type=float, help='Smaller effects are "the same".  [default: 0.02]')
@click.option("--launch-spread", type=float, help="Assumed of single launches.  [default: 0.02]")
@click.option("--seed", type=int, help="Of the order.  [default: 1]")
@click.option(
    "--timeout", default=1800.0, show_default=True, help="Seconds a launch may take, else exit 5."
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="The folder.  [default: runs/TIME-compare]"
)
@click.option("--resume", is_flag=True, help="Go on with the comparison in --output.")
@click.option("--metric", default="time", show_default=True, help="What to show: time or busbw.")
@click.option("--fail-if-slower", type=float, help="Exit 1 where B is slower by this share: 0.02.")
@click.option(
    "--format", "name", default="table", show_default=True, help="table, json or markdown."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(**typed: Any) -> int:
    """Say how much longer B takes than A, with a 95 % interval and a word.

    \b
    railgauge compare A B                     run folders, folders of runs, or packs
    railgauge compare FOLDER                  a kept comparison once more
    railgauge compare --interleave -n 2 --a NCCL_ALGO=Ring --b NCCL_ALGO=Tree \\
        -- --backend nccl                     two configurations, by turns

    Words: faster, slower, same (within --margin), cannot tell. In alternation the unit is a pair of
    launches, ABBA or BAAB by lot. Exit codes: 0 answered (whatever the answer is), 6 nothing can be
    told, 1 only with --fail-if-slower, 2 usage, 3 a side could not measure, 4 wrong data, 5 hang,
    75 interrupted (--resume goes on).
    """
    _check(typed)
    if typed["interleave"]:
        return _interleave(typed)
    _check_folders(typed)
    from railgauge_reports.pack.opened import folder_of

    paths = [Path(argument) for argument in typed["arguments"]]
    with contextlib.ExitStack() as packs:
        folders = [packs.enter_context(folder_of(path)) for path in paths]
        return _folders(folders, paths, typed)


def _folders(folders: Sequence[Path], paths: Sequence[Path], typed: dict[str, Any]) -> int:
    """Compare what lies in these folders, which the user calls `paths`."""
    from railgauge_reports.compare.alternation import answer_of
    from railgauge_reports.compare.answer import judge_folders
    from railgauge_reports.compare.effects import MARGIN, SPREAD
    from railgauge_reports.compare.kept import read_kept
    from railgauge_reports.compare.measured import launches_of

    if len(folders) == 1:
        kept = read_kept(folders[0])
        _tell_kept(kept)
        return _print(answer_of(folders[0], kept), typed)
    margin = MARGIN if typed["margin"] is None else typed["margin"]
    spread = SPREAD if typed["launch_spread"] is None else typed["launch_spread"]
    a, b = (launches_of(folder, path) for folder, path in zip(folders, paths, strict=True))
    return _print(judge_folders(a, b, (str(paths[0]), str(paths[1])), margin, spread), typed)


def _interleave(typed: dict[str, Any]) -> int:
    from railgauge_reports.compare.alternation import Alternation
    from railgauge_reports.progress import bar

    folder, kept = _claim(typed)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    failure: RailgaugeError | None = None
    with bar("comparing", len(kept.order) - len(kept.launches)) as advance:
        made = Alternation(folder, kept, typed["timeout"], lambda _: advance())
        try:
            made.run()
        except RailgaugeError as error:
            failure = error
    try:
        answer = made.answer()
    except NotMeasuredError as error:
        raise (failure or error) from None
    _tell_kept(made.kept)
    code = _print(answer, typed)
    say(f"comparison: {folder}")
    if failure is not None:
        raise failure
    made.finish(code)
    return code


def _print(answer: Answer, typed: dict[str, Any]) -> int:
    """Print the answer; the exit code that it has."""
    import msgspec

    from railgauge_reports.compare import show
    from railgauge_reports.compare.answer import exit_code

    if typed["name"] == "json":
        made = msgspec.json.format(msgspec.json.encode(answer), indent=1).decode() + "\n"
    else:
        render = show.markdown if typed["name"] == "markdown" else show.text
        made = render(answer, typed["metric"])
    click.echo(made, nl=False)
    return exit_code(answer, typed["fail_if_slower"])


def _tell_kept(kept: Kept) -> None:
    done = kept.order[: 2 * kept.whole_blocks]
    say(f"{kept.whole_blocks} whole pairs, in the order {done} (seed {kept.study.seed})")
    say(f"ended: {kept.stopped}" if kept.stopped else "not at its end yet")


# what was typed --------------------------------------------------------------------------------------


def _check(typed: dict[str, Any]) -> None:
    """Raise UsageError for what is wrong whatever is compared."""
    if typed["as_json"]:
        if typed["name"] not in ("table", "json"):
            raise UsageError(
                f"--json means --format json, and --format {typed['name']} asks for another."
            )
        typed["name"] = "json"
    for what, allowed in (("name", _FORMATS), ("metric", ("time", "busbw"))):
        if typed[what] not in allowed:
            option = "format" if what == "name" else what
            raise unknown(option, typed[what], allowed, "railgauge compare --help")
    names = ("blocks", "ranks", "precision", "budget", "margin", "timeout", "launch_spread")
    for field in (*names, "fail_if_slower"):
        value = typed[field]
        least = 0 if field in ("launch_spread", "fail_if_slower") else None
        if value is not None and not (value >= 0 if least == 0 else value > 0):
            option = _INTERLEAVED.get(field, f"--{field.replace('_', '-')}")
            raise UsageError(
                f"{option} {value:g}: expected a number above 0.\n  next: railgauge compare --help"
            )


def _check_folders(typed: dict[str, Any]) -> None:
    """Raise UsageError unless one or two folders were typed, and nothing for --interleave."""
    given = [
        option for name, option in _INTERLEAVED.items() if typed[name] not in (None, (), False)
    ]
    if given:
        raise UsageError(
            f"{given[0]} is for two configurations in alternation.\n"
            "  expected: two folders and no such option, or --interleave\n"
            "  next: railgauge compare --interleave --a NAME=VALUE --b NAME=VALUE -- --operation all_reduce"
        )
    if len(typed["arguments"]) not in (1, 2):
        raise UsageError(
            f"{len(typed['arguments'])} folders: expected two of runs, or one of a comparison.\n"
            "  next: railgauge compare RUN_A RUN_B"
        )


def _claim(typed: dict[str, Any]) -> tuple[Path, Kept]:
    """The folder and what stands in its compare.json, made or reopened."""
    from railgauge_reports.compare.kept import KEPT, check_same, fresh, read_kept
    from railgauge_reports.kept import new_folder

    if launched():
        raise UsageError(
            "compare starts the ranks of both sides itself, and a launcher has started it.\n"
            "  next: railgauge compare --interleave --launcher 'srun -n 16', without one around it"
        )
    folder = typed["output"] or Path(f"{default_output()}-compare")
    if typed["resume"]:
        if typed["output"] is None:
            raise UsageError("--resume: which comparison?\n  next: --resume --output FOLDER")
        kept = read_kept(folder)
        if any(
            typed[name] for name in (*_INTERLEAVED, "arguments") if name not in ("output", "resume")
        ):
            check_same(folder, kept, _study(typed))
        return folder, kept
    kept = fresh(_study(typed))
    new_folder(folder, f"one with a {KEPT}")
    kept.write(folder)
    return folder, kept


def _study(typed: dict[str, Any]) -> Study:
    from railgauge_reports.compare.effects import MARGIN
    from railgauge_reports.compare.kept import DEFAULT_BUDGET_SECONDS, Study

    if typed["blocks"] is not None and typed["precision"] is not None:
        raise UsageError(
            "--rounds-of-AB is a fixed number of pairs, and --precision asks for as many as it takes.\n"
            "  next: leave one of them out"
        )
    open_end = typed["blocks"] is None and typed["budget"] is None
    return Study(
        a=_side(typed["a"], typed["a_args"], "a"),
        b=_side(typed["b"], typed["b_args"], "b"),
        arguments=_options(typed["arguments"], "--"),
        launcher=shell_words(typed["launcher"], "--launcher"),
        ranks=typed["ranks"],
        seed=1 if typed["seed"] is None else typed["seed"],
        margin=MARGIN if typed["margin"] is None else typed["margin"],
        blocks=typed["blocks"],
        precision=typed["precision"],
        budget=DEFAULT_BUDGET_SECONDS if open_end else typed["budget"],
    )


def _side(variables: Sequence[str], options: str | None, name: str) -> Side:
    from railgauge_reports.compare.kept import Side

    for variable in variables:
        parse_variable(variable, f"--{name}")
    words = _options(shell_words(options, f"--{name}-args"), f"--{name}-args")
    return Side(variables=tuple(variables), options=words)


def _options(words: Sequence[str], where: str) -> tuple[str, ...]:
    """The words themselves; UsageError where one is an option that a comparison decides."""
    for word in words:
        if word.partition("=")[0] in _OURS:
            raise UsageError(
                f"{where} {word}: a comparison decides that itself.\n"
                f"  expected: options of railgauge run other than {', '.join(_OURS)}\n"
                "  next: railgauge compare --help"
            )
    return tuple(words)
