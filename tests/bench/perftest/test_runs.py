"""Runs of `--backend perftest` on programs that stand in for perftest's: real ranks, real connections."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from railgauge.errors import (
    EXIT_HANG,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
)
from railgauge.records import Run

pytestmark = pytest.mark.mpi
GBPS = "80"
BRIEF = ("--sizes", "64K", "--budget", "0.01")


@pytest.fixture
def machine(rig: Callable[[str], Any], tmp_path: Path) -> Callable[..., dict[str, str]]:
    """`machine(fault="...")`: the environment of a machine with four RDMA ports and perftest."""

    def made(**faults: str) -> dict[str, str]:
        return rig("perftest_stand_in").environment(
            tmp_path / "machine", gbps=GBPS, log=str(tmp_path / "commands"), **faults
        )

    return made


@pytest.fixture
def perftest(
    measure: Callable[..., Any], machine: Callable[..., dict[str, str]]
) -> Callable[..., Any]:
    """`perftest(*options, fault="...")`: an ended run on that machine."""

    def run(
        *options: str, python: str = "", environment: dict[str, str] | None = None, **faults: str
    ) -> Any:
        more = {"python": python} if python else {}
        return measure(
            "--backend",
            "perftest",
            *BRIEF,
            *options,
            **more,
            **machine(**faults) | (environment or {}),
        )

    return run


def commands(tmp_path: Path) -> list[str]:
    return (tmp_path / "commands").read_text().splitlines()


def left(tmp_path: Path) -> list[int]:
    """Processes of the stand-in that still run."""
    mark = str(tmp_path / "machine").encode()
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(word.startswith(mark) for word in words):
                found.append(int(path.name))
    return found


# what comes out -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pair_is_measured_in_every_form_over_either_mpi(perftest, library, tmp_path):
    done = perftest("-n", "2", "--operation", "all", "--call", "all", python=library.python)
    assert done.code == EXIT_PASS, done.stderr
    seen = {(r.case.operation, r.case.call): r for r in done.results}
    assert len(seen) == 3 * (3 + 2)
    for (operation, call), result in seen.items():
        (group,) = result.groups
        assert group.wrong == ()
        assert group.checked_iterations == 0
        client, server = ("mlx5_1", "mlx5_0") if call == "back" else ("mlx5_0", "mlx5_1")
        assert group.choice.transport == f"{client}:1-{server}:1 RC"
        assert result.samples[0].columns == ("duration",)
        latency = operation.endswith("latency")
        assert group.iterations >= 1
        assert not latency or group.iterations % 1000 == 0
        assert result.transfers == (1 if latency else 128)
        assert (group.allowed is None) == latency
    assert left(tmp_path) == []
    asked = [line for line in commands(tmp_path) if line.startswith("ib_read_bw ")]
    assert 0 < sum(" -b " in line for line in asked) < len(asked)


def test_both_ranks_agree_on_the_bandwidth_that_was_printed(perftest):
    done = perftest("-n", "2", "--call", "all", "--format", "json")
    rows = msgspec.json.decode(done.stdout)["rows"]
    assert [row["call"] for row in rows] == ["forth", "back", "both"]
    one_way = 65536 / (1e-8 + 65536 * 8 / 80e9) / 1e9
    both = 65536 / (2e-8 + 65536 * 8 / 80e9) / 1e9  # the stand-in's overhead is of the sum
    assert [row["algbw_GBps"] for row in rows] == pytest.approx([one_way, one_way, both], rel=2e-3)
    assert {row["busbw_GBps"] == row["algbw_GBps"] for row in rows} == {True}
    # 100 Gb/s, of which 4096 of 4178 bytes and 16 a message are data
    share = 65536 / (65536 + 16 * 82 + 16)
    assert [row["allowed_GBps"] for row in rows] == pytest.approx([12.5 * share] * 3)
    assert [row["allowed_share"] for row in rows] == pytest.approx(
        [row["algbw_GBps"] / (12.5 * share) for row in rows]
    )
    assert {row["wrong"] for row in rows} == {None}


@pytest.mark.slow
def test_a_tournament_finds_the_port_that_is_slow(perftest, tmp_path):
    done = perftest(
        "-n", "4", "--pattern", "pairs", fault="slow@mlx5_2", environment={"STAND_IN_GBPS": "80"}
    )
    assert done.code == EXIT_PASS, done.stderr
    assert [result.round for result in done.results] == [0, 1, 2]
    slow = {
        (group.ranks, group.allowed is not None)
        for result in done.results
        for group in result.groups
        if group.first_call_ns > 2 * min(g.first_call_ns for r in done.results for g in r.groups)
    }
    assert slow == {("2-3", True)}  # the one pair in which mlx5_2 is the client
    assert left(tmp_path) == []


def test_the_port_of_every_rank_stands_in_the_environment(perftest):
    done = perftest("-n", "2", "--config", "device=mlx5_3,mlx5_1", "--config", "gid_index=3")
    assert done.code == EXIT_PASS, done.stderr
    facts = msgspec.json.decode((done.folder / "environment.json").read_bytes())
    assert [rank["nic"]["name"] for rank in facts["ranks"]] == ["mlx5_3", "mlx5_1"]
    assert done.results[0].groups[0].choice.transport == "mlx5_3:1-mlx5_1:1 RC"


def test_the_order_of_ports_is_that_of_nccl_ib_hca(perftest):
    done = perftest("-n", "2", "--set", "NCCL_IB_HCA==mlx5_2,mlx5_0")
    assert done.results[0].groups[0].choice.transport == "mlx5_2:1-mlx5_0:1 RC"


def test_ranks_that_share_a_device_measure_no_wire_and_the_run_says_so(perftest):
    done = perftest("-n", "2", "--config", "device=mlx5_0")
    (group,) = done.results[0].groups
    assert group.allowed.GBps is None
    assert "nothing leaves the NIC" in group.allowed.words


def test_reports_say_that_nobody_verified_the_data(perftest):
    done = perftest("-n", "2", "--format", "markdown")
    assert done.stdout.startswith("# railgauge: PASS")
    assert "the data of rdma_write_bandwidth is unverified: perftest moves it" in done.stdout
    assert "| share |" in done.stdout
    table = perftest("-n", "2").stdout.splitlines()
    assert table[0].split()[-2:] == ["wrong", "samples"]
    assert "   0  " not in table[2]


def test_a_line_within_the_table_does_no_harm(perftest):
    done = perftest("-n", "2", "--operation", "rdma_write_bandwidth,rdma_send_latency", fault="cpu")
    assert done.code == EXIT_PASS, done.stderr


def test_an_old_version_gives_medians_and_the_run_says_so(perftest):
    done = perftest("-n", "2", "--operation", "rdma_send_latency", fault="old")
    assert done.code == EXIT_PASS, done.stderr
    start = next(r for r in done.records if isinstance(r, Run))
    assert start.library.startswith(
        "perftest (without -U: a latency sample is the median of a start)"
    )
    assert done.results[0].groups[0].iterations < 1000


def test_a_port_that_somebody_else_took_is_changed(perftest, tmp_path):
    done = perftest("-n", "2", "--operation", "rdma_read_bandwidth", fault="busy")
    assert done.code == EXIT_PASS, done.stderr
    ports = [line.split("-p ")[1].split()[0] for line in commands(tmp_path)]
    assert ports[0] != ports[1] == ports[2]


# what goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "fails:client",
            r"ib_write_bw failed\n  client, rank 0 on .*exit code 1: .*\n    \| Completion with error",
        ),
        (
            "fails@mlx5_1",
            r"server, rank 1 on .* \(mlx5_1:1\): exit code 1: .*\n    \| Completion with error",
        ),
        (
            "unheard",
            r"failed before its client came\n  server, rank 1 .*\n    \| Unable to find the Infini",
        ),
        ("garbage", r"printed 0 rows for 65536 bytes, expected one"),
    ],
)
def test_a_program_that_fails_ends_the_run_with_its_last_words(perftest, tmp_path, fault, words):
    done = perftest("-n", "2", fault=fault)
    assert done.code == EXIT_NOT_MEASURED
    assert done.stderr.count("railgauge: error:") == 1
    assert re.search(words, done.stderr), done.stderr
    assert left(tmp_path) == []


def test_fewer_times_than_iterations_are_refused(perftest):
    done = perftest("-n", "2", "--operation", "rdma_write_latency", fault="short")
    assert done.code == EXIT_NOT_MEASURED
    assert "ib_write_lat printed 500 raw times, expected 1000" in done.stderr


def test_a_program_that_hangs_is_ended_at_the_time_limit(perftest, tmp_path):
    done = perftest("-n", "2", "--timeout", "6", fault="hangs:client")
    assert done.code == EXIT_HANG
    assert "ib_write_bw did not end within 6 s" in done.stderr
    assert "client, rank 0" in done.stderr
    assert "--config iterations=N" in done.stderr
    assert left(tmp_path) == []


@pytest.mark.slow
def test_a_server_that_stays_after_its_client_is_ended(perftest, tmp_path):
    done = perftest("-n", "2", fault="lingers:server")
    assert done.code == EXIT_PASS, done.stderr
    assert left(tmp_path) == []


def test_perftest_that_is_not_installed_is_a_usage_error(perftest, rig, tmp_path):
    path = rig("perftest_stand_in").without(tmp_path)
    done = perftest("-n", "2", environment={"PATH": path})
    assert done.code == EXIT_USAGE
    assert done.stderr.count("railgauge: error:") == 1
    assert "ib_write_bw is not installed" in done.stderr
    assert "apt-get install perftest" in done.stderr


def test_a_machine_without_rdma_says_so(perftest, tmp_path):
    done = perftest("-n", "2", environment={"RAILGAUGE_SYSFS": str(tmp_path / "empty")})
    assert done.code == EXIT_NOT_MEASURED
    assert "has no RDMA device" in done.stderr


def test_more_ranks_than_ports_are_refused(perftest, rig, tmp_path):
    few = rig("perftest_stand_in").sysfs(tmp_path / "few", {"mlx5_0": "4: ACTIVE"})
    done = perftest("-n", "2", environment={"RAILGAUGE_SYSFS": str(few)})
    assert done.code == EXIT_USAGE
    assert "rank 1 of those on" in done.stderr
    assert "--config device=mlx5_0" in done.stderr


def test_memory_of_a_gpu_wants_a_perftest_with_cuda(perftest, tmp_path):
    done = perftest("-n", "2", "--memory", "device", "--config", "dmabuf=true")
    assert done.code == EXIT_PASS, done.stderr
    asked = commands(tmp_path)
    assert all("--use_cuda_dmabuf" in line for line in asked)
    assert {line.split("--use_cuda=")[1][0] for line in asked} == {"0", "1"}


def test_a_dry_run_shows_the_cases_and_starts_nothing(perftest, tmp_path):
    done = perftest("-n", "4", "--pattern", "pairs", "--call", "all", "--dry-run")
    assert done.code == EXIT_PASS, done.stderr
    assert "3 cases x 3 round(s) on 4 ranks" in done.stdout
    assert not (tmp_path / "commands").exists()


# ends in the middle -----------------------------------------------------------------------------------


def started(run: Callable[..., Any], environment: dict[str, str], *more: str) -> Any:
    options = ("--backend", "perftest", "-n", "2", "--call", "all", "--sizes", "64K,128K,256K")
    return run(*options, "--budget", "0.5", *more, **environment)


def test_an_interrupted_run_goes_on_where_it_was(run, machine, tmp_path):
    job = started(run, machine())
    job.until_measured()
    os.kill(job.process.pid, signal.SIGINT)
    ended = job.end()
    assert ended.code == EXIT_INTERRUPTED, ended.stderr
    assert left(tmp_path) == []
    resumed = started(run, machine(), "--resume").end()
    assert resumed.code == EXIT_PASS, resumed.stderr


def test_a_killed_run_leaves_no_program_behind(run, machine, tmp_path):
    job = started(run, machine(fault="hangs"), "--timeout", "60")
    job.until(lambda: len(left(tmp_path)) == 2, "both programs")
    job.kill()
    job.until(lambda: not left(tmp_path), "the end of both programs")
