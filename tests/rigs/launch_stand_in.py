"""Stands in for a launcher of ranks: writes at once the folder that `railgauge run` would make.

Used as `--launcher "python launch_stand_in.py"`. What is to happen is told by variables:

    --set SLOWNESS=1.5        this side's times are so many times longer
    STAND_IN_FAILS=b1         the launch into folder b1 says so and ends with 7
    STAND_IN_WRONG=b1         it delivers wrong data (4)
    STAND_IN_WAITS=b1         it writes its pid to the file b1.pid beside the folder and does not end
    STAND_IN_LEAVES_OUT=a     launches of side a have no second size
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from railgauge.journal import Folder
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Block, Counted, End, GroupResult, Moved, Result, Run, Wrong

SIZES = (1024, 65536)
SAMPLES = 64
SPREAD = 0.004


def told(argv: list[str]) -> tuple[Path, dict[str, str]]:
    """The run folder, and the variables of --set."""
    pairs = [argv[k + 1].partition("=") for k, word in enumerate(argv) if word == "--set"]
    return Path(argv[argv.index("--output") + 1]), {name: value for name, _, value in pairs}


def launch(argv: list[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """Do what this launch is to: its exit code, and what it says on stderr."""
    folder, variables = told(argv)
    if environ.get("STAND_IN_FAILS") == folder.name:
        return 7, "stand-in: no such fabric"
    if environ.get("STAND_IN_WAITS") == folder.name:
        folder.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
    left_out = environ.get("STAND_IN_LEAVES_OUT") == folder.name[0]
    wrong = environ.get("STAND_IN_WRONG") == folder.name
    write(folder, variables, left_out, wrong)
    return (4, "stand-in: wrong data") if wrong else (0, "")


def write(folder: Path, variables: dict[str, str], left_out: bool, wrong: bool) -> None:
    """The run folder."""
    plan = Plan(
        ranks=2,
        sizes=SIZES[:1] if left_out else SIZES,
        variables=tuple(sorted(variables.items())),
    )
    made, slowness = Folder(folder), float(variables.get("SLOWNESS", 1))
    made.claim(plan, resume=False)
    made.append(
        Run(
            format=FORMAT, version="0", plan_sha256=plan.sha256(), started=time.time(), ranks=2,
            hosts=("n0",), nodes=((0, 2),), backend="mpi", library="MPICH", thread_level="funneled",
            init_seconds=0.1, communicator_seconds=1e-5, stamp_nanoseconds=22.0,
            clock_uncertainty_ns=0, todo=1,
        )
    )  # fmt: skip
    place = {"source": "rdma", "device": "mlx5_0", "port": 1, "unknown": {}, "facts": {}}
    node = {"host": "n0", "variables": variables, "counters": {"places": [place], "problems": {}}}
    made.write_environment({"nodes": [node], "ranks": []})
    drawn = random.Random(folder.name)
    for case in cases(plan):
        seconds = case.nbytes * 1e-9 * slowness * drawn.lognormvariate(0, SPREAD)
        rows = np.zeros((2, SAMPLES, 2), np.int64)
        rows[:, :, 1] = round(seconds * 1e9)
        block = Block(
            node=0, offset=made.append_samples(0, rows), ranks="0-1", columns=("entry", "exit")
        )
        lost = Moved("rdma", "mlx5_0", 1, "packet_seq_err", round(100 * slowness**20))
        made.append(
            Result(
                case=case, round=0, started=1.0, seconds=0.1, stopped="count", samples=(block,),
                transfers=1, bus_factor=1.0, counted=(Counted(node=0, seconds=1.0, moved=(lost,)),),
                groups=(group(wrong),),
            )
        )  # fmt: skip
    verdict, code = ("FAIL", 4) if wrong else ("PASS", 0)
    made.append(End(verdict=verdict, exit_code=code, finished=2.0))
    made.release()


def group(wrong: bool) -> GroupResult:
    """What both ranks did."""
    element = Wrong(
        rank=1, host="n0", buffer="receive 0", index=3, expected="0x1", found="0x0", elements=2,
        iteration=0,
    )  # fmt: skip
    return GroupResult(
        ranks="0-1", first_call_ns=1000, warmup_iterations=8, steady=True, iterations=SAMPLES,
        checked_iterations=SAMPLES, missed_windows=0, wrong=(element,) if wrong else (),
    )  # fmt: skip


if __name__ == "__main__":
    code, said = launch(sys.argv, os.environ)
    print(said, file=sys.stderr)
    sys.exit(code)
