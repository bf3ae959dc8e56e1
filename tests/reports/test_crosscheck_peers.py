"""What peers print, read from text of our own making in their layouts."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge.commands.run import command
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.plan_options import plan_from
from railgauge_reports.crosscheck import pairing
from railgauge_reports.crosscheck.interleave import batches, iterations_for
from railgauge_reports.crosscheck.launches import our_command
from railgauge_reports.crosscheck.peers import imb, nccl_tests, osu

ALL_OPTIONS = frozenset({"type", "tail-lat", "full", "iterations", "window-size"})

OSU_COLLECTIVE = """
# OSU MPI Allgather Latency Test v7.4
# Datatype: MPI_FLOAT.
# Size       Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations  P50 Tail Lat(us)
8                     0.3000            0.2500            0.3500        1000            0.2800
a line of a library in between
1024                  1.5000            1.2500            1.7500        1000            1.4000
"""
OSU_BANDWIDTH = """# OSU MPI Bandwidth Test v7.4
# Datatype: MPI_FLOAT.
# Size      Bandwidth (MB/s) P50 Tail BW(MB/s)
8                      16.00             20.00
"""
IMB_ALLREDUCE = """
#----------------------------------------------------------------
# Benchmarking Allreduce
# #processes = 2
#----------------------------------------------------------------
       #bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]
            8         1000         0.25         0.29         0.27
         1024         1000         0.37         0.39         0.38
"""
NCCL_TESTS = """# nThread 1 nGpus 1 minBytes 1024 maxBytes 1024 step: 2(factor)
#  Rank  0 Group  0 Pid      1 on      a device  0 [0000:00:01] A
#  Rank  1 Group  0 Pid      2 on      a device  1 [0000:00:02] A
#
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time
        1024           256     float     sum      -1    15.25    0.07    0.07       0    14.03
  1073741824     268435456     float     sum      -1   5012.4   214.2   214.2     N/A   5013.1
  4294967296    1073741824     float     sum      -1    1e+06   214.2   214.2     N/A   5013.1
"""


def test_a_binary_is_recognised_by_its_name() -> None:
    assert pairing.peer_of("osu_allreduce") is osu
    assert pairing.peer_of("IMB-MPI1") is imb
    assert pairing.peer_of("all_reduce_perf") is nccl_tests


def test_an_unknown_binary_is_refused_with_the_names_that_are_allowed() -> None:
    with pytest.raises(UsageError, match="osu_allreduce") as error:
        pairing.peer_of("osu_allredux")
    assert "IMB-MPI1" in str(error.value)
    assert "all_gather_perf" in str(error.value)


def test_another_operation_than_the_binary_measures_is_refused() -> None:
    with pytest.raises(UsageError, match="osu_bw measures bandwidth"):
        osu.pairing("osu_bw", "all_reduce", ALL_OPTIONS)
    with pytest.raises(UsageError, match="--operation is missing"):
        imb.pairing("IMB-MPI1", None, frozenset())
    with pytest.raises(UsageError, match="Did you mean 'all_reduce'"):
        imb.pairing("IMB-MPI1", "all_reduces", frozenset())


def test_osu_collectives_are_read_by_the_names_of_their_columns() -> None:
    found = osu.figures(osu.pairing("osu_allgather", None, ALL_OPTIONS), OSU_COLLECTIVE, 2)
    assert sorted(found) == [8, 1024]
    assert found[8].typical == pytest.approx(0.28e-6)
    assert found[8].average == pytest.approx(0.30e-6)
    assert found[8].fastest == pytest.approx(0.25e-6)
    assert found[8].resolution == pytest.approx(1e-10)


def test_osu_bandwidths_become_seconds_a_message_with_the_resolution_of_the_print() -> None:
    found = osu.figures(osu.pairing("osu_bw", None, ALL_OPTIONS), OSU_BANDWIDTH, 2)
    assert found[8].typical == pytest.approx(8 / 20e6)
    assert found[8].average == pytest.approx(8 / 16e6)
    assert found[8].resolution == pytest.approx(8 / 20e6 * 0.01 / 20)


def test_an_osu_barrier_has_no_size() -> None:
    text = "# OSU MPI Barrier Latency Test v7.4\n# Avg Latency(us)  P50 Tail Lat(us)\n 0.30  0.28\n"
    assert osu.figures(osu.pairing("osu_barrier", None, ALL_OPTIONS), text, 2)[0].typical == 0.28e-6


def test_a_silent_fall_back_to_another_datatype_is_an_error() -> None:
    text = OSU_COLLECTIVE.replace("MPI_FLOAT", "MPI_CHAR")
    with pytest.raises(NotMeasuredError, match="MPI_CHAR, asked for MPI_FLOAT"):
        osu.figures(osu.pairing("osu_allgather", None, ALL_OPTIONS), text, 2)


def test_osu_is_asked_for_floats_and_the_median_where_it_knows_them() -> None:
    paired = osu.pairing("osu_allreduce", None, ALL_OPTIONS)
    made = osu.arguments(paired, [8, 64], 100, 10, ALL_OPTIONS)
    assert made == ["-m", "8:64", "-i", "100", "-x", "10", "-T", "mpi_float", "-z50", "-f"]
    old = osu.options_of("-i, --iterations\n-m, --message-size\n-x, --warmup\n-f, --full")
    paired = osu.pairing("osu_allgather", None, old)
    assert (paired.statistic, paired.dtype) == ("average", "int8")
    assert osu.arguments(paired, [8], 100, 10, old) == ["-m", "8:8", "-i", "100", "-x", "10", "-f"]


def test_point_to_point_of_osu_is_not_asked_for_what_it_does_not_know() -> None:
    known = osu.options_of("--iterations --message-size --type --tail-lat --window-size")
    made = osu.arguments(osu.pairing("osu_bw", None, known), [8], 100, 10, known)
    assert "-f" not in made
    assert made[-3:] == ["-W", "64", "-z50"]


def test_osu_takes_the_percentile_of_the_mean_over_ranks_without_interpolation() -> None:
    samples = np.array([[1.0, 2.0, 3.0, 9.0], [3.0, 4.0, 5.0, 91.0]])
    found = osu.pairing("osu_allreduce", None, ALL_OPTIONS).recompute(samples)
    assert found.typical == 3.0  # of 2, 3, 4, 50 the second
    assert found.average == pytest.approx((15 / 4 + 103 / 4) / 2)
    assert found.fastest == pytest.approx(15 / 4)


def test_osu_latency_is_the_first_rank_alone_and_bandwidth_the_percentile_of_rates() -> None:
    samples = np.array([[1.0, 2.0, 4.0, 8.0], [50.0, 50.0, 50.0, 50.0]])
    assert osu.pairing("osu_latency", None, ALL_OPTIONS).recompute(samples).typical == 2.0
    assert osu.pairing("osu_bw", None, ALL_OPTIONS).recompute(samples).typical == 4.0


def test_imb_is_read_as_averages_over_ranks() -> None:
    paired = imb.pairing("IMB-MPI1", "all_reduce", frozenset())
    found = imb.figures(paired, IMB_ALLREDUCE, 2)
    assert found[1024].typical == pytest.approx(0.38e-6)
    assert found[1024].fastest == pytest.approx(0.37e-6)
    assert found[1024].resolution == pytest.approx(1e-8)
    assert paired.recompute(np.array([[1.0, 3.0], [5.0, 7.0]])).typical == 4.0


def test_imb_windows_become_seconds_a_message() -> None:
    text = "#bytes #repetitions   Mbytes/sec      Msg/sec\n 8 100 16.00 2000000\n"
    found = imb.figures(imb.pairing("IMB-MPI1", "bandwidth", frozenset()), text, 2)
    assert found[8].typical == pytest.approx(5e-7)
    assert found[8].resolution == pytest.approx(2.5e-13)


@pytest.mark.parametrize(
    ("peer", "binary", "text"),
    [(imb, "IMB-MPI1", IMB_ALLREDUCE), (nccl_tests, "all_reduce_perf", NCCL_TESTS)],
)
def test_a_peer_that_ran_on_other_ranks_than_asked_is_an_error(
    peer: pairing.Peer, binary: str, text: str
) -> None:
    with pytest.raises(NotMeasuredError, match="ran on 2 ranks, asked for 4"):
        peer.figures(peer.pairing(binary, "all_reduce", frozenset()), text, 4)


def test_nccl_tests_is_read_from_its_out_of_place_column() -> None:
    paired = nccl_tests.pairing("all_reduce_perf", None, frozenset())
    found = nccl_tests.figures(paired, NCCL_TESTS, 2)
    assert found[1024].typical == pytest.approx(15.25e-6)
    assert found[1024].resolution == pytest.approx(1e-8)
    assert found[1 << 30].resolution == pytest.approx(1e-7)
    assert found[4 << 30].resolution == pytest.approx(1.0)


def test_rows_of_early_nccl_tests_without_op_and_root_are_read() -> None:
    row = "        1024           256     float    15.25    0.07    0.07    0e+00    14.03\n"
    found = nccl_tests.figures(nccl_tests.pairing("all_gather_perf", None, frozenset()), row, 2)
    assert found[1024].typical == pytest.approx(15.25e-6)


def test_sizes_are_ours_and_the_peer_is_asked_for_one_block_of_them() -> None:
    gathered = osu.pairing("osu_allgather", None, ALL_OPTIONS)
    assert [(s.nbytes, s.peer) for s in gathered.sizes([8, 1024], 2)] == [(8, 4), (1024, 512)]
    reduced = osu.pairing("osu_reduce_scatter", None, ALL_OPTIONS)
    assert [(s.nbytes, s.peer) for s in reduced.sizes([8], 2)] == [(8, 8)]
    assert [(s.nbytes, s.peer) for s in gathered.sizes([8, 9], 4)] == [(16, 4)]  # whole elements
    without = osu.pairing("osu_barrier", None, ALL_OPTIONS)
    assert [s.nbytes for s in without.sizes([8, 64], 2)] == [0]


@pytest.mark.parametrize(
    ("operation", "peer"),
    [
        ("all_reduce", 1024), ("broadcast", 1024), ("reduce", 1024), ("sendrecv", 1024),
        ("all_gather", 256), ("reduce_scatter", 256), ("gather", 256), ("scatter", 256),
        ("alltoall", 256), ("latency", 1024), ("bandwidth", 1024),
    ],
)  # fmt: skip
def test_imb_is_asked_for_one_block_where_its_size_is_one(operation: str, peer: int) -> None:
    paired = imb.pairing("IMB-MPI1", operation, frozenset())
    assert [(s.nbytes, s.peer) for s in paired.sizes([1024], 4)] == [(1024, peer)]


def test_barriers_are_timed_one_after_the_other_by_both_peers() -> None:
    assert imb.pairing("IMB-MPI1", "barrier", frozenset()).timing == "back_to_back"
    assert osu.pairing("osu_barrier", None, ALL_OPTIONS).timing == "back_to_back"


def test_a_printed_rate_of_zero_says_nothing() -> None:
    text = "# OSU MPI Bandwidth Test v7.4\n# Size      Bandwidth (MB/s)\n1           0.00\n"
    paired = osu.pairing("osu_bw", None, frozenset({"type", "full"}))
    assert osu.figures(paired, text, 2) == {1: pairing.NOTHING_PRINTED}


def test_one_launch_of_osu_covers_sizes_that_double_from_the_first() -> None:
    assert osu.reachable([8, 64, 100, 200, 1024]) == [[8, 64], [100, 200], [1024]]


def test_large_messages_and_windows_take_fewer_iterations() -> None:
    assert [iterations_for(20_000, n, 1) for n in (8, 8192, 65536, 1 << 20, 1 << 24)] == [
        20_000, 20_000, 5_000, 1_000, 200,
    ]  # fmt: skip
    assert iterations_for(20_000, 8, 64) == 2_000
    assert iterations_for(100, 1 << 30, 64) == 20
    assert iterations_for(5, 8, 1) == 5


def test_sizes_with_as_many_iterations_share_a_launch() -> None:
    paired = osu.pairing("osu_allreduce", None, ALL_OPTIONS)
    plan = batches(paired, paired.sizes([8, 64, 1 << 20], 2), 20_000, osu.reachable)
    assert [(b.name, b.iterations, b.warmup) for b in plan] == [
        ("8-64", 20_000, 2_000), ("1M", 1_000, 100),
    ]  # fmt: skip


def test_our_side_measures_with_the_peers_type_timing_window_and_counts() -> None:
    paired = osu.pairing("osu_bw", None, ALL_OPTIONS)
    made = our_command(paired, paired.sizes([8, 64], 2), 100, 20, 2)
    text = " ".join(made[4:])
    assert text == (
        "-n 2 --operation bandwidth --dtype float32 --backend mpi --timing back_to_back"
        " --iterations 100 --warmup 20 --buffers 1 --sizes 8,64 --window 64"
    )


BINARIES = [
    (peer, binary, operation)
    for peer in pairing.known_peers().values()
    for binary in peer.NAMES
    for operation in (["all_reduce", "latency"] if peer is imb else [None])
]


@pytest.mark.parametrize(("peer", "binary", "operation"), BINARIES)
def test_every_peer_has_a_counterpart_that_a_backend_here_can_run(peer, binary, operation) -> None:
    paired = peer.pairing(binary, operation, ALL_OPTIONS)
    words = our_command(paired, paired.sizes([64], 2), 10, 2, 2)
    with command.make_context("run", words[words.index("run") + 1 :]) as context:
        plan, left = plan_from(context.params)
    assert not left
    assert plan.operations == (paired.operation,)
    assert plan.backend == ("nccl" if peer is nccl_tests else "mpi")
