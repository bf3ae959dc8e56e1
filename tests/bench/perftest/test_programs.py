"""Finding perftest's programs, and one of them running: it listens, is ended, and ends with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.perftest import programs, tied
from railgauge.perftest.programs import Running, free_port, program_named

PATIENCE_SECONDS = 60.0
LISTENS = """
import socket, sys, time
waiting = socket.socket()
waiting.bind(("", int(sys.argv[1])))
waiting.listen()
time.sleep(99)
"""
PARENT = """
import sys, time
from railgauge.perftest.programs import Running
running = Running([sys.executable, "-c", sys.argv[1]])
time.sleep(99)
"""
FAMILY = """
import subprocess, sys
child = subprocess.Popen(["sleep", "99"])
open(sys.argv[1], "w").write(str(child.pid))
child.wait()
"""


def until(what) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def running():
    """`running(code, *arguments)`: a Python program, ended with the test."""
    with contextlib.ExitStack() as stack:

        def start(code: str, *arguments: str) -> Running:
            made = Running([sys.executable, "-c", code, *arguments])
            stack.callback(made.end)
            return made

        yield start


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """`on_path(text)`: that script as ib_write_bw, alone on PATH."""

    def put(text: str) -> None:
        (tmp_path / "ib_write_bw").write_text(text)
        (tmp_path / "ib_write_bw").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# what there is --------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_named_with_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UsageError, match=r"ib_read_lat is not installed.*\n.*apt-get install perftest"
    ) as raised:
        program_named("ib_read_lat")
    assert raised.value.exit_code == 2


def test_version_and_options_are_what_the_program_says(rig, tmp_path, monkeypatch):
    programs = rig("perftest_stand_in").install(tmp_path)
    monkeypatch.setenv("PATH", str(programs))
    found = program_named("ib_read_lat")
    assert (found.path, found.version) == (str(programs / "ib_read_lat"), "6.20")
    assert found.options >= {"-d", "--ib-dev", "--report-unsorted", "--tclass"}
    monkeypatch.setenv("STAND_IN_FAULT", "old")
    old = program_named("ib_read_lat")
    assert old.version == ""
    assert "--report-unsorted" not in old.options


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "#!/bin/sh\necho error while loading shared libraries: libibverbs.so.1 >&2; exit 127\n",
            "libibverbs",
        ),
        ("#!/nowhere\n", "No such file"),
        ("#!/bin/sh\nprintf '\\377\\376 --other'\n", "--other"),
    ],
)
def test_a_program_that_does_not_run_is_quoted(on_path, text, said):
    on_path(text)
    with pytest.raises(UsageError, match=rf"(?s)is not that of perftest.*{said}.*next: "):
        program_named("ib_write_bw")


def test_a_program_that_does_not_answer_is_not_waited_for(on_path, monkeypatch):
    monkeypatch.setattr(programs, "ANSWER_SECONDS", 0.2)
    on_path("#!/bin/sh\nexec /bin/sleep 99\n")
    with pytest.raises(UsageError, match="timed out"):
        program_named("ib_write_bw")


# one that runs --------------------------------------------------------------------------------------


def test_it_listens_once_its_own_socket_does(running):
    port, other = free_port(), free_port()
    made = running(LISTENS, str(port))
    until(lambda: made.listens(port))
    assert not made.listens(other)
    idle = running("import time; time.sleep(99)")
    assert not idle.listens(port)  # somebody else's


def test_what_it_wrote_and_how_it_ended_is_told(running):
    made = running(
        "import sys; print('out'); print('one\\n\\n----\\ntwo', file=sys.stderr); sys.exit(3)",
        "a b",
    )
    until(lambda: made.code is not None)
    assert made.code == 3
    assert made.output() == "out\n"
    told = made.told()
    assert told.startswith("exit code 3: ")
    assert told.endswith("'a b'\n    | one\n    | two")


def test_without_a_word_on_stderr_stdout_is_quoted(running):
    made = running("print('said')")
    until(lambda: made.code is not None)
    assert made.told().endswith("\n    | said")
    silent = running("pass")
    until(lambda: silent.code is not None)
    assert silent.told().endswith("\n    | (it said nothing)")


def test_bytes_of_any_sort_are_text(running):
    made = running("import os; os.write(1, bytes(range(256)))")
    until(lambda: made.code is not None)
    assert "abc" in made.output()


def test_more_output_than_fits_is_refused(running, monkeypatch):
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1000)
    made = running("print('x' * 2000)")
    until(lambda: made.code is not None)
    with pytest.raises(NotMeasuredError, match="wrote 2001 bytes, more than 1000"):
        made.output()


def test_a_signal_is_told_by_its_name(running):
    made = running("import os; os.kill(os.getpid(), 11)")
    until(lambda: made.code is not None)
    assert made.told().startswith("ended by SIGSEGV: ")


def test_one_that_still_runs_is_killed_with_what_it_started(tmp_path):
    note = tmp_path / "pid"
    made = Running([sys.executable, "-c", FAMILY, str(note)])
    until(lambda: note.exists() and note.read_text())
    assert made.told().startswith("still runs: ")
    made.end()
    until(lambda: not alive(int(note.read_text())))
    assert made.code == -signal.SIGKILL


def test_it_ends_with_its_parent_however_that_dies(tmp_path):
    note = tmp_path / "pid"
    program = f"import os,time; open({str(note)!r},'w').write(str(os.getpid())); time.sleep(99)"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program])
    until(lambda: note.exists() and note.read_text())
    pid = int(note.read_text())
    assert alive(pid)
    parent.kill()
    parent.wait()
    until(lambda: not alive(pid))


def test_a_program_whose_parent_has_gone_does_not_start(tmp_path):
    note = tmp_path / "started"
    done = subprocess.run(
        [sys.executable, tied.__file__, "1", "/usr/bin/touch", str(note)], check=False
    )
    assert done.returncode == tied.NOT_STARTED
    assert not note.exists()


def test_a_program_that_cannot_be_run_says_why():
    argv = [sys.executable, tied.__file__, str(os.getpid()), "/nowhere/ib_write_bw"]
    done = subprocess.run(argv, check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        127,
        "/nowhere/ib_write_bw: No such file or directory\n",
    )
