"""What reaches the run folder: the samples of every rank, or above the budget of the slowest."""

from pathlib import Path

import numpy as np
import pytest

from railgauge.errors import EXIT_WRONG_DATA
from railgauge.gather import result_of
from railgauge.journal import read_block
from railgauge.plan import Plan, cases
from railgauge.records import Note
from railgauge.samples import group_samples, seconds
from railgauge.schedules import Group, Round


@pytest.mark.mpi
def test_samples_of_all_ranks_of_all_groups_are_kept(run, mpi_python):
    job = run(
        *("-n", "3", "--pattern", "pairs", "--operation", "sendrecv", "--sizes", "64"),
        *("--iterations", "20", "--warmup", "5"),
        python=mpi_python,
    )
    ended = job.end()
    assert ended.code == 0, ended
    assert len(job.results) == 3  # rounds: three pairs of three ranks
    assert sorted(result.groups[0].ranks for result in job.results) == ["0,2", "0-1", "1-2"]
    assert sorted(result.idle for result in job.results) == ["0", "1", "2"]
    for result in job.results:
        (samples,) = group_samples(job.folder, result)
        assert samples.rows.shape[:2] == (2, 20)
        assert (seconds(samples, result) > 0).all()


@pytest.mark.mpi
def test_of_a_pair_timed_back_to_back_only_the_first_sender_reads_the_clock(run, mpi_python):
    job = run(
        *("-n", "4", "--operation", "latency,all_reduce", "--timing", "back_to_back"),
        *("--sizes", "64", "--iterations", "20", "--warmup", "5"),
        python=mpi_python,
    )
    ended = job.end()
    assert ended.code == 0, ended
    stamped = {
        result.case.operation: next(iter(group_samples(job.folder, result)))
        for result in job.results
    }
    assert stamped["latency"].ranks == (0, 1)
    assert stamped["all_reduce"].ranks == (0, 1, 2, 3)
    for samples in stamped.values():
        assert samples.rows.shape == (len(samples.ranks), 20, 1)
        assert (samples.rows > 0).all()


@pytest.mark.mpi
def test_above_the_budget_the_slowest_rank_of_each_iteration_is_kept(run, mpi_python):
    job = run(
        *("-n", "2", "--sizes", "8,64", "--iterations", "100", "--sample-budget", "4000"),
        python=mpi_python,
    )
    ended = job.end()
    assert ended.code == 0, ended
    first, second = job.results
    (all_ranks,) = group_samples(job.folder, first)
    assert all_ranks.ranks == (0, 1)
    (block,) = second.samples
    assert block.columns == ("duration", "rank")
    (rows,) = read_block(job.folder, block, 100, 1)
    assert set(np.unique(rows[:, 1])) <= {0, 1}
    assert (rows[:, 0] > 0).all()
    notes = [record.text for record in job.records if isinstance(record, Note)]
    assert sum("--sample-budget" in text for text in notes) == 1


@pytest.mark.mpi
def test_rounds_that_rank_0_sits_out_have_the_bus_factor_of_their_matrix(run, mpi_python, tmp_path):
    (tmp_path / "matrix").write_text("0 1\n1 0\n")
    job = run(
        *("-n", "3", "--pattern", "pairs", "--operation", "alltoallv", "--sizes", "64"),
        *("--matrix", str(tmp_path / "matrix"), "--iterations", "4", "--warmup", "1"),
        python=mpi_python,
    )
    ended = job.end()
    assert ended.code == 0, ended
    assert {result.idle for result in job.results} == {"0", "1", "2"}
    assert [result.bus_factor for result in job.results] == [1.0] * 3


@pytest.mark.mpi
# back to back, a first turn and a leg of 4 each come before the first turn that is verified
@pytest.mark.parametrize(("timing", "call"), [("barrier", 5), ("back_to_back", 9)])
def test_wrong_data_in_the_warm_up_is_told_when_the_sample_budget_is_used_up(
    run, preloadable, tmp_path, timing, call
):
    source = Path(__file__).parent / "shims" / "faults.c"
    shim = preloadable(source.read_text(), tmp_path / "libfaults.so")
    job = run(
        *("-n", "2", "--sizes", "64,8184", "--iterations", "50", "--warmup", "20"),
        *("--check-every", "1") if timing == "barrier" else (),
        *("--sample-budget", "200", "--timing", timing),
        LD_PRELOAD=str(shim),
        RAILGAUGE_SHIM_FAULT="flip",
        RAILGAUGE_SHIM_RANK="1",
        RAILGAUGE_SHIM_CALL=str(call),
        RAILGAUGE_SHIM_BYTES="8184",
        RAILGAUGE_SHIM_INDEX="7",
    )
    ended = job.end()
    assert ended.code == EXIT_WRONG_DATA, ended
    first, second = job.results
    assert not first.groups[0].wrong
    assert (second.stopped, second.groups[0].iterations) == ("wrong data", 0)
    assert second.groups[0].wrong[0].index == 7


def test_a_line_of_the_journal_can_be_made_without_ranks():
    plan = Plan(ranks=9, operations=("message_rate",), window=16, sizes=(64,))
    (case,) = cases(plan)
    round_ = Round((Group((2, 3)), Group((5, 6))), "beside incast", "incast", (7, 8))
    facts = {"world_size": 9, "started": 1.0, "seconds": 2.0, "stopped": "count", "blocks": ()}
    made = result_of(plan, case, 4, round_, (), **facts)
    assert (made.round, made.name, made.idle) == (4, "beside incast", "0-1,4")
    assert (made.transfers, made.bus_factor) == (case.entry.transfers(2, 16), case.bus_factor(2))
    assert (made.started, made.seconds, made.stopped) == (1.0, 2.0, "count")
