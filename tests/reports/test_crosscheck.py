"""`railgauge crosscheck` from its command line, beside a stand-in peer of our own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from railgauge.journal import read_journal
from railgauge.launching.launch import find_launcher
from railgauge.records import Result
from railgauge_reports.crosscheck.launches import linked_library

# Prints what osu_allreduce prints: 1 s at 8 B, 0.1 ns at 64 B, 0.01 us in two decimals at 128 B.
STAND_IN = """#!{python}
import os, sys
rank = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK")
if "--help" in sys.argv or rank != "0":
    sys.exit(0)
first, last = map(int, sys.argv[sys.argv.index("-m") + 1].split(":"))
assert sys.argv[sys.argv.index("-T") + 1] == "mpi_float" and "-z50" in sys.argv
print("# OSU MPI Allreduce Latency Test v7.4\\n# Datatype: MPI_FLOAT.")
print("# Size   Avg Latency(us)  Min Latency(us)  Max Latency(us)  Iterations  P50 Tail Lat(us)")
while first <= last:
    time = {{8: "1000000.0000", 64: "0.000100", 128: "0.01"}}.get(first, "1.0000")
    print(first, time, time, time, 10, time)
    first *= 2
"""
# One write a line, as C's stderr has it: the lines of two ranks are not mixed.
FAILING = """#!{python}
import os, sys
os.write(2, b"stand-in: no such fabric\\n")
sys.exit(1)
"""
# Prints what all_reduce_perf of two ranks prints: 1 us at any size.
NCCL_TESTS = """#!{python}
import os, sys
if (os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK")) != "0":
    sys.exit(0)
asked = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert (asked["-a"], asked["-d"], asked["-b"]) == ("3", "float", asked["-e"]), sys.argv
for rank in range(2):
    print(f"#  Rank {{rank:2}} Group  0 Pid {{rank + 7:6}} on      a device {{rank:2}} [0000:00:01] A")
size = int(asked["-b"])
time = "1.00"
print(f"{{size:12}}  {{size // 4:12}}     float     sum      -1  {{time:>7}}    0.00    0.00     N/A")
"""


def stand_in(folder: Path, text: str, name: str = "osu_allreduce") -> Path:
    path = folder / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


def crosscheck(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "railgauge", "crosscheck", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.mpi
@pytest.mark.slow
def test_each_size_gets_its_ratio_interval_and_verdict(tmp_path: Path) -> None:
    output = tmp_path / "kept"
    done = crosscheck(
        "--peer", stand_in(tmp_path, STAND_IN), "--sizes", "8,64,128", "--rounds", "6",
        "--iterations", "50", "--json", "--output", output,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    rows = {row["nbytes"]: row for row in json.loads(done.stdout)}
    assert {nbytes: row["verdict"] for nbytes, row in rows.items()} == {
        8: "faster", 64: "slower", 128: "not resolvable",
    }  # fmt: skip
    assert rows[8]["ratio_low"] <= rows[8]["ratio"] <= rows[8]["ratio_high"] < 1e-3
    assert rows[8]["null_low"] == rows[8]["null_high"] == 1
    assert rows[128]["peer_resolution_seconds"] == pytest.approx(1e-8)
    assert json.loads((output / "crosscheck.json").read_text())["benchmark"] == "osu_allreduce"
    assert (output / "round005" / "8-64-128" / "ours" / "journal.jsonl").exists()


@pytest.mark.mpi
@pytest.mark.slow
def test_nccl_tests_is_compared_with_batches_of_ours_on_gpus(tmp_path: Path, gpu_stand_in) -> None:
    output = tmp_path / "kept"
    done = crosscheck(
        "--peer", stand_in(tmp_path, NCCL_TESTS, "all_reduce_perf"), "--sizes", "64",
        "--rounds", "6", "--iterations", "20", "--json", "--output", output,
        LD_PRELOAD=gpu_stand_in, CUDA_VISIBLE_DEVICES="0,1",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["nbytes"] == 64
    assert 1 < row["ratio_low"] <= row["ratio"]
    assert row["verdict"] == "slower"
    ours = output / "round000" / "64" / "ours"
    assert json.loads((ours / "plan.json").read_text())["backend"] == "nccl"
    (result,) = [record for record in read_journal(ours) if isinstance(record, Result)]
    assert result.groups[0].batch.iterations >= 20


@pytest.mark.mpi
def test_a_peer_that_fails_is_quoted_once_and_nothing_else_is_measured(tmp_path: Path) -> None:
    done = crosscheck("--peer", stand_in(tmp_path, FAILING), "--rounds", "1", "--sizes", "8")
    assert done.returncode == 3
    assert done.stderr.count("stand-in: no such fabric") == 1
    assert done.stdout == ""


@pytest.mark.mpi
def test_a_peer_that_fails_later_loses_none_of_the_rounds_before(tmp_path: Path) -> None:
    later = STAND_IN.replace(
        "first, last =",
        """import pathlib
times = pathlib.Path(sys.argv[0]).parent / "times"
times.open("a").write("x")
if len(times.read_text()) > 4:
    os.write(2, b"stand-in: no such fabric\\n")
    sys.exit(1)
first, last =""",
        1,
    )
    output = tmp_path / "kept"
    done = crosscheck(
        "--peer", stand_in(tmp_path, later), "--rounds", "9", "--sizes", "64",
        "--iterations", "50", "--output", output,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.count("stand-in: no such fabric") == 1
    assert "too few rounds: 2 rounds give no 95 % interval" in done.stdout
    (row,) = json.loads((output / "crosscheck.json").read_text())["rows"]
    assert row["rounds"] == 2


@pytest.mark.mpi
def test_a_peer_that_hangs_is_ended(tmp_path: Path) -> None:
    hanging = stand_in(tmp_path, "#!{python}\nimport time\ntime.sleep(600)\n")
    done = crosscheck("--peer", hanging, "--rounds", "1", "--sizes", "8", "--timeout", "3")
    assert done.returncode == 5
    assert "no end within 3 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peer", "/nowhere/osu_allreduce"], "does not exist"),
        (["--peer", "/"], "is a folder"),
        (["--peer", "{file}"], "is not executable"),
        (["--peer", "{script}"], "unknown peer binary"),
        (["--peer", "{peer}", "--operation", "alltoall"], "osu_latency measures latency"),
        (["--peer", "{peer}", "--sizes", "64Q"], "'64Q' is not a size"),
        (["--peer", "{peer}", "--rounds", "0"], "--rounds 0: expected at least 1"),
        (["--peer", "{peer}", "-n", "-1"], "--ranks -1: expected at least 1"),
        (["--peer", "{peer}", "-n", "4"], "osu_latency runs on 2 ranks"),
        (["--peer", "{peer}", "--output", "{folder}"], "not empty"),
        (["--rounds", "2"], "--peer"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    names = {
        "file": tmp_path / "osu_bcast",
        "script": stand_in(tmp_path, FAILING, "osu_allredux"),
        "peer": stand_in(tmp_path, FAILING, "osu_latency"),
        "folder": tmp_path,
    }
    names["file"].write_text("")
    done = crosscheck(*(argument.format(**names) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""


def test_it_is_refused_under_a_launcher(tmp_path: Path) -> None:
    done = crosscheck("--peer", stand_in(tmp_path, FAILING), PMI_RANK="0", PMI_SIZE="2")
    assert done.returncode == 2
    assert "without mpirun" in done.stderr


def test_a_script_has_no_library_of_its_own(tmp_path: Path) -> None:
    assert linked_library(stand_in(tmp_path, FAILING)) is None


@pytest.mark.mpi
def test_a_peer_built_with_another_mpi_is_refused(tmp_path: Path) -> None:
    library = {"mpich": "libmpi.so.40", "openmpi": "libmpi.so.12"}[find_launcher().family]
    ldd = stand_in(
        tmp_path, f"#!/bin/sh\necho '\t{library} => /opt/other/{library} (0x0)'\n", "ldd"
    )
    path = f"{ldd.parent}:{os.environ['PATH']}"
    done = crosscheck("--peer", stand_in(tmp_path, FAILING), PATH=path)
    assert done.returncode == 3
    assert "is linked with /opt/other/" in done.stderr
