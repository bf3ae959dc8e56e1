"""What `make gpu` runs: the tests that need a GPU, then every measurement, into one JSON.

`python tests/gpu/measure.py FILE [--size 256M] [--peer all_reduce_perf] [-- pytest arguments]`.
A part that fails is told with its exit code and its last words; the others are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from railgauge.environment import node_facts, versions
from railgauge.gpus import cuda

HERE = Path(__file__).parent
RAILGAUGE = [sys.executable, "-m", "railgauge"]
TIMEOUT = 1500


def ended(command):
    """(exit code, stdout, the last words of stderr) of a command, told while it runs."""
    print("  $", " ".join(command[2:]), file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return None, "", f"no end within {TIMEOUT} s"
    return done.returncode, done.stdout, done.stderr[-2000:]


def tests(folder, arguments):
    """Counts of the tests, and the names of those that failed."""
    report = folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:benchmark", "-q", str(HERE)]
    command += ["-o", "python_files=gpu_*.py", f"--junit-xml={report}", *arguments]
    code, stdout, _ = ended(command)
    print(stdout, file=sys.stderr)
    if not report.exists():
        return {"exit": code, "last_words": stdout[-2000:]}
    suite = ElementTree.parse(report).getroot()[0]
    failed = [
        f"{case.get('name')}: {problem.get('message')}"
        for case in suite.iter("testcase")
        for problem in (*case.findall("failure"), *case.findall("error"))
    ]
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return {"exit": code, **counts, "failed": failed}


def kernels(size):
    code, stdout, last = ended([*RAILGAUGE, "kernels", "--json", "--size", size])
    return {"exit": code, "table": json.loads(stdout)} if stdout else {"exit": code, "said": last}


def run(folder, name, *arguments):
    """A run's rows, and what it took to get them."""
    output = folder / name
    code, _, last = ended([*RAILGAUGE, "run", "--output", str(output), *arguments])
    made = {"command": ["railgauge", "run", *arguments], "exit": code}
    if code is None or not (output / "journal.jsonl").exists():
        return made | {"said": last}
    _, stdout, _ = ended([*RAILGAUGE, "report", str(output), "--format", "json"])
    return made | {"report": json.loads(stdout)}


def plans(gpus, size):
    """Name -> arguments of the runs that this machine can do."""
    one = ("-n", "1", "--backend", "nccl")
    found = {
        "launches": (*one, "--sizes", "8,1K", "--call", "stream,graph"),
        "event_clock": (*one, "--sizes", f"8,1K,{size}", "--clock", "event"),
        "stamp_clock": (*one, "--sizes", f"8,1K,{size}"),
        "copies": (
            *(*one, "--operation", "copy", "--sizes", size),
            *("--call", "local,local_sm,to_device,from_device"),
        ),
    }
    if gpus < 2:
        return found
    all_gpus = ("-n", str(gpus), "--backend")
    pairs = ("--operation", "copy", "--pattern", "pairs", "--sizes", f"8,{size}")
    small = ("-b", "8", "-e", "1M")
    return found | {
        "nccl": (*all_gpus, "nccl", "-b", "8", "-e", "1G"),
        "nccl_symmetric": (*all_gpus, "nccl", "-b", "8", "-e", "1G", "--register", "symmetric"),
        "nccl_small_graph": (*all_gpus, "nccl", *small, "--call", "graph"),
        "peer": (*all_gpus, "peer", *small, "--call", "one_shot,two_shot,low_latency"),
        "pairs": (*all_gpus, "nccl", *pairs, "--call", "pull,push,both,pull_sm,push_sm,both_sm"),
    }


def crosscheck(peer):
    code, stdout, last = ended([*RAILGAUGE, "crosscheck", "--peer", peer, "--json"])
    return {"exit": code, "rows": json.loads(stdout)} if stdout else {"exit": code, "said": last}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", default="256M", help="of the large arrays")
    parser.add_argument("--peer", help="an nccl-tests binary to compare with")
    own, behind = sys.argv[1:], []
    if "--" in own:
        own, behind = own[: own.index("--")], own[own.index("--") + 1 :]
    asked = parser.parse_args(own)
    gpus = cuda.device_count()
    made = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": node_facts(),
        "versions": versions(),
        "gpus": gpus,
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made["tests"] = tests(folder, behind)
        made["kernels"] = kernels(asked.size)
        made["runs"] = {
            name: run(folder, name, *arguments)
            for name, arguments in plans(gpus, asked.size).items()
        }
        if asked.peer:
            made["crosscheck"] = crosscheck(asked.peer)
    asked.file.parent.mkdir(parents=True, exist_ok=True)
    asked.file.write_text(json.dumps(made, indent=1) + "\n")
    print(asked.file)
    parts = [made["tests"], made["kernels"], *made["runs"].values(), made.get("crosscheck", {})]
    return 0 if all(part.get("exit", 0) == 0 for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
