"""Loads beside victims: they really move data while the victims are measured, and leave nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.load import BLOCK_BYTES, MOST_BYTES, Storage, traffic_case
from railgauge.plan import Plan

VICTIMS = ("-n", "4", "--pattern", "victim", "--victims", "0.5", "--counters", "none")


@pytest.mark.mpi
def test_victims_run_alone_and_beside_every_kind_of_traffic(measure, library):
    run = measure(
        *VICTIMS,
        *("--operation", "all_reduce,latency", "--sizes", "1K", "--iterations", "8"),
        python=library.python,
    )
    assert run.code == 0, run.stderr
    kinds = ["", "alltoall", "incast", "broadcast"]
    assert [result.pressure.kind if result.pressure else "" for result in run.results[::2]] == kinds
    for result in run.results:
        (group,) = result.groups
        assert group.iterations == 8
        assert (result.pressure is None) == (result.name == "isolated")
        if result.pressure:
            assert result.pressure.nbytes > 0
            assert result.pressure.seconds > 0
            assert result.name == f"beside {result.pressure.kind}"
            assert {group.ranks, result.pressure.ranks} == {"0-1", "2-3"} or (
                set(group.ranks) & set("0123")
            )
        assert result.idle == ("" if result.pressure else result.idle)


@pytest.mark.mpi
def test_storage_is_written_and_read_and_its_files_are_removed(measure, tmp_path):
    folder = tmp_path / "storage"
    folder.mkdir()
    run = measure(
        *VICTIMS,
        *("--operation", "all_reduce", "--sizes", "1K", "--iterations", "20"),
        *("--load", f"storage:{folder}"),
    )
    assert run.code == 0, run.stderr
    pressure = run.results[1].pressure
    assert pressure.kind == f"storage:{folder}"
    assert pressure.nbytes >= 2 * BLOCK_BYTES
    assert pressure.nbytes % BLOCK_BYTES == 0
    assert os.listdir(folder) == []


@pytest.mark.mpi
def test_a_load_that_no_host_has_room_for_is_refused(measure):
    run = measure(*VICTIMS, "--sizes", "1K", "--iterations", "3", "--load-bytes", "1T")
    assert run.code == 2
    assert run.stderr.count("--load-bytes 1099511627776: incast among 2 ranks needs") == 1


@pytest.mark.mpi
def test_a_path_that_no_rank_can_write_is_refused_once(measure, tmp_path):
    run = measure(*VICTIMS, "--sizes", "1K", "--load", f"storage:{tmp_path}/none")
    assert run.code == 2
    assert run.stderr.count("No such file or directory") == 1
    assert "ANOTHER_FOLDER" in run.stderr


def test_a_file_of_a_load_is_gone_when_it_is_closed(tmp_path):
    load = Storage(tmp_path, rank=3)
    looks = iter([False, False, True])
    load.until(lambda: next(looks))
    assert load.nbytes == 4 * BLOCK_BYTES
    assert load.seconds > 0
    assert list(tmp_path.iterdir()) == []  # also should the rank be killed now
    file = Path(f"/proc/self/fd/{load._descriptor}")
    assert file.read_bytes() == bytes(load._block) * 2  # what was written is what was read
    load.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="storage:"):
        Storage(tmp_path / "none", 0)


def test_storage_that_fails_in_mid_run_is_named_with_what_to_do(tmp_path, monkeypatch):
    load = Storage(tmp_path, rank=3)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(NotMeasuredError, match=rf"(?s)storage:{tmp_path}: No space left .*64 MiB"):
        load.until(lambda: False)
    load.close()
    assert list(tmp_path.iterdir()) == []


def test_an_all_to_all_of_many_ranks_stays_within_its_memory():
    plan = Plan(ranks=4)
    few, many = (traffic_case(plan, "alltoall", n) for n in (4, 13_000))
    assert few.nbytes == 4 * plan.load_bytes
    assert MOST_BYTES // 2 < many.nbytes < MOST_BYTES + 4 * 13_000  # whole elements to each
    assert traffic_case(plan, "incast", 9).nbytes == plan.load_bytes
    assert traffic_case(plan, "broadcast", 9).placement == "in"
