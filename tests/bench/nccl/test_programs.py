"""`--backend nccl` end to end: real ranks, nccl4py and the CUDA bindings, on a stand-in for GPU and NCCL."""

from __future__ import annotations

import json

import pytest

from railgauge.errors import (
    EXIT_HANG,
    EXIT_INCONCLUSIVE,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
    EXIT_WRONG_DATA,
)
from railgauge.nccl.calls import OPERATIONS
from railgauge.samples import compute_slowdown, group_samples
from railgauge_reports.frames import case_frame

BRIEF = ("--backend", "nccl", "--budget", "0.05", "--warmup", "1", "--timeout", "60")
FEW = ("--iterations", "5")
pytestmark = pytest.mark.mpi


@pytest.fixture
def gpus(on_gpus):
    """`gpus("-n", "2", ..., FAKE_GPU_COUNT="1")`: `railgauge run --backend nccl` on the stand-in."""
    return lambda *arguments, **more: on_gpus(*BRIEF, *arguments, **more)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_every_operation_is_verified_in_and_out_of_place(gpus, ranks):
    names = [n for n in OPERATIONS if ranks % 2 == 0 or "band" not in n]
    names = [n for n in names if ranks % 2 == 0 or n not in ("latency", "message_rate")]
    names.remove("flows")  # which the world has none of
    done = gpus(
        *("-n", str(ranks), "--operation", ",".join(names), "--sizes", "64,5000"),
        *("--placement", "both", "--root", "all" if ranks == 2 else "1", "--window", "5"),
        *FEW,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert {result.case.operation for result in done.results} == set(names)
    for result in done.results:
        for group in result.groups:
            assert not group.wrong
            assert group.checked_iterations
            assert group.init_seconds


@pytest.mark.parametrize("op", ["sum,prod,min,max", "avg,premul_sum"])
def test_every_type_and_reduction_is_verified(gpus, op):
    done = gpus("-n", "3", "--sizes", "3000", "--dtype", "all", "--op", op, *FEW)
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 12 * len(op.split(","))


def test_collectives_that_an_older_nccl_lacks_are_sends_and_receives(
    measure, rig, kernels_on_cpu, tmp_path_factory, tmp_path
):
    old = rig("gpu_stand_in").build(tmp_path_factory.mktemp("old"), kernels_on_cpu, "-DOLD")
    log = tmp_path / "log"
    done = measure(
        *BRIEF,
        *("-n", "3", "--operation", "alltoall,gather,scatter", "--sizes", "600"),
        *FEW,
        LD_PRELOAD=old,
        FAKE_NCCL_VERSION="22100",
        FAKE_NCCL_LOG=str(log),
    )
    assert done.code == EXIT_PASS, done.stderr
    called = {line.split()[1] for line in log.read_text().splitlines()}
    assert called == {"ncclSend", "ncclRecv"}


def test_the_library_is_called_with_the_numbers_of_nccl_h(gpus, tmp_path):
    log = tmp_path / "log"
    done = gpus(
        *("-n", "2", "--operation", "reduce", "--dtype", "bfloat16", "--op", "max"),
        *("--root", "1", "--sizes", "64"),
        *FEW,
        FAKE_NCCL_LOG=str(log),
    )
    assert done.code == EXIT_PASS, done.stderr
    lines = set(log.read_text().splitlines())
    assert lines == {f"{rank} ncclReduce count=32 type=9 op=2 root=1" for rank in range(2)}


@pytest.mark.parametrize("clock", ["stamp", "event"])
@pytest.mark.parametrize("call", ["stream", "graph"])
def test_streams_and_graphs_are_timed_by_both_clocks_and_as_a_batch(gpus, call, clock):
    done = gpus("-n", "2", "--sizes", "8,64K", "--call", call, "--clock", clock, *FEW)
    assert done.code == EXIT_PASS, done.stderr
    for result in done.results:
        (samples,) = group_samples(done.folder, result)
        assert samples.columns == ("duration", "launch")
        assert samples.rows.shape == (2, 5, 2)
        assert (samples.rows > 0).all()
        assert samples.group.batch
        assert samples.group.batch.iterations >= 20
        assert samples.group.batch.host_seconds >= 0.5 * samples.group.batch.device_seconds > 0


def test_several_streams_run_as_many_operations_at_a_time(gpus, tmp_path):
    log = tmp_path / "log"
    done = gpus("-n", "2", "--sizes", "64", "--streams", "3", *FEW, FAKE_NCCL_LOG=str(log))
    assert done.code == EXIT_PASS, done.stderr
    assert [result.transfers for result in done.results] == [3]
    assert len(log.read_text().splitlines()) % 3 == 0


@pytest.mark.parametrize("register", ["local", "symmetric"])
def test_registered_buffers_are_verified_too(gpus, register):
    done = gpus(
        *("-n", "2", "--operation", "all_gather,reduce", "--sizes", "4K"),
        *("--register", register),
        *FEW,
    )
    assert done.code == EXIT_PASS, done.stderr


@pytest.mark.parametrize("timing", ["barrier", "synchronised"])
def test_other_timings_stamp_entry_and_exit_on_the_host(gpus, timing):
    done = gpus("-n", "2", "--sizes", "64", "--timing", timing, *FEW)
    assert done.code == EXIT_PASS, done.stderr
    (samples,) = group_samples(done.folder, done.results[0])
    assert samples.columns == ("entry", "exit")


def test_every_form_of_a_copy_between_gpus_is_verified_where_it_arrives(gpus):
    done = gpus(
        *("-n", "4", "--operation", "copy", "--pattern", "pairs", "--sizes", "64,5000"),
        *("--call", "pull,push,both,pull_sm,push_sm,both_sm"),
        *FEW,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 3 * 6 * 2
    for result in done.results:
        assert all(group.checked_iterations and not group.wrong for group in result.groups)
        assert "by " in result.groups[0].choice.transport
        assert result.groups[0].allowed is not None


@pytest.mark.parametrize("pattern", ["incast", "shift"])
def test_flows_are_verified_where_they_arrive(gpus, pattern):
    run = gpus("-n", "4", "--operation", "flows", "--pattern", pattern, "--sizes", "4K")
    assert run.code == 0, run.stderr
    assert len(run.results) == {"incast": 3, "shift": 2}[pattern]
    for result in run.results:
        assert result.groups[0].checked_iterations
        assert result.flows == ()  # NCCL does not say when each message came


def test_victims_are_measured_beside_traffic_of_nccl(gpus):
    run = gpus("-n", "4", "--pattern", "victim", "--victims", "0.5", "--sizes", "4K")
    assert run.code == 0, run.stderr
    assert [result.pressure.kind for result in run.results[1:]] == [
        "alltoall",
        "incast",
        "broadcast",
    ]
    assert all(result.pressure.nbytes for result in run.results[1:])


def test_a_gpu_copies_within_itself_and_from_and_to_the_host(gpus):
    done = gpus(
        *("-n", "1", "--operation", "copy", "--sizes", "5000"),
        *("--call", "local,local_sm,to_device,from_device"),
        *FEW,
    )
    assert done.code == EXIT_PASS, done.stderr
    factors = {result.case.call: result.bus_factor for result in done.results}
    assert factors == {"local": 2, "local_sm": 2, "to_device": 1, "from_device": 1}


def test_without_peer_access_a_copy_goes_through_nccl_and_says_so(gpus):
    done = gpus(
        *("-n", "2", "--operation", "copy", "--sizes", "5000", "--call", "pull,push,both"),
        *FEW,
        FAKE_GPU_PEER="0",
    )
    assert done.code == EXIT_PASS, done.stderr
    for result in done.results:
        assert "NCCL send and receive" in result.groups[0].choice.transport


def test_training_jobs_overlap_with_work_on_the_device(gpus):
    done = gpus("-n", "2", "--plan", "fsdp", "--sizes", "64K", *FEW)
    assert done.code == EXIT_PASS, done.stderr
    for result in done.results:
        assert (compute_slowdown(result.groups[0].overlap) or 0) > 0


def test_the_transport_of_the_communicator_is_recorded(gpus):
    done = gpus("-n", "2", "--sizes", "64", *FEW)
    assert done.results[0].groups[0].choice.transport == "FAKE/SHM"


# sharing a GPU ----------------------------------------------------------------------------------------


def test_ranks_that_share_a_gpu_are_refused_unless_asked_for(gpus):
    done = gpus("-n", "3", "--sizes", "8", CUDA_VISIBLE_DEVICES="0,1")
    assert done.code == EXIT_USAGE
    assert "3 ranks on this host, but only 2 GPUs are visible" in done.stderr
    assert "--functional" in done.stderr
    one = gpus("-n", "2", "--sizes", "8", CUDA_VISIBLE_DEVICES="0")
    assert one.code == EXIT_USAGE
    assert "ranks 0 and 1 are both on GPU" in one.stderr
    assert one.stderr.count("railgauge: error:") == 1


@pytest.mark.parametrize("version", ["22809", "23007"])
def test_functional_ranks_are_verified_and_have_no_bandwidth(gpus, version):
    done = gpus(
        *("-n", "4", "--sizes", "5000", "--functional", "--operation", "all_reduce,alltoall"),
        *FEW,
        CUDA_VISIBLE_DEVICES="0",
        FAKE_NCCL_VERSION=version,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert "functional: ranks share a GPU" in done.stderr
    frame = case_frame(done.folder)
    assert frame["functional"].all()
    assert frame["busbw_GBps"].isna().all()
    assert frame["algbw_GBps"].isna().all()
    assert frame["median_seconds"].notna().all()


# what goes wrong ----------------------------------------------------------------------------------------


def test_a_flipped_bit_names_rank_buffer_element_and_bits(gpus):
    # the first call, three more sets, a batch of 20, then the legs
    done = gpus("-n", "2", "--sizes", "4000", *FEW, FAKE_NCCL_CORRUPT="1:3")
    assert done.code == EXIT_WRONG_DATA, done.stderr
    (wrong,) = done.results[0].groups[0].wrong
    assert (wrong.rank, wrong.buffer, wrong.index) == (1, "receive 2", 500)
    assert int(wrong.expected, 16) ^ int(wrong.found, 16) == 1
    assert "WRONG DATA" in done.stderr


def test_an_asynchronous_error_ends_the_job_with_nccls_own_words(gpus):
    done = gpus("-n", "2", "--sizes", "64", "--iterations", "50", FAKE_NCCL_ASYNC="40")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "fake remote error" in done.stderr
    assert "all_reduce float32 sum 64 B out stream" in done.stderr
    assert done.stderr.count("railgauge: error:") == 1


def test_an_error_of_a_call_is_told_with_nccls_last_words(gpus):
    done = gpus("-n", "2", "--sizes", "64", *FEW, FAKE_NCCL_FAULT="ncclAllReduce:30:3")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "NCCL: internal error (3): fake fault" in done.stderr


def test_a_communicator_that_cannot_be_made_is_told(gpus):
    done = gpus("-n", "2", "--sizes", "64", FAKE_NCCL_FAULT="ncclCommInitRank:1:2")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "ncclCommInitRank" in done.stderr
    assert "fake fault" in done.stderr
    assert "NCCL_DEBUG=INFO" in done.stderr


def test_an_error_of_the_device_is_told_in_the_drivers_words(gpus):
    fault = "cuStreamSynchronize:12:700"
    done = gpus("-n", "2", "--sizes", "64", *FEW, FAKE_GPU_FAULT=fault)
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "CUDA_ERROR_ILLEGAL_ADDRESS (700)" in done.stderr


def test_a_rank_that_stops_in_a_collective_is_a_hang_that_names_the_case(gpus):
    done = gpus("-n", "2", "--sizes", "64", *FEW, "--timeout", "6", FAKE_NCCL_STALL="1:10")
    assert done.code == EXIT_HANG, done.stderr
    assert "all_reduce float32 sum 64 B" in done.stderr


def test_what_does_not_fit_into_device_memory_is_a_named_gap(gpus):
    done = gpus("-n", "2", "--sizes", "64,64M", *FEW, FAKE_GPU_MEMORY=str(32 << 20))
    assert done.code == EXIT_INCONCLUSIVE, done.stderr
    assert [result.case.nbytes for result in done.results] == [64]
    assert "may be used" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "told"),
    [
        ((), {"FAKE_GPU_COUNT": "0"}, EXIT_NOT_MEASURED, "nvidia-smi"),
        ((), {"FAKE_GPU_DRIVER": "11040"}, EXIT_NOT_MEASURED, "speaks CUDA 11.4, too old"),
        ((), {"FAKE_GPU_NAMES": "H100,A100"}, EXIT_USAGE, "has a A100, most others a H100"),
        (
            ("--dtype", "float8_e4m3fn"),
            {"FAKE_GPU_CAPABILITY": "8.0"},
            EXIT_USAGE,
            "(sm_80) cannot reduce it",
        ),
        (
            ("--dtype", "float8_e5m2"),
            {"FAKE_NCCL_VERSION": "22200"},
            EXIT_USAGE,
            "NCCL 2.22.0 has no such type",
        ),
        (
            ("--register", "symmetric"),
            {"FAKE_NCCL_VERSION": "22200"},
            EXIT_USAGE,
            "no windows (they came with NCCL 2.27)",
        ),
        ((), {"FAKE_NCCL_VERSION": "21000"}, EXIT_USAGE, "NCCL 2.10.0 is too old"),
        (("--operation", "barrier"), {}, EXIT_USAGE, "--backend nccl has no such operation"),
        (
            ("--operation", "copy", "--timing", "barrier"),
            {},
            EXIT_USAGE,
            "the other side does not take part",
        ),
        (
            ("--operation", "latency", "--streams", "2"),
            {},
            EXIT_USAGE,
            "latency measures one stream",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_once_with_what_to_type_next(
    gpus, arguments, environment, code, told
):
    done = gpus("-n", "2", "--sizes", "64", *arguments, **environment)
    assert done.code == code, done.stderr
    assert told in done.stderr.replace("\n ", " ")
    assert done.stderr.count("railgauge: error:") == 1
    assert "next:" in done.stderr or "expected:" in done.stderr


def test_without_a_driver_the_error_says_so(measure):
    done = measure(*BRIEF, "-n", "2", "--sizes", "8")
    assert done.code == EXIT_NOT_MEASURED
    assert "no NVIDIA driver on this host" in done.stderr
    assert "--backend mpi" in done.stderr


def test_mpi_on_device_memory_is_refused_where_the_library_is_not_cuda_aware(measure, gpu_stand_in):
    done = measure("-n", "2", "--sizes", "8", "--memory", "device", LD_PRELOAD=gpu_stand_in)
    assert done.code == EXIT_USAGE, done.stderr
    assert "not CUDA-aware" in done.stderr


def test_rccl_says_that_it_is_not_supported_yet(measure):
    done = measure("-n", "2", "--backend", "rccl")
    assert done.code == EXIT_USAGE
    assert "not supported yet" in done.stderr


def test_the_environment_names_the_gpu_of_every_rank(gpus):
    done = gpus("-n", "2", "--sizes", "8", *FEW)
    told = json.loads((done.folder / "environment.json").read_text())
    assert [rank["device"]["bus_id"] for rank in told["ranks"]] == ["0000:10:00.0", "0000:11:00.0"]
    assert "hardware" in told["nodes"][0]


SELECTING = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall")


def test_algorithms_are_compared_in_one_process(gpus):
    done = gpus(
        *("-n", "2", "--operation", ",".join((*SELECTING, "gather", "scatter"))),
        *("--sizes", "512", "--algorithm", "ring,tree"),
        *FEW,
    )
    assert done.code == EXIT_PASS, done.stderr
    found = [(result.case.operation, result.case.algorithm) for result in done.results]
    assert len(found) == len(set(found)) == 16
    for result in done.results:
        assert result.groups[0].choice.algorithm == result.case.algorithm.upper()
        assert result.groups[0].checked_iterations
    frame = case_frame(done.folder)
    assert set(frame["selected"]) == {"ring", "tree"}
    assert list(frame["algorithm"]) == [name.upper() for name in frame["selected"]]


def test_an_algorithm_that_nccl_does_not_know_is_told_in_its_words(gpus):
    done = gpus("-n", "2", "--sizes", "512", "--algorithm", "rnig")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "alg_selection: no algorithm rnig" in done.stderr


def test_an_older_nccl_takes_no_algorithm_and_the_sweep_is_named(
    measure, rig, kernels_on_cpu, tmp_path_factory
):
    old = rig("gpu_stand_in").build(tmp_path_factory.mktemp("old"), kernels_on_cpu, "-DOLD")
    done = measure(*BRIEF, "-n", "2", "--algorithm", "ring,tree", LD_PRELOAD=old)
    assert done.code == EXIT_USAGE, done.stderr
    assert "takes none with a call (NCCL 2.31 does)" in done.stderr
    assert "--sweep NCCL_ALGO=ring,tree" in done.stderr


def test_communicators_are_configured(gpus, tmp_path):
    log = tmp_path / "log"
    done = gpus(
        *("-n", "2", "--sizes", "64", "--config", "max_ctas=7", "--config", "min_ctas=2"),
        *("--config", "cta_policy=1", "--config", "collnet_enable=true"),
        *FEW,
        FAKE_NCCL_LOG=str(log),
    )
    assert done.code == EXIT_PASS, done.stderr
    lines = [line for line in log.read_text().splitlines() if "config" in line]
    assert sorted(lines) == [f"{rank} config min_ctas=2 max_ctas=7" for rank in (0, 1)]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("max_cats=7", "Did you mean 'max_ctas'?"),
        ("max_ctas=many", "--config max_ctas=many"),
        ("blocking=false", "unknown field of --config 'blocking'"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_field(gpus, config, words):
    done = gpus("-n", "2", "--sizes", "64", "--config", config)
    assert done.code == EXIT_USAGE, done.stderr
    assert done.stderr.count("error:") == 1
    assert words in done.stderr
