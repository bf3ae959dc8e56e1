"""One rank: what it loads, what it says, and how its own errors end the job."""

import json

import pytest

from railgauge.errors import (
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
    NotMeasuredError,
    UsageError,
)
from railgauge.launching import rank_process
from railgauge.records import End

SHORT = ("--sizes", "8", "--iterations", "10")
HEAVY = {"pandas", "pyarrow", "torch", "cupy", "altair", "matplotlib", "railgauge_reports"}

WRITES_MODULES = """
import atexit, json, os, sys
def write():
    rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK"))
    if rank is not None:
        tops = sorted({name.partition(".")[0] for name in sys.modules})
        open(os.path.join(os.path.dirname(__file__), f"modules{rank}"), "w").write(json.dumps(tops))
atexit.register(write)
"""

#: Makes writing samples fail in a rank, as a full disk does.
FULL_DISK = """
import errno, os
from importlib.abc import MetaPathFinder
if "PMI_RANK" in os.environ or "OMPI_COMM_WORLD_RANK" in os.environ:
    import railgauge.journal as journal
    def full(self, node, rows):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "samples/node0.i64")
    journal.Folder.append_samples = full
"""

DEFECT = FULL_DISK.replace(
    "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ", "return (1 / 0, "
)


@pytest.mark.mpi
def test_a_rank_loads_nothing_that_only_reports_need(run, tmp_path, mpi_python):
    (tmp_path / "sitecustomize.py").write_text(WRITES_MODULES)
    assert run("-n", "2", *SHORT, python=mpi_python, PYTHONPATH=str(tmp_path)).end().code == 0
    for rank in (0, 1):
        loaded = set(json.loads((tmp_path / f"modules{rank}").read_text()))
        assert "mpi4py" in loaded
        assert not loaded & HEAVY


@pytest.mark.mpi
def test_a_full_disk_is_named_without_a_traceback(run, tmp_path, mpi_python):
    (tmp_path / "sitecustomize.py").write_text(FULL_DISK)
    job = run("-n", "2", *SHORT, python=mpi_python, PYTHONPATH=str(tmp_path))
    ended = job.end()
    assert ended.code == EXIT_NOT_MEASURED, ended
    assert ended.errors == 1
    assert "rank 0 on" in ended.stderr
    assert "samples/node0.i64: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    end = job.records[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code) == ("ERROR", EXIT_NOT_MEASURED)
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_defect_ends_all_ranks_and_comes_with_one_traceback(run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(DEFECT)
    job = run("-n", "2", *SHORT, PYTHONPATH=str(tmp_path))
    ended = job.end()
    assert ended.code == EXIT_NOT_MEASURED, ended
    assert ended.errors == ended.stderr.count("Traceback") == 1
    assert "a defect of railgauge: ZeroDivisionError" in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_defect_under_another_launcher_ends_all_ranks(jobs, tmp_path, mpi_python, mpiexec):
    (tmp_path / "sitecustomize.py").write_text(DEFECT)
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    job = jobs([mpiexec(mpi_python), "-n", "2", *words], PYTHONPATH=str(tmp_path))
    ended = job.end()
    assert ended.code not in (EXIT_PASS, 1)
    assert ended.errors == 1, ended.stderr
    assert ended.seconds < 60
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_rank_zero_speaks_for_an_error_of_all(jobs, tmp_path, mpi_python, mpiexec):
    # every rank fails alike: each could say it
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if 'PMI_RANK' in os.environ or 'OMPI_COMM_WORLD_RANK' in os.environ:\n"
        "    import railgauge.compiled\n"
        "    def broken(plan): raise RuntimeError('no compiler')\n"
        "    railgauge.compiled.compile_loops = broken\n"
    )
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    job = jobs([mpiexec(mpi_python), "-n", "2", *words], PYTHONPATH=str(tmp_path))
    ended = job.end()
    assert ended.code not in (EXIT_PASS, 1)
    assert ended.errors == 1, ended.stderr
    assert "no compiler" in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_missing_mpi_library_is_said_once_by_the_parent(run):
    job = run("-n", "2", *SHORT, MPI4PY_LIBMPI="/nowhere/libmpi.so")
    ended = job.end()
    assert ended.code == EXIT_NOT_MEASURED, ended
    assert ended.errors == 1, ended.stderr
    assert "no MPI found" in ended.stderr
    assert "next: pip install mpich" in ended.stderr
    assert "Traceback" not in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_missing_mpi_library_is_said_once_under_a_launcher(jobs, mpi_python, mpiexec):
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    job = jobs([mpiexec(mpi_python), "-n", "2", *words], MPI4PY_LIBMPI="/nowhere/libmpi.so")
    ended = job.end()
    assert ended.code == EXIT_NOT_MEASURED, ended
    assert ended.errors == 1, ended.stderr
    assert "no MPI found" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.mpi
def test_a_library_that_one_host_lacks_is_said_by_the_first_rank_there(jobs, mpi_python, mpiexec):
    words = f"{mpi_python} -m railgauge run --output {{output}} --timeout 8 {' '.join(SHORT)}"
    there = "export MPI4PY_LIBMPI=/nowhere/libmpi.so OMPI_COMM_WORLD_LOCAL_RANK=0"
    script = f"case $PMI_RANK$OMPI_COMM_WORLD_RANK in 1) {there};; esac; exec {words}"
    ended = jobs([mpiexec(mpi_python), "-n", "2", "sh", "-c", script]).end()
    assert ended.code not in (EXIT_PASS, 1)
    # MPICH's launcher lets rank 0 wait in MPI_Init, and that has an end of its own
    assert ended.stderr.count("no MPI found: cannot load MPI library") == 1, ended.stderr
    assert "railgauge: error: rank 1 on" in ended.stderr


@pytest.mark.mpi
@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_a_rank_cannot_read_is_named_once(jobs, tmp_path, mpi_python, mpiexec, there):
    matrix = tmp_path / "matrix"
    if there:
        matrix.write_text("0 1\n1 0\n")
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    words += ["--operation", "alltoallv", "--matrix"]
    script = f"case $PMI_RANK$OMPI_COMM_WORLD_RANK in 1) exec {' '.join(words)} /nowhere;; esac"
    script += f"; exec {' '.join(words)} {matrix}"
    ended = jobs([mpiexec(mpi_python), "-n", "2", "sh", "-c", script]).end()
    assert ended.code == EXIT_USAGE, ended
    assert ended.errors == 1, ended.stderr
    assert ("rank 1 on" in ended.stderr) == there
    assert f"--matrix {'/nowhere' if there else matrix}: cannot be read" in ended.stderr


def test_errors_of_a_rank_name_rank_and_host():
    message, code = rank_process._explained(NotMeasuredError("no memory"), "rank 1 on n1")
    assert (message, code) == ("rank 1 on n1: no memory", EXIT_NOT_MEASURED)


def test_errors_of_the_file_system_name_the_file():
    message, code = rank_process._explained(
        OSError(30, "Read-only file system", "f"), "rank 1 on n1"
    )
    assert message.startswith("rank 1 on n1: f: Read-only file system.\n  expected: a folder")
    assert code == EXIT_NOT_MEASURED


@pytest.mark.parametrize("name", ["tabel", "CSV", ""])
def test_unknown_formats_are_refused(name):
    with pytest.raises(UsageError, match="unknown format"):
        rank_process.check_format(name)


def test_known_formats_are_accepted():
    for name in ("table", "csv", "json"):
        rank_process.check_format(name)
