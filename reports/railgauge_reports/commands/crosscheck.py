"""Run another benchmark (osu_*, IMB-MPI1, nccl-tests) interleaved with ours and print the ratio."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from railgauge.errors import UsageError
from railgauge.launching.launch import find_launcher
from railgauge.launching.launchers import launched
from railgauge.units import parse_sizes
from railgauge_reports.crosscheck.interleave import ITERATIONS, Interleaved, batches
from railgauge_reports.crosscheck.launches import Launches, check_library
from railgauge_reports.crosscheck.pairing import Pairing, peer_of
from railgauge_reports.crosscheck.parity import SLOWER, UNDECIDED, Row, exit_code
from railgauge_reports.crosscheck.table import lines
from railgauge_reports.progress import bar

DEFAULT_SIZES = "8,64,1K,64K,1M"
RESULT = "crosscheck.json"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a crosscheck says; `--output` keeps it as crosscheck.json, `--json` prints its rows."""

    peer: str
    benchmark: str
    operation: str
    dtype: str
    timing: str
    ranks: int
    statistic: str
    seed: int
    notes: list[str]
    rows: list[Row]


@click.command()
@click.option("--peer", "path", required=True, help="The binary: osu_*, IMB-MPI1 or *_perf.")
@click.option("--ranks", "-n", default=2, show_default=True, help="Ranks of both.")
@click.option("--operation", help="Which of the peer's benchmarks.  [default: by its name]")
@click.option("--sizes", default=DEFAULT_SIZES, show_default=True, help="Bytes, as railgauge run.")
@click.option("--rounds", default=12, show_default=True, help="Interleaved rounds.")
@click.option(
    "--iterations", default=ITERATIONS, show_default=True, help="A launch's, fewer above 8K."
)
@click.option("--seed", default=1, show_default=True, help="Of the order and of the intervals.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds a launch may take.")
@click.option("--output", help="Keep what both printed and measured in this new folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(
    path: str,
    ranks: int,
    operation: str | None,
    sizes: str,
    rounds: int,
    iterations: int,
    seed: int,
    timeout: float,
    output: str | None,
    as_json: bool,
) -> int:
    """Compare a peer benchmark with ours on the same ranks, in one interleaved run.

    Each round runs the peer, ours and the peer again in random order. Our raw samples are put
    through the peer's own statistic; a ratio above 1 means that ours is slower. Exit codes: 0 all
    sizes at parity, 1 one is not, 6 of one nothing can be said (the peer prints too few digits, or
    fewer than 6 rounds), 2 usage, 3 the peer could not run.
    """
    _check_counts(ranks=ranks, rounds=rounds, iterations=iterations, timeout=timeout)
    binary = _executable(path)
    peer = peer_of(binary.name)
    asked = parse_sizes(sizes, 2.0)
    _check_pairing(peer.pairing(binary.name, operation, frozenset()), ranks)  # before anything runs
    launcher = find_launcher()
    library = check_library(binary, launcher)
    launches = Launches(binary, peer, launcher, ranks, timeout)
    with _folder(output) as folder:
        options = launches.options()
        pairing = peer.pairing(binary.name, operation, options)
        plan = batches(pairing, pairing.sizes(asked, ranks), iterations, peer.reachable)
        run = Interleaved(launches, pairing, options, plan, folder, seed)
        with bar("crosscheck", rounds * 3 * len(plan)) as advance:
            rows = run.run(rounds, advance)
        report = Report(
            peer=str(binary),
            benchmark=pairing.benchmark,
            operation=pairing.operation,
            dtype=pairing.dtype,
            timing=pairing.timing,
            ranks=ranks,
            statistic=pairing.words,
            seed=seed,
            notes=[text for text in (library, *pairing.notes) if text],
            rows=rows,
        )
        text = msgspec.json.format(msgspec.json.encode(report), indent=1)
        (folder / RESULT).write_bytes(text + b"\n")
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode(), flush=True)
        for note in report.notes:
            print(f"note: {note}", file=sys.stderr)
    else:
        print(_told(report), flush=True)
    if run.failure:
        raise run.failure
    return exit_code(rows)


def _told(report: Report) -> str:
    paired = f"{report.benchmark} beside railgauge {report.operation}"
    made = [
        f"{paired} ({report.dtype}, {report.timing}), {report.ranks} ranks; {report.statistic}",
        *lines(report.rows),
        "ratio: ours / peer, the median over the rounds' ratios (not the ratio of the two columns)",
        *(f"note: {text}" for text in report.notes),
    ]
    if any(row.verdict == UNDECIDED for row in report.rows):
        made.append("undecided: the interval is too wide to say; next: more --rounds")
    if any(row.verdict == SLOWER for row in report.rows):
        made.append("slower: ours takes longer, by more than the peer differs from itself")
    return "\n".join(made)


# what was typed --------------------------------------------------------------------------------


def _check_counts(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise UsageError(
                f"--{name} {value:g}: expected at least 1.\n  next: railgauge crosscheck --help"
            )
    if launched():
        raise UsageError(
            "crosscheck starts the ranks of both sides itself, and a launcher has started it.\n"
            "  next: railgauge crosscheck --peer PATH -n RANKS, without mpirun or srun"
        )


def _executable(path: str) -> Path:
    found = Path(path) if os.sep in path else Path(shutil.which(path) or path)
    if not found.is_file():
        reason = "is a folder" if found.is_dir() else "does not exist"
    elif not os.access(found, os.X_OK):
        reason = "is not executable"
    else:
        return found.absolute()
    raise UsageError(
        f"--peer {path}: {reason}.\n"
        "  expected: a benchmark's binary: osu_* (OSU micro-benchmarks), IMB-MPI1, or *_perf"
        " (nccl-tests)\n  next: railgauge crosscheck --peer PATH/osu_allreduce -n 2"
    )


def _check_pairing(pairing: Pairing, ranks: int) -> None:
    if pairing.ranks not in (None, ranks):
        raise UsageError(
            f"--ranks {ranks}: {pairing.benchmark} runs on {pairing.ranks} ranks.\n"
            f"  next: railgauge crosscheck -n {pairing.ranks}"
        )


@contextmanager
def _folder(output: str | None) -> Iterator[Path]:
    if output is None:
        with tempfile.TemporaryDirectory(prefix="railgauge-crosscheck-") as made:
            yield Path(made)
        return
    path = Path(output)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(
                f"--output {path}: not empty.\n"
                "  expected: a new folder\n  next: --output ANOTHER_FOLDER"
            )
    except OSError as error:
        raise UsageError(f"--output {path}: {error.strerror or error}") from None
    yield path
