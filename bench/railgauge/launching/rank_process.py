"""One rank of a run: joins MPI, runs the plan, and leaves together with the others."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from railgauge import plugins
from railgauge.errors import EXIT_NOT_MEASURED, EXIT_PASS, RailgaugeError, UsageError, unknown
from railgauge.journal import PLAN, Folder
from railgauge.launching import pmi
from railgauge.launching.collector import Beat, Collector
from railgauge.launching.launchers import (
    check_launcher,
    check_world,
    embedded_library,
    launcher_rank,
    started,
)
from railgauge.launching.watchdog import CONTROL, Watchdog
from railgauge.leaves.source import asks_slurm, leaves_of
from railgauge.plan import Plan
from railgauge.plan_options import parse_variable, plan_from
from railgauge.terminal import Printer

CELLS = 8  # room for railgauge.loop.CELLS, which is known only once Numba is loaded
DEFAULT_TIMEOUT = 120.0
ENDED_BY_PARENT_SECONDS = 10.0  # the parent reads the message and ends all ranks


def say(text: str) -> None:
    """Talk goes to stderr; data alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def default_output() -> str:
    """`runs/20260131T235959Z`: several runs in one parent folder are a history."""
    return time.strftime("runs/%Y%m%dT%H%M%SZ", time.gmtime())


def check_resume() -> NoReturn:
    """Raise the UsageError for --resume without --output, with the newest run as the likely one."""
    made = max(Path("runs").glob(f"*/{PLAN}"), default=None, key=lambda plan: plan.parent.name)
    folder = "THAT_FOLDER" if made is None else made.parent
    raise UsageError(
        "--resume goes on with a run, and which one is not said.\n"
        f"  expected: --output with its folder\n  next: railgauge run --output {folder} --resume,"
        " with the options that it was started with"
    )


def resume_command(output: Path) -> str:
    """What measures the rest of a run that did not come to its end."""
    return f"railgauge run --output {output} --resume, with the same options, measures the rest"


def check_format(name: str) -> None:
    """Raise UsageError unless `railgauge report` knows the format."""
    if name == "table":
        return  # without a look at the reports, of which a rank loads nothing
    known = plugins.names(plugins.FORMATS)
    if name not in known:
        raise unknown("format", name, sorted({"table", *known}), "railgauge list")


def hand_over(output: Path, name: str) -> int:
    """Print the finished run in another format: what `railgauge report` does; its exit code.

    What it cannot print (a binary format on a terminal) is said, and the run stays measured.
    """
    from railgauge.cli import call, fail

    try:
        return call(["report", str(output), "--format", name])
    except RailgaugeError as error:
        return fail(str(error), error.exit_code)


class Signals:
    """Remembers that the run was asked to stop; a chunk later all ranks agree to.

    SIGUSR2 is what srun hands on: it kills its ranks at SIGTERM.
    """

    def __init__(self) -> None:
        self.seen = False
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
        self._before = {number: signal.signal(number, self._remember) for number in numbers}

    def forget(self) -> None:
        """Leave signals to whom they went before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, _number: int, _frame: object) -> None:
        self.seen = True


def simulate(typed: Mapping[str, Any], plan: Plan, output: Path) -> None:
    """Be all ranks of a run on a modelled cluster."""
    from railgauge.simulation.run import Simulation

    signals = Signals()
    tell = Printer(typed["format"] == "table", say).tell
    try:
        Simulation(plan, Folder(output), lambda: signals.seen, tell).run(typed["resume"])
    finally:
        signals.forget()


def join(typed: Mapping[str, Any]) -> int:
    """Be one rank of a run that a launcher started; the exit code of the run.

    Where railgauge itself launched the ranks, they exit with 0 and the parent reads the code from
    the journal: launchers rewrite codes and complain about them.
    """
    os.environ.update(
        parse_variable(text, "--set") for text in typed["set"]
    )  # before MPI reads them
    signals = Signals()
    parent = CONTROL in os.environ
    timeout = typed["timeout"] or DEFAULT_TIMEOUT
    if not parent:
        timeout = _check(typed)
    spoken: list[Path] = []

    def work(world: Any, watchdog: Watchdog) -> int:
        from railgauge.mpi import library

        with library.timed_communicator(world) as seconds:
            code, output = _run(typed, world, watchdog, signals, seconds())
        if world.rank == 0:
            spoken.append(output)
        return code

    code = member(work, typed["ranks"], timeout)
    if spoken and not parent:
        if typed["format"] != "table":
            code = hand_over(spoken[0], typed["format"]) or code
        say(f"run folder: {spoken[0]}")
    return code


def member(work: Callable[[Any, Watchdog], int], ranks: int | None, timeout: float) -> int:
    """Be one of the ranks that a launcher started: enter MPI, `work`, leave together; its exit code.

    `work` gets the world and the watchdog; what it raises on one rank alone ends the job. Where
    railgauge itself launched the ranks, they exit with 0: the parent knows the code by other means.
    """
    parent = CONTROL in os.environ
    if parent:
        # hydra, told to let the others live when a rank dies, tells them by this signal
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if pmi.needed():
        pmi.meet(timeout)  # has a deadline and a speaker of its own
    watchdog = Watchdog(launcher_rank(), timeout, np.zeros(CELLS, np.int64))
    try:
        from railgauge.mpi import library

        world = library.MpiWorld()
    except Exception as error:  # most often there is no MPI library
        if not parent:
            watchdog.close()
            raise  # the command line lets rank 0 say it
        return _give_up(watchdog, error, f"rank {launcher_rank()} on {socket.gethostname()}")
    speaks = world.rank == 0 if world.size > 1 else launcher_rank() == 0
    try:
        watchdog.joined(world.rank if world.size > 1 else launcher_rank())
        check_world(world.size, ranks)
        if not parent:
            _collect_here(world, watchdog, timeout)
        code = work(world, watchdog)
    except Exception as error:
        if not isinstance(error, RailgaugeError) or not error.agreed:
            code = _give_up(watchdog, error, _named(world, world.rank))  # alone: the others wait
            library.abort(code)
            os._exit(code)  # MPICH's MPI_Abort may return
        code = error.exit_code
        if speaks:
            watchdog.fail(str(error), code)
    watchdog.enter("MPI_Finalize")
    library.finalize()
    watchdog.close()
    return EXIT_PASS if parent else code


def check_start(ranks: int | None) -> None:
    """Raise UsageError where the launcher that started us cannot be joined, before MPI is entered."""
    found = started()
    if found is not None and found.size > 1:
        check_launcher(embedded_library())
        check_world(found.size, ranks)


def _check(typed: Mapping[str, Any]) -> float:
    """Raise UsageError for what is wrong whatever MPI does, before it starts; the timeout."""
    found = started()
    assert found is not None
    if typed["dry_run"]:
        raise UsageError("--dry-run measures nothing.\n  next: run it without a launcher")
    check_start(typed["ranks"])
    later = asks_slurm(typed["leaves"])  # one rank asks Slurm, once they can talk
    try:
        plan, _ = plan_from({**typed, "leaves": None} if later else typed, found.size)
    except UsageError:
        if typed["plan"] is None and typed["matrix"] is None and not later:
            raise
        return DEFAULT_TIMEOUT  # a file may be amiss on this host alone: _run says it
    return plan.timeout


def _named(world: Any, rank: int) -> str:
    return f"rank {rank} on {world.places[rank].host}"


def _give_up(watchdog: Watchdog, error: Exception, who: str) -> int:
    """Say what ended this rank, and wait for a parent to end it; otherwise the exit code."""
    message, code = _explained(error, who)
    watchdog.fail(message, code)
    if CONTROL in os.environ:
        time.sleep(ENDED_BY_PARENT_SECONDS)
    return code


def _explained(error: Exception, who: str) -> tuple[str, int]:
    """(message, exit code) of what ended this rank; a defect comes with its traceback."""
    if isinstance(error, RailgaugeError):
        return f"{who}: {error}", error.exit_code
    if isinstance(error, OSError):
        message = (
            f"{who}: {error.filename or 'the run folder'}: {error.strerror or error}.\n"
            "  expected: a folder that all hosts share and that has room\n"
            "  next: railgauge run --resume with the same options"
        )
        return message, EXIT_NOT_MEASURED
    return f"{who}: a defect of railgauge: {error!r}\n{traceback.format_exc()}", EXIT_NOT_MEASURED


def _run(
    typed: Mapping[str, Any],
    world: Any,
    watchdog: Watchdog,
    signals: Signals,
    communicator_seconds: float,
) -> tuple[int, Path]:
    from railgauge.run import Runner
    from railgauge.world import by_rank_0, together

    if asks_slurm(typed["leaves"]):
        asked: str = typed["leaves"]
        typed = {**typed, "leaves": by_rank_0(world, lambda: leaves_of(asked))}
    # a rank's own copy of a file may be amiss
    plan, left = together(world, lambda: plan_from(typed, world.size))
    output = Path(world.broadcast(typed["output"] or default_output()))
    folder = Folder(output)
    watchdog.ended = folder.give_up
    if watchdog.collector:
        watchdog.collector.next = resume_command(output)
    tell: Callable[..., None] = lambda *_: None  # noqa: E731
    if world.rank == 0:
        tell = Printer(typed["format"] == "table", say).tell
        for name, why in left.items():
            say(f"left out: {name}: {why}")
    interrupted: Callable[[], bool] = lambda: signals.seen or watchdog.stop  # noqa: E731
    watchdog.enter(f"the opening of the {plan.backend} backend")
    os.environ.update(plan.variables)
    module = importlib.import_module(f"{plugins.BACKENDS}.{plan.backend}")
    backend = module.open_backend(plan, world)
    watchdog.fault, watchdog.abort = backend.fault, backend.abort
    runner = Runner(plan, world, backend, folder, watchdog, interrupted, tell)
    code = runner.run(typed["resume"], communicator_seconds)
    backend.close()
    return code, output


def _collect_here(world: Any, watchdog: Watchdog, timeout: float) -> None:
    """Without a launching parent, rank 0 collects the beats of a stalled job, or its deputy.

    The deputy is on another host where there is one: a host may hang as a whole.
    """
    places = world.places
    deputy = next((p.rank for p in places if p.host != places[0].host), min(1, world.size - 1))
    several_hosts = places[deputy].host != places[0].host
    ports = world.all_gather(watchdog.port)
    address = None
    if world.rank in (0, deputy):
        me = os.uname().nodename if several_hosts else "127.0.0.1"
        collector = Collector(world.size, timeout, me)
        address = collector.address
        for p, port in zip(places, ports, strict=True):
            collector.addresses[p.rank] = (p.host if several_hosts else "127.0.0.1", port)
            collector.take(Beat(collector.key, "joined", p.rank, p.pid, p.host))
        watchdog.collect(collector, deputy=world.rank != 0)
    both = [world.broadcast(address, rank) for rank in sorted({0, deputy})]
    watchdog.report_to(both)
    watchdog.spread = min(1.0, world.size / 4096)
