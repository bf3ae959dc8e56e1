from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from railgauge.errors import NotMeasuredError
from railgauge.records import Batch, Block, Choice, Overlap
from railgauge.samples import overlap_share
from railgauge_reports.frames import case_frame, sample_frame

HEADER = (
    "operation,pattern,round,group,hosts,backend,dtype,op,placement,ranks,nbytes,count,samples,"
    "median_seconds,median_low_seconds,median_high_seconds,min_seconds,p99_seconds,max_seconds,"
    "stable,algbw_GBps,busbw_GBps,wrong"
)
CONTRACT = HEADER.split(",")


def test_the_contract_columns_come_first_and_in_order(start):
    run = start()
    run.result(run.cases[0])
    assert list(case_frame(run.end()).columns[: len(CONTRACT)]) == CONTRACT


def test_a_row_holds_the_statistics_of_the_per_iteration_maxima(start):
    run = start(sizes=(1024,))

    def one_rank_is_slower(group):
        stamps = np.zeros((len(group), 100, 2), np.int64)
        stamps[:, :, 1] = 4_000
        stamps[2, :, 1] = 10_000  # what the collective took
        return stamps

    run.result(run.cases[0], one_rank_is_slower)
    row = case_frame(run.end()).iloc[0]
    assert row["median_seconds"] == pytest.approx(10e-6)
    assert row["min_seconds"] == row["max_seconds"] == row["median_seconds"]
    assert row["algbw_GBps"] == pytest.approx(1024 / 10e-6 / 1e9)
    assert row["busbw_GBps"] == pytest.approx(1024 / 10e-6 / 1e9 * 2 * 3 / 4)
    assert (row["samples"], row["ranks"], row["nbytes"], row["count"]) == (100, 4, 1024, 256)
    assert (row["group"], row["hosts"], row["backend"]) == ("0-3", "n0 n1", "mpi")
    assert (row["op"], row["dtype"], row["placement"]) == ("sum", "float32", "out")
    assert row["first_call_seconds"] == pytest.approx(50e-6)
    assert row["stable"]
    assert row["wrong"] == 0


@pytest.mark.parametrize(("samples", "known"), [(999, False), (1000, True)])
def test_p99_is_empty_below_a_thousand_samples(start, samples, known):
    run = start(sizes=(8,))
    run.result(run.cases[0], samples=samples)
    assert case_frame(run.end())["p99_seconds"].notna().tolist() == [known]


def test_wrong_data_has_no_bandwidth_but_keeps_its_time(start, flipped):
    run = start(sizes=(1024,))
    run.result(run.cases[0], wrong=(flipped,))
    row = case_frame(run.end("FAIL", 4)).iloc[0]
    assert pd.isna(row["algbw_GBps"])
    assert pd.isna(row["busbw_GBps"])
    assert row["wrong"] == 3
    assert row["median_seconds"] == pytest.approx(1e-5)


def test_what_was_not_checked_is_not_called_right(start):
    run = start(sizes=(8,))
    run.result(run.cases[0], checked=0)
    assert case_frame(run.end())["wrong"].isna().all()


def test_a_barrier_has_no_bandwidth_and_nothing_to_check(start):
    run = start(operations=("barrier",))
    run.result(run.cases[0])
    row = case_frame(run.end()).iloc[0]
    assert row["nbytes"] == 0
    assert row[["algbw_GBps", "busbw_GBps", "wrong", "op", "root"]].isna().all()


def test_a_gap_has_a_row_without_values(start):
    run = start()
    run.result(run.cases[0])
    run.gap(run.cases[1], "needs 9 GiB of buffers on n1")
    rows = case_frame(run.end("INCONCLUSIVE", 6))
    gap = rows.iloc[1]
    assert rows["gap"].tolist() == [False, True]
    assert gap["reason"] == "needs 9 GiB of buffers on n1"
    assert (gap["operation"], gap["nbytes"], gap["hosts"]) == ("all_reduce", 1024, "n0 n1")
    measured = CONTRACT[CONTRACT.index("samples") :]
    assert gap[measured].isna().all()


def test_pairs_have_one_row_a_round_and_group(start):
    run = start(hosts=4, pattern="pairs", operations=("sendrecv",), sizes=(8,))
    for index in range(3):
        run.result(run.cases[0], index=index)
    rows = case_frame(run.end())
    assert rows["round"].tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(rows["group"]) == ["0 2", "0 3", "0-1", "1 3", "1-2", "2-3"]
    assert set(rows["ranks"]) == {2}
    assert rows.set_index("group").loc["0-1", "hosts"] == "n0 n1"


def test_a_windowed_operation_says_how_many_messages_a_second(start):
    run = start(operations=("message_rate", "latency"), sizes=(8,), window=64)
    for case in run.cases:
        run.result(case, 128e-6)
    rows = case_frame(run.end()).set_index("operation")
    # two pairs, 64 messages each, in 128 us
    assert rows.loc["message_rate", "messages_per_second"] == pytest.approx(1e6)
    assert pd.isna(rows.loc["latency", "messages_per_second"])
    assert rows.loc["latency", "median_seconds"] == pytest.approx(64e-6)


def test_a_resumed_run_counts_every_measurement_once(start):
    first = start()
    first.gap(first.cases[0], "no memory")
    second = start(resume=True)
    assert second.done == []
    second.result(second.cases[0], 2e-5)
    second.result(second.cases[1])
    rows = case_frame(second.end())
    assert rows["gap"].tolist() == [False, False]
    assert rows["median_seconds"].tolist() == pytest.approx([2e-5, 1e-5])


def test_samples_have_one_row_an_iteration(start):
    run = start()
    run.result(run.cases[0], [1e-6, 2e-6, 3e-6], samples=3)
    frame = sample_frame(run.end())
    assert frame["seconds"].tolist() == pytest.approx([1e-6, 2e-6, 3e-6])
    assert frame["iteration"].tolist() == [0, 1, 2]


def test_reduced_samples_keep_the_statistics_and_name_nobody(start):
    run = start(sizes=(8,))
    slowest = np.stack([np.full(100, 7_000), np.full(100, 3)], axis=1)[None]
    offset = run.folder.append_samples(0, slowest)
    block = Block(node=0, offset=offset, ranks="", columns=("duration", "rank"))
    run.result(run.cases[0], kept=(block,))
    row = case_frame(run.end()).iloc[0]
    assert row["median_seconds"] == pytest.approx(7e-6)
    assert row[["slowest_rank", "late_iterations"]].isna().all()


def test_a_sample_file_that_was_cut_short_is_an_error_that_names_it(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    path = run.end() / "samples" / "node1.i64"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NotMeasuredError, match=r"node1\.i64.*cut short"):
        case_frame(run.path)


@pytest.mark.parametrize(
    ("together", "share"), [(2.0, 0.0), (1.0, 1.0), (1.5, 0.5), (2.5, 0.0), (0.9, 1.0)]
)
def test_overlap_is_the_share_that_was_hidden_cut_to_its_range(together, share):
    found = Overlap(pure_seconds=1.0, compute_seconds=1.0, together_seconds=together)
    assert overlap_share(found) == pytest.approx(share)


def test_overlap_of_nothing_cannot_be_had():
    nothing = Overlap(pure_seconds=0.0, compute_seconds=1.0, together_seconds=1.0)
    assert overlap_share(nothing) is None
    assert overlap_share(None) is None


# what a GPU adds -----------------------------------------------------------------------------------

ON_A_GPU = {"backend": "nccl", "memory": "device"}
DEVICE_COLUMNS = [
    *("compute_slowdown", "launch_seconds", "batch_host_seconds", "batch_device_seconds"),
    *("init_seconds", "algorithm", "protocol", "channels", "transport"),
]


def on_the_device(group):
    """Durations of 8 us, of the last rank 9 us; launches of 2 us and 3 us."""
    rows = np.full((len(group), 100, 2), (8_000, 2_000), np.int64)
    rows[-1] = 9_000, 3_000
    return rows


def test_what_a_gpu_did_is_told_by_iteration_by_batch_and_by_the_library(start):
    run = start(sizes=(1024,), **ON_A_GPU)
    run.result(
        run.cases[0],
        on_the_device,
        columns=("duration", "launch"),
        batch=Batch(iterations=50, host_seconds=5e-4, device_seconds=4.5e-4),
        init_seconds=0.75,
        choice=Choice(algorithm="Ring", protocol="LL", channels="0..3"),
        overlap=Overlap(
            pure_seconds=1.0, compute_seconds=2.0, together_seconds=2.5, beside_seconds=2.5
        ),
    )
    row = case_frame(run.end()).iloc[0]
    assert row["median_seconds"] == pytest.approx(9e-6)
    assert row["launch_seconds"] == pytest.approx(3e-6)
    assert row["batch_host_seconds"] == pytest.approx(10e-6)
    assert row["batch_device_seconds"] == pytest.approx(9e-6)
    assert row["init_seconds"] == 0.75
    assert row["compute_slowdown"] == pytest.approx(1.25)
    assert (row["algorithm"], row["protocol"], row["channels"]) == ("Ring", "LL", "0..3")
    assert pd.isna(row["transport"])
    assert row["busbw_GBps"] == pytest.approx(1024 / 9e-6 / 1e9 * 2 * 3 / 4)
    assert not row["functional"]


def test_of_a_run_without_a_gpu_none_of_that_is_known(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    assert case_frame(run.end()).iloc[0][DEVICE_COLUMNS].isna().all()


def test_where_ranks_shared_a_gpu_there_is_a_time_and_no_bandwidth(start):
    run = start(sizes=(1024,), functional=True, **ON_A_GPU)
    run.result(run.cases[0], on_the_device, columns=("duration", "launch"))
    row = case_frame(run.end()).iloc[0]
    assert row["functional"]
    assert row["median_seconds"] == pytest.approx(9e-6)
    assert row[["algbw_GBps", "busbw_GBps"]].isna().all()
    assert row["wrong"] == 0
