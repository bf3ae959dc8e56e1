"""Say what a number should be, and why; judge thresholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import EXIT_INCONCLUSIVE, EXIT_PASS, UsageError

if TYPE_CHECKING:
    from railgauge.cluster import Cluster

DEFAULT_SIZES = tuple(8 << (3 * step) for step in range(11))  # 8 B to 8 GiB
DEFAULT_OPERATION = "all_reduce"


@click.command(context_settings={"max_content_width": 100})
@click.option("--cluster", help="A cluster that ships, or a TOML file.  [see: railgauge list]")
@click.option(
    "--run", type=click.Path(path_type=Path), help="Take the machine from this run folder."
)
@click.option(
    "--operation",
    help="Operations, comma separated; all: every one.  [default: all_reduce; the run's]",
)
@click.option("--nodes", type=int, help="Nodes that take part.  [default: all]")
@click.option("--ranks", "-n", type=int, help="Ranks, one a GPU.  [default: all GPUs of the nodes]")
@click.option(
    "--algorithm", help="ring, tree, nvls, nvls_tree ...  [default: as NCCL would choose]"
)
@click.option("--pattern", help="Who works at the same time.  [default: world; the run's]")
@click.option("--min-bytes", "-b", help="First size.")
@click.option("--max-bytes", "-e", help="Last size.")
@click.option("--step-factor", "-f", type=float, help="Growth from size to size.  [default: 2]")
@click.option("--sizes", help="Sizes, comma separated; 1M:16M is a range.  [default: 8 B to 8 GiB]")
@click.option("--reference", is_flag=True, help="Only the published figures, with their sources.")
@click.option(
    "--lint",
    "limits",
    type=click.Path(path_type=Path),
    help="Judge the thresholds of a TOML, JSON or CSV file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(**typed: Any) -> int:
    """Say what an operation should take on a cluster, and derive it.

    Prints time and bus bandwidth over sizes with their bound, the resource that binds, the arithmetic,
    what such figures are mistaken for, and what is published of the same hardware ("no reference" where
    nothing is). --lint says of every threshold whether it can be reached and what it would let through.
    Exits with 0, 1 a threshold cannot do its job, 6 nothing can be said, 2 usage.
    """
    if typed["cluster"] and typed["run"]:
        raise UsageError(
            "--cluster and --run both say which machine is meant.\n  expected: one of them"
        )
    if typed["limits"]:
        return _lint(typed)
    if typed["reference"]:
        return _references(typed)
    made = _sections(typed)
    if typed["as_json"]:
        print(json.dumps({"expectations": made}, indent=1))
    else:
        from railgauge_reports.expected.sections import text

        print("\n\n".join(map(text, made)))
    return EXIT_INCONCLUSIVE if all(one["reason"] for one in made) else EXIT_PASS


def _sections(typed: dict[str, Any]) -> list[dict[str, Any]]:
    """One object an operation."""
    from railgauge.plan_options import names_of
    from railgauge.plan_options import sizes as sizes_of

    asked = names_of(typed["operation"])
    if asked == ():
        raise UsageError("--operation: names none.\n  next: railgauge list")
    if asked == ("all",):
        asked = _every_operation()
    sizes = sizes_of(typed)
    if sizes and not any(sizes):
        raise UsageError(
            "--sizes: 0 bytes alone have no bandwidth to expect.\n"
            "  expected: sizes of 1 B to 1 PiB\n  next: --sizes 8,1M"
        )
    if typed["run"] is not None:
        return _of_run(typed, asked, sizes)
    if typed["cluster"] is None:
        from railgauge import clusters

        raise UsageError(
            "which machine? Neither --cluster nor --run is given.\n"
            f"  expected: --cluster {', '.join(clusters.names())}, a TOML file, or --run FOLDER\n"
            "  next: railgauge expect --cluster h100 --nodes 4"
        )
    from railgauge.cluster import read_cluster

    cluster = read_cluster(typed["cluster"])
    names = asked or (DEFAULT_OPERATION,)
    return _told(typed, cluster, names, sizes or DEFAULT_SIZES, typed["pattern"] or "world")


def _told(
    typed: dict[str, Any],
    cluster: Cluster,
    operations: Sequence[str],
    sizes: Sequence[int],
    pattern: str,
    unknown: Sequence[str] = (),
) -> list[dict[str, Any]]:
    from railgauge_reports.expected.question import question_of
    from railgauge_reports.expected.sections import section

    nodes, ranks = typed["nodes"], typed["ranks"]
    if nodes is None and ranks is not None:
        nodes = min(cluster.nodes, -(-ranks // cluster.node.gpus))
    found: list[dict[str, Any]] = []
    for name in operations:
        try:
            question = question_of(cluster, name, nodes, ranks, typed["algorithm"], pattern)
        except UsageError:
            if tuple(operations) != _every_operation():
                raise
            continue  # of all, those that this pattern and algorithm have
        found.append(section(question, [size for size in sizes if size], unknown))
    if not found:
        question_of(cluster, operations[0], nodes, ranks, typed["algorithm"], pattern)  # says why
    return found


def _every_operation() -> tuple[str, ...]:
    from railgauge.operations import OPERATIONS

    return tuple(OPERATIONS)


def _of_run(
    typed: dict[str, Any], asked: Sequence[str] | None, sizes: Sequence[int] | None
) -> list[dict[str, Any]]:
    """As the run's plan has it, unless something else was typed."""
    from railgauge_reports.expected.machine import machine_of
    from railgauge_reports.stored import read_run

    run = read_run(typed["run"])
    machine, pattern = machine_of(run), typed["pattern"] or run.plan.pattern
    names = asked or run.plan.operations
    if machine.cluster is None:
        return [
            {"operation": name, "pattern": pattern, "nodes": machine.nodes, "ranks": machine.ranks,
             "algorithm": typed["algorithm"], "reason": machine.reason, "unknown": list(machine.unknown)}
            for name in names
        ]  # fmt: skip
    sizes = sizes or [size for size in run.plan.sizes if size] or DEFAULT_SIZES
    return _told(typed, machine.cluster, names, sizes, pattern, machine.unknown)


def _lint(typed: dict[str, Any]) -> int:
    import msgspec

    from railgauge_reports.expected.lint import exit_code, lint
    from railgauge_reports.expected.sections import linted
    from railgauge_reports.expected.thresholds import read_thresholds

    if typed["run"] is not None:
        raise UsageError("--lint takes --cluster, or the file says the hardware; not --run.")
    judged = lint(read_thresholds(typed["limits"]), typed["cluster"])
    code = exit_code(judged)
    if typed["as_json"]:
        made = {"thresholds": msgspec.to_builtins(judged), "exit_code": code}
        print(json.dumps(made, indent=1))
    else:
        print(linted(judged))
    return code


def _references(typed: dict[str, Any]) -> int:
    """All of them, or those that fit the machine and job that were typed."""
    import msgspec

    from railgauge_reports.expected.references import NONE, Reference, references
    from railgauge_reports.expected.sections import referenced

    found = list(references())
    if typed["cluster"] or typed["run"]:
        entries = [e for made in _sections(typed) for e in made.get("references", ())]
        found = [msgspec.convert(entry, Reference) for entry in entries]
    elif typed["operation"]:
        found = [entry for entry in found if entry.operation == typed["operation"]]
    if typed["as_json"]:
        print(json.dumps({"references": msgspec.to_builtins(found)}, indent=1))
    else:
        print(referenced(found) if found else NONE)
    return EXIT_PASS if found else EXIT_INCONCLUSIVE
