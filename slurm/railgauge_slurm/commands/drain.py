"""Drain the nodes that a run found at fault, up to a cap; give back what railgauge drained."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from railgauge.errors import EXIT_PASS, UsageError

if TYPE_CHECKING:
    from railgauge_slurm.accusation import Accusation
    from railgauge_slurm.acting import Done
    from railgauge_slurm.draining import Decided


@click.command(context_settings={"max_content_width": 100})
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--apply", is_flag=True, help="Do it. Without, the commands are printed only.")
@click.option(
    "--max-drain",
    default="2%",
    metavar="N|N%",
    help="At most so many nodes held at once by railgauge, of the partition (a share: one at least)."
    "  [default: 2%]",
)
@click.option(
    "--undrain", is_flag=True, help="Give back nodes that railgauge drained, and no others."
)
@click.option(
    "--partition",
    help="Whose nodes are counted.  [default: where the run ran, else Slurm's default one]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    run: Path | None,
    apply: bool,
    max_drain: str,
    undrain: bool,
    partition: str | None,
    as_json: bool,
) -> int:
    """Print the commands that drain nodes at fault, for a shell; with --apply run them.

    RUN is the folder of a run, of an acceptance, or of a night that holds one. Drained are nodes that
    were confirmed against good partners, or of which it is 99 % sure; never one that was refuted or that
    the data cannot tell from others. Nodes drained by somebody else stay as they are. With --undrain and
    RUN only those are given back that this later run found good. What was done is kept in RUN/drain.json.
    """
    from railgauge_slurm import accused, draining
    from railgauge_slurm.acting import carry_out
    from railgauge_slurm.nodes import all_nodes, partition_of

    cap = draining.parse_cap(max_drain)
    if run is None and not undrain:
        raise UsageError(
            "which run accuses whom is not said.\n  expected: the folder of a run or an acceptance\n"
            "  next: railgauge slurm drain RUN, or railgauge slurm drain --undrain"
        )
    said = None if run is None else accused.read(run)
    if said is not None and said.warning and apply:
        raise UsageError(f"--apply: {said.warning}.\n  expected: a run on this cluster")
    nodes = all_nodes()
    if undrain or said is None:
        counted = partition_of(nodes, partition) if partition else None
        decided = draining.to_undrain(nodes, counted, said)
    else:
        counted = partition_of(nodes, partition, said.partition)
        decided = draining.to_drain(said, nodes, counted, cap)
    _talk(said, decided, counted or "")
    done = carry_out(decided.actions, said.folder if said else None) if apply else None
    _show(said, decided, counted or "", done, as_json)
    if done is not None:
        click.echo(f"done: {len(done)} of {len(decided.actions)}", err=True)
    elif decided.actions:
        click.echo(
            "nothing was done; next: the same with --apply, or the commands by hand", err=True
        )
    return EXIT_PASS


def _show(
    said: Accusation | None,
    decided: Decided,
    partition: str,
    done: Iterable[Done] | None,
    as_json: bool,
) -> None:
    """The commands on stdout: quoted for a shell, or as data."""
    if not as_json:
        for action in decided.actions:
            print(shlex.join(action.argv))
        return
    ran = {entry.node: entry.done for entry in done or ()}
    made: dict[str, Any] = {
        "run": None if said is None else str(said.folder),
        "warning": "" if said is None else said.warning,
        "partition": partition,
        "limit": decided.limit,
        "held": decided.held,
        "actions": [{**a._asdict(), "done": ran.get(a.node, False)} for a in decided.actions],
        "left": [entry._asdict() for entry in decided.left],
    }
    print(msgspec.json.encode(made).decode())


def _talk(said: Accusation | None, decided: Decided, partition: str) -> None:
    """On stderr: of what this is, who is left alone and why."""
    from railgauge_slurm.accused import age_in_words

    lines = []
    if said is not None:
        warning = f"{said.warning}: " if said.warning else ""
        lines.append(f"{warning}{said.folder}, measured {age_in_words(said.measured)}")
    if decided.limit:
        where = f" in partition {partition}" if partition else ""
        lines.append(f"at most {decided.limit}{where}, {decided.held} held already")
    verb = "drain" if decided.limit else "give back"
    lines += [f"{verb} {action.node}: {action.why}" for action in decided.actions]
    lines += [f"left alone: {entry.who}: {entry.why}" for entry in decided.left]
    lines += [] if decided.actions else ["nothing to do"]
    for line in lines:
        click.echo(" ".join(line.split()), err=True)
