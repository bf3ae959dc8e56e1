"""One at a time in a history."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from railgauge.errors import NotMeasuredError
from railgauge_reports.history.lock import HeldError, Holder, lock_path, locked


def held_by(folder: Path, **other: object) -> Path:
    """A lock as somebody else left it."""
    path = lock_path(folder, "nightly")
    with locked(folder, "nightly"):
        holder = msgspec.json.decode(path.read_bytes(), type=Holder)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(holder, **other)))
    return path


def test_it_is_held_inside_and_gone_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path, "nightly"):
        assert lock_path(tmp_path, "nightly").exists()
        who = f"nightly on {platform.node()}, process {os.getpid()}"
        with pytest.raises(HeldError, match=who), locked(tmp_path, "nightly"):
            pass
        with locked(tmp_path, "acks"):  # another lock
            pass
    assert list(tmp_path.iterdir()) == []


def test_it_is_given_back_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(tmp_path, "nightly"):
        raise ValueError("inside")
    assert list(tmp_path.iterdir()) == []


def test_one_that_waits_gets_it_when_the_other_is_done(tmp_path: Path) -> None:
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path, "nightly"):
            holds.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(30)
    threading.Timer(0.1, done.set).start()
    with locked(tmp_path, "nightly", wait=30):
        assert done.is_set()
    thread.join()


def test_of_many_at_once_one_has_it(tmp_path: Path) -> None:
    inside, most = 0, 0
    count = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with locked(tmp_path, "nightly", wait=60):
            with count:
                inside += 1
                most = max(most, inside)
            with count:
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_process_which_was_killed_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal, pathlib\n"
        "from railgauge_reports.history.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'nightly'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert lock_path(tmp_path, "nightly").exists()
    with locked(tmp_path, "nightly"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "gone",
    [{"pid": 2**22 + 1}, {"began": 1}, {"boot": "another"}],
    ids=lambda gone: next(iter(gone)),
)
def test_that_of_one_who_is_gone_from_this_host_is_taken_over(
    tmp_path: Path, gone: dict[str, object]
) -> None:
    held_by(tmp_path, **gone)
    with locked(tmp_path, "nightly"):
        pass


@pytest.mark.parametrize(
    "far", [{"host": "login2", "pid": 1}, {"space": "pid:[1]", "pid": 1}], ids=["host", "container"]
)
def test_of_one_elsewhere_nobody_knows_so_it_is_named(
    tmp_path: Path, far: dict[str, object]
) -> None:
    path = held_by(tmp_path, since=0.0, **far)
    with pytest.raises(HeldError) as error, locked(tmp_path, "nightly"):
        pass
    assert error.value.holder is not None
    host = far.get("host", platform.node())
    assert f"nightly on {host}, process 1, for" in str(error.value)
    assert f"rm {path}" in str(error.value)
    assert error.value.exit_code == 3


def test_a_file_that_is_no_lock_is_not_removed(tmp_path: Path) -> None:
    lock_path(tmp_path, "nightly").write_text("<script>")
    with pytest.raises(HeldError, match="does not say who"), locked(tmp_path, "nightly"):
        pass
    assert lock_path(tmp_path, "nightly").read_text() == "<script>"


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(NotMeasuredError, match="No such file"), locked(tmp_path / "x", "nightly"):
        pass
