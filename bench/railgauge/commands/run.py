"""Measure collectives and point-to-point operations, every result checked (the main job)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from railgauge.backends import offers_of
from railgauge.errors import NotMeasuredError, RailgaugeError, UsageError
from railgauge.journal import Folder, read_journal
from railgauge.launching import rank_process
from railgauge.launching.launch import Launch
from railgauge.launching.launchers import launched, python_module
from railgauge.plan import Plan
from railgauge.plan_options import plan_from
from railgauge.records import End
from railgauge.sweep import label, parse_sweep, side_by_side
from railgauge.terminal import TERMINAL

_help = {
    "backend": "What moves the data (railgauge list).",
    "operation": "Operations, comma separated, or all.  [default: all_reduce]",
    "pattern": "Who works together: world, nodes, pairs, leaves, bisection, listed, victim; who sends to"
    " whom: incast, permutation, shift (railgauge list).  [default: world]",
    "group_nodes": "Nodes of a group in pattern nodes.  [default: 1]",
    "ranks_per_node": "Ranks that each node must have: another placement is refused; pattern nodes needs it.",
    "duration": "Repeat all rounds for so many seconds (the last repetition is finished): a soak.",
    "rounds": "Run the pattern's first N rounds only (of permutation: N of them).",
    "quiet": "One group under a leaf at a time: what is slow here too is no congestion.",
    "leaves": "Leaf switches and their hosts: `slurm` asks Slurm (slurm:NAME: of several topologies), else a"
    " file: topology.conf, topology.yaml, output of scontrol show topology, lines `leaf0: node[0-3]`, TOML.",
    "pairs": "Who meets whom in pattern listed: a file of lines `round host host`.",
    "victims": "Share of the ranks that are measured in pattern victim.  [default: 0.2]",
    "load": "What the others do meanwhile, a round each: alltoall, incast, broadcast, storage:PATH."
    "  [default: alltoall,incast,broadcast]",
    "load_bytes": "Size of a message of the load.  [default: 64K]",
    "cluster": "What --backend simulated models: a TOML file, or a name (railgauge list).  [default: h100]",
    "nodes": "Its nodes, instead of what the cluster says.",
    "faults": "A TOML file of faults to plant in it.",
    "min_bytes": "First size: 8, 64K, 1M, 1G (binary).  [default: 8]",
    "max_bytes": "Last size.  [default: 64M]",
    "step_factor": "Growth from size to size.  [default: 2]",
    "sizes": "A list instead: 8,64K,1M:16M,1M:1G:4.",
    "dtype": "Element types, comma separated, or all.  [default: float32]",
    "op": "Reductions: sum, prod, min, max, avg, or all.  [default: sum]",
    "op_implementation": "Whose arithmetic reduces: the library's, or a compiled user operation.",
    "root": "Root ranks, comma separated, or all.  [default: 0]",
    "placement": "Out of place, in place, or both.  [default: what the operation has]",
    "call": "Forms of call, comma separated, or all: blocking, nonblocking, persistent (mpi); stream,"
    " graph (nccl); one_shot, two_shot, low_latency (peer); pull, push, both, local, to_device,"
    " from_device (copy; _sm: by a kernel); forth, back, both (perftest).",
    "algorithm": "Algorithms that NCCL's calls name, comma separated: ring, tree, nvls (NCCL 2.31; before,"
    " --sweep NCCL_ALGO=Ring,Tree).",
    "counters": "Fabric counters read around every case: none, all, or sources.  [default: all]",
    "sample_counters": "Seconds between two readings of the counters while cases run, or none.  [default:"
    " 1 where a CPU is left for it]",
    "config": "A field of NCCL's communicator configuration (max_ctas=16, cta_policy=1), or what perftest is"
    " asked: device, port, gid_index, tclass, sl, qps, mtu, iterations, connection, address=host or fabric,"
    " dmabuf. Repeatable.",
    "overlap": "Measure how much computation a non-blocking operation hides.",
    "ranks": "Number of ranks to start (this is not nccl-tests' -n, which counts iterations).",
    "iterations": "A fixed number of iterations instead of --precision and --budget.",
    "warmup": "A fixed number of warm-up iterations.  [default: until steady]",
    "precision": "Stop a size when the 95 % interval of its median is this narrow.  [default: 0.01]",
    "budget": "Seconds of sampling a size may take at most.  [default: 1]",
    "timing": "How iterations are started.  [default: what the operation has]",
    "matrix": "Traffic matrix of alltoallv: one row a sender, whole numbers.",
    "skew": "Share of alltoallv traffic that goes to rank 0 instead, 0 to 1.",
    "window": "Messages in flight in bandwidth operations.  [default: 64]",
    "buffers": "Sets of buffers that back-to-back iterations rotate through; the last result of each"
    " is verified. In place there are always as many as the iterations need.  [default: 4]",
    "check_every": "Verify every N-th iteration, not back to back.  [default: size / 4K, from 8 to 64]",
    "memory": "Where the buffers are.  [default: device with nccl, host with mpi]",
    "register": "Register buffers with NCCL: none, local, or symmetric windows.  [default: none]",
    "streams": "Operations that run at the same time, each on a stream of its own.  [default: 1]",
    "functional": "Let ranks share a GPU: checks results, and says nothing of speed.",
    "explain": "Have NCCL say which algorithm and protocol it takes (its log slows launches).",
    "clock": "What tells iterations apart on a GPU: a stamping kernel, or events.  [default: stamp]",
    "spin": "Hide launches behind a kernel that spins; nccl-tests does not.  [default: spin]",
    "set": "Set an environment variable for the ranks, NAME=VALUE; part of the plan. Repeatable.",
    "sweep": "Run once a value, each in a run folder of its own: NCCL_ALGO=Ring,Tree. Repeatable.",
    "max_memory": "Leave out sizes whose buffers need more than this a rank.",
    "sample_budget": "Bytes of raw samples a node keeps; above it the slowest ranks.  [default: 1G]",
    "plan": "A TOML or JSON file with fields of the plan, or a name: ddp, fsdp, moe, tensor_parallel;"
    " options win over it.",
    "output": "The run folder.  [default: runs/TIME]",
    "resume": "Continue the run in --output with what is missing.",
    "timeout": "Seconds without progress after which the job is ended, exit 5.  [default: 120]",
    "seed": "Seed of the data.  [default: 1]",
    "dry_run": "Show cases, memory and time; measure nothing.",
    "format": "What to print: table (streamed), or any format of railgauge report.",
    "json": "The same as --format json.",
}


def _option(*names: str, **more: Any) -> Any:
    field = next(n for n in names if n.startswith("--")).strip("-").partition("/")[0]
    field = field.replace("-", "_")
    return click.option(*names, help=_help[field], **more)


@click.command(context_settings={"max_content_width": 100})
@_option("--ranks", "-n", type=int)
@_option("--operation")
@_option("--min-bytes", "-b")
@_option("--max-bytes", "-e")
@_option("--step-factor", "-f", type=float)
@_option("--sizes")
@_option("--dtype")
@_option("--op")
@_option("--root")
@_option("--placement", type=click.Choice(["out", "in", "both"]))
@_option("--call")
@_option("--algorithm")
@_option("--pattern")
@_option("--rounds", type=int)
@_option("--group-nodes", type=int)
@_option("--ranks-per-node", type=int)
@_option("--duration", type=float)
@_option("--quiet", is_flag=True, default=None)
@_option("--leaves")
@_option("--pairs")
@_option("--victims", type=float)
@_option("--load")
@_option("--load-bytes")
@_option("--backend")
@_option("--cluster")
@_option("--nodes", type=click.IntRange(min=1))
@_option("--faults")
@_option("--timing", type=click.Choice(["barrier", "back_to_back", "synchronised"]))
@_option("--iterations", type=int)
@_option("--warmup", type=int)
@_option("--precision", type=float)
@_option("--budget", type=float)
@_option("--window", type=int)
@_option("--buffers", type=int)
@_option("--overlap", is_flag=True, default=None)
@_option("--op-implementation", type=click.Choice(["library", "user"]))
@_option("--matrix")
@_option("--skew", type=float)
@_option("--check-every", type=int)
@_option("--memory", type=click.Choice(["host", "device"]))
@_option("--register", type=click.Choice(["none", "local", "symmetric"]))
@_option("--streams", type=int)
@_option("--clock", type=click.Choice(["stamp", "event"]))
@_option("--spin/--no-spin", default=None)
@_option("--functional", is_flag=True, default=None)
@_option("--explain", is_flag=True, default=None)
@_option("--counters")
@_option("--sample-counters")
@_option("--config", multiple=True)
@_option("--set", multiple=True)
@_option("--sweep", multiple=True)
@_option("--max-memory")
@_option("--sample-budget")
@_option("--plan")
@_option("--output")
@_option("--resume", is_flag=True)
@_option("--timeout", type=float)
@_option("--seed", type=int)
@_option("--dry-run", is_flag=True)
@_option("--format", default="table")
@_option("--json", is_flag=True)
def command(**typed: Any) -> int:
    """Measure operations on N ranks and verify every result.

    Outside a launcher, -n N starts N ranks here; under mpirun, srun or torchrun it joins. Prints
    one table, writes a run folder (journal, raw samples, environment) and exits with 0 PASS, 4
    wrong data, 5 hang, 6 sizes left out, 75 interrupted (--resume continues), 2 usage, 3 could
    not measure.
    """
    if typed.pop("json"):
        if typed["format"] not in ("table", "json"):
            raise UsageError(
                f"--json means --format json, and --format {typed['format']} asks for another."
            )
        typed["format"] = "json"
    rank_process.check_format(typed["format"])
    if typed["resume"] and not typed["output"]:
        rank_process.check_resume()
    swept = parse_sweep(typed.pop("sweep"))
    if launched():
        if swept != [()]:
            raise UsageError(
                "--sweep starts the ranks anew for each value, which only railgauge's own launch can.\n"
                f"  next: without a launcher, or once a value: railgauge run --set {label(swept[0])}"
            )
        return rank_process.join(typed)
    plan, left = plan_from(typed)
    if typed["dry_run"]:
        from railgauge.dry_run import dry_run

        return dry_run(plan, left, as_json=typed["format"] == "json")
    output = Path(typed["output"] or rank_process.default_output())
    if sys.stderr.isatty():
        os.environ[TERMINAL] = str(os.get_terminal_size(sys.stderr.fileno()).columns)
    if swept == [()]:
        return _run(typed, plan, output)
    folders, codes = [], []
    for variables in swept:
        folders.append(output / label(variables))
        rank_process.say(f"{label(variables)}:")
        more = [f"{name}={value}" for name, value in variables]
        codes.append(_run({**typed, "set": (*typed["set"], *more)}, plan, folders[-1]))
    print("\n".join(side_by_side(folders)), flush=True)
    return next((code for code in codes if code), 0)


def _run(typed: dict[str, Any], plan: Plan, output: Path) -> int:
    """Start the ranks, wait for their end, and print what they do not print themselves."""
    same = {"ranks": plan.ranks, "output": str(output), "timeout": plan.timeout}
    if offers_of(plan.backend).alone:
        rank_process.simulate(typed, plan, output)
    else:
        _launch(plan.ranks, _rank_command({**typed, **same}), plan.timeout, output)
    end = read_journal(output)[-1]
    if not isinstance(end, End):
        raise NotMeasuredError(f"{output}: the run ended without a word.\n  next: --resume")
    printed = 0
    if typed["format"] != "table":
        printed = rank_process.hand_over(output, typed["format"])
    rank_process.say(f"{end.verdict}: {output}")
    return end.exit_code or printed


def _launch(ranks: int, command: list[str], timeout: float, output: Path) -> None:
    """Start the ranks and wait; where they cannot end the journal themselves, end it for them."""
    folder = Folder(output)
    launch = Launch(ranks, command, timeout)
    launch.collector.next = rank_process.resume_command(output)
    try:
        launch.wait()
    except RailgaugeError as error:
        folder.give_up(str(error), error.exit_code)
        raise


def _rank_command(typed: dict[str, Any]) -> list[str]:
    """The command line of one rank: the same options again."""
    words = python_module("railgauge", "run")
    for field, value in typed.items():
        name = f"--{field.replace('_', '-')}"
        if isinstance(value, tuple):
            words += [word for item in value for word in (name, item)]
        elif field == "spin" and value is False:
            words.append("--no-spin")
        elif value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return words
