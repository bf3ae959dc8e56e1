"""How railgauge itself scales: a simulated tournament of many ranks, written, read, judged and reported.

Each phase is a process of its own, so that its memory is its own: wall seconds, and the largest resident
set (ru_maxrss). `make study` runs it; `python tests/studies/scale_study.py --nodes 512 4096` chooses.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROUNDS = 3
FAULTS = """
[[faults]]
kind = "slow_nic"
node = "node0017"
nic = 3
share = 0.8
[[faults]]
kind = "dead_nic"
node = "node0101"
nic = 6
[[faults]]
kind = "wrong_pfc_class"
node = "node0200"
"""
RAILGAUGE = (sys.executable, "-m", "railgauge")


class Spent(NamedTuple):
    """Of one process: wall seconds, MiB, exit code."""

    seconds: float
    mebibytes: float
    code: int


def spent(*arguments: str) -> Spent:
    """Run `railgauge ARGUMENTS` and wait for it."""
    begin = time.monotonic()
    child = subprocess.Popen(
        [*RAILGAUGE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Spent(time.monotonic() - begin, usage.ru_maxrss / 1024, child.returncode)


def phases(folder: Path, nodes: int) -> dict[str, Spent]:
    """What becomes of a tournament of `nodes` nodes of 8 GPUs in `folder`."""
    faults, run = folder / "faults.toml", folder / f"run{nodes}"
    faults.write_text(FAULTS)
    made = {
        "simulate and journal": spent(
            *("run", "--backend", "simulated", "--nodes", str(nodes), "--pattern", "pairs"),
            *("--rounds", str(ROUNDS), "--operation", "sendrecv", "--sizes", "64M"),
            *("--faults", str(faults), "--output", str(run)),
        )
    }
    for name in ("table", "csv", "markdown", "parquet", "html"):
        target = str(folder / f"report.{name}")
        made[f"report --format {name}"] = spent(
            "report", str(run), "--format", name, "--output", target
        )
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[512, 2048, 4096])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = {nodes: phases(Path(name), nodes) for nodes in asked.nodes}
    print("| phase | " + " | ".join(f"{8 * n:,} ranks" for n in asked.nodes) + " |")
    print("|---|" + "---|" * len(asked.nodes))
    for phase in made[asked.nodes[0]]:
        cells = [made[nodes][phase] for nodes in asked.nodes]
        row = [
            f"{s.seconds:.1f} s, {s.mebibytes:.0f} MiB" + (f" (exit {s.code})" if s.code else "")
            for s in cells
        ]
        print(f"| {phase} | " + " | ".join(row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
