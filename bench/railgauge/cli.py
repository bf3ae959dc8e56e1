"""Finds the commands by name and loads the one that was called.

Every command is an entry point of the group `railgauge.commands` that names a `click.Command`;
each floor declares its own, and any installed package may add one. The line that `--help` shows
beside a name is the first line of the docstring of the command's module, read from the file, so
that help imports no command. A command returns its exit code, or None for 0.
"""

from __future__ import annotations

import ast
import functools
import os
import signal
import socket
import sys
import time
import token
import tokenize
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from railgauge import __version__
from railgauge.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_USAGE,
    HostError,
    NotMeasuredError,
    RailgaugeError,
    unknown,
)
from railgauge.launching.launchers import first_on_host, launcher_rank

GROUP = "railgauge.commands"
SPEAKER_SECONDS = 3.0  # for rank 0 to have said what is wrong
EXIT_READER_GONE = 128 + signal.SIGPIPE  # what a shell reports of `yes | head`: no verdict of ours


def first_docstring_line(module: str) -> str:
    """The first line of the docstring of `module`, which is not imported (its parents are)."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        return f"(cannot be called: module {module} is missing)"
    # the first token alone: parsing whole modules would cost milliseconds a command
    with tokenize.open(spec.origin) as source:
        for found in tokenize.generate_tokens(source.readline):
            if found.type == token.STRING:
                return str(ast.literal_eval(found.string)).strip().partition("\n")[0]
            if found.type not in (token.COMMENT, token.NL):
                break
    return ""


class LazyCommand(click.Command):
    """Stands for a command in a listing; turns into the real one when it is called."""

    def __init__(self, entry_point: EntryPoint) -> None:
        super().__init__(entry_point.name)
        self.entry_point = entry_point

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 (wrapped, never cut off)
        return first_docstring_line(self.entry_point.module)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> click.Command:
        point = self.entry_point
        try:
            command = point.load()
        except ModuleNotFoundError as error:
            raise NotMeasuredError(
                f"the command {point.name!r} cannot be loaded: {error}\n"
                f"  where: {point.value}\n"
                f"  next: {Path(sys.executable)} -m pip check"
            ) from error
        assert isinstance(command, click.Command), f"{point.value} is not a click.Command"
        return command


class Commands(click.Group):
    """The commands that are installed as entry points of a group, by name.

    A command may be such a group itself: `railgauge slurm` has its own in `railgauge.slurm`.
    """

    entry_points = GROUP

    @functools.cached_property
    def points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.entry_points)}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return sorted(self.points)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        point = self.points.get(cmd_name)
        return None if point is None else LazyCommand(point)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.points and not ctx.resilient_parsing:
            raise unknown("command", args[0], self.list_commands(ctx), f"{ctx.command_path} --help")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command explains itself: railgauge COMMAND --help",
)
@click.version_option(__version__, prog_name="railgauge", message="%(prog)s %(version)s")
def railgauge() -> None:
    """Measure collective communication and name the node, GPU, rail or link at fault."""


def call(arguments: Sequence[str]) -> int:
    """Parse, load and run one command; errors pass through."""
    try:
        with railgauge.make_context("railgauge", list(arguments)) as context:
            return int(railgauge.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code


def explain(error: click.ClickException) -> int:
    """Print a usage error of click's the way every other error is printed."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EXIT_USAGE
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "railgauge"
    return fail(f"{error.format_message()}\n  next: {path} --help", EXIT_USAGE)


def fail(message: str, exit_code: int, of_host: bool = False) -> int:
    """Say it once, not once a rank; returns the exit code.

    The other ranks leave later: mpirun ends all when the first one exits with an error. Those that
    are still there then know better than rank 0 what is amiss on their own host.
    """
    if launcher_rank() == 0:
        print(f"railgauge: error: {message}", file=sys.stderr, flush=True)
        return exit_code
    time.sleep(SPEAKER_SECONDS)
    if of_host and first_on_host():
        who = f"rank {launcher_rank()} on {socket.gethostname()}"
        print(f"railgauge: error: {who}: {message}", file=sys.stderr, flush=True)
    return exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code that `railgauge.errors` lists."""
    if "_RAILGAUGE_COMPLETE" in os.environ:
        railgauge.main(prog_name="railgauge")  # the shell asks for completions: answers and exits
    try:
        exit_code = call(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except RailgaugeError as error:
        return fail(str(error), error.exit_code, of_host=isinstance(error, HostError))
    except click.ClickException as error:
        return explain(error)
    except (KeyboardInterrupt, click.Abort):
        return fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # nothing may be flushed into the closed pipe while the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_READER_GONE
    except Exception as error:
        # Python's own exit code for this is 1, which here is a verdict
        if launcher_rank() == 0:
            traceback.print_exc()
        return fail(f"a defect of railgauge, nothing is concluded: {error!r}", EXIT_NOT_MEASURED)
    return exit_code
