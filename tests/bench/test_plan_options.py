"""What is typed becomes the plan that was meant, or is refused; nothing typed is dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from railgauge.backends import offers_of
from railgauge.commands.run import _rank_command, command
from railgauge.errors import UsageError
from railgauge.plan import DEFAULT_SIZES, Plan
from railgauge.plan_options import plan_from


def typed(*arguments: str) -> dict[str, Any]:
    """The options as click hands them to `railgauge run`."""
    with command.make_context("run", list(arguments)) as context:
        return dict(context.params)


def planned(*arguments: str, world: int | None = None) -> Plan:
    return plan_from(typed(*arguments), world)[0]


def refused(*arguments: str, world: int | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        planned(*arguments, world=world)
    return str(raised.value)


def test_without_options_two_ranks_measure_all_reduce():
    assert planned() == Plan(ranks=2)


def test_every_option_reaches_its_field():
    made = planned(
        *("-n", "4", "--operation", "all_gather,reduce", "--sizes", "8,64K", "--dtype", "int8"),
        *("--op", "min,max", "--root", "1,3", "--placement", "both", "--call", "all"),
        *("--timing", "synchronised", "--iterations", "7", "--warmup", "0", "--precision", "0.05"),
        *(
            "--budget",
            "2.5",
            "--window",
            "32",
            "--buffers",
            "2",
            "--overlap",
            "--op-implementation",
            "user",
        ),
        *("--check-every", "3", "--max-memory", "1G", "--sample-budget", "1M", "--timeout", "9"),
        *("--seed", "0", "--pattern", "world", "--rounds", "2", "--backend", "mpi"),
    )
    assert made == Plan(
        ranks=4,
        operations=("all_gather", "reduce"),
        sizes=(8, 65536),
        dtypes=("int8",),
        ops=("min", "max"),
        roots=(1, 3),
        placements=("out", "in"),
        calls=("blocking", "nonblocking", "persistent"),
        timing="synchronised",
        iterations=7,
        warmup=0,
        precision=0.05,
        budget=2.5,
        window=32,
        buffers=2,
        overlap=True,
        op_implementation="user",
        check_every=3,
        max_memory=1 << 30,
        sample_budget=1 << 20,
        timeout=9.0,
        seed=0,
        rounds=2,
    )


# bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--operation", "allreduce"), "Did you mean 'all_reduce'?"),
        (("--dtype", "float23"), "Did you mean 'float32'?"),
        (("--op", "summ"), "Did you mean 'sum'?"),
        (("--pattern", "pears"), "Did you mean 'pairs'?"),
        (("--call", "nonblockin"), "--call nonblockin: --backend mpi has no such call"),
        (("--sizes", "64Q"), "--sizes: '64Q' is not a size"),
        (("-b", "64Q"), "--min-bytes: '64Q' is not a size"),
        (("-e", "x"), "--max-bytes: 'x' is not a size"),
        (("-b", "1M", "-e", "8"), "--min-bytes 1048576 is above --max-bytes 8"),
        (("-f", "1"), "does not grow"),
        (("-f", "0"), "does not grow"),
        (("-f", "-2"), "does not grow"),
        (("--sizes", "8:64", "-f", "1"), "does not grow"),
        (("--sizes", "8", "-b", "8"), "cannot be combined with -b or -e"),
        (("--sizes", "8", "-e", ""), "cannot be combined with -b or -e"),
        (("-n", "0"), "--ranks: 0 is too small"),
        (("-n", "-2"), "--ranks: -2 is too small"),
        (("--iterations", "0"), "--iterations: 0 is too small"),
        (("--iterations", "-5"), "--iterations: -5 is too small"),
        (("--warmup", "-1"), "--warmup: -1 is too small"),
        (("--window", "0"), "--window: 0 is too small"),
        (("--buffers", "0"), "--buffers: 0 is too small"),
        (("--streams", "0"), "--streams: 0 is too small"),
        (("--set", "NCCL_ALGO"), "--set NCCL_ALGO: not an environment variable and its value"),
        (("--set", "=Ring"), "--set =Ring: not an environment variable and its value"),
        (("--set", "NCCL-ALGO=Ring"), "expected: NAME=VALUE"),
        (("--check-every", "0"), "--check-every: 0 is too small"),
        (("--timeout", "0"), "--timeout: 0.0 is too small"),
        (("--max-memory", "0"), "--max-memory: 0 is too small"),
        (("--max-memory", "lots"), "--max-memory: 'lots' is not a size"),
        (("--max-memory", ""), "--max-memory: '' is not a size"),
        (("--sample-budget", "1Q"), "--sample-budget: '1Q' is not a size"),
        (("--root", "first"), "--root first: expected ranks"),
        (("--root", "2"), "--root 2: the groups of pattern world over 2 ranks"),
        (("--operation", ""), "--operation: nothing is named"),
        (("--operation", ","), "--operation: nothing is named"),
        (("--dtype", ","), "--dtype: nothing is named"),
        (("--op", " "), "--op: nothing is named"),
        (("--root", ""), "--root: nothing is named"),
        (("--call", ","), "--call: nothing is named"),
        (("--matrix", ""), "--matrix"),
        (("--plan", "no/such/plan.toml"), "--plan no/such/plan.toml: cannot be read"),
        (("--matrix", "no/such/file"), "--matrix no/such/file: cannot be read"),
    ],
)
def test_bad_input_is_refused_by_its_name(arguments, words):
    assert words in refused(*arguments)


def test_a_misspelt_operation_is_never_everything():
    assert "unknown operation 'al'" in refused("--operation", "al")
    assert "unknown operation 'all'" in refused("--operation", "all,all_reduce")


# sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ((), DEFAULT_SIZES),
        (("-b", "1K", "-e", "4KiB"), (1024, 2048, 4096)),
        (("-e", "32"), (8, 16, 32)),
        (("-b", "32M"), (32 << 20, 64 << 20)),
        (("-b", "128M"), (128 << 20,)),
        (("-b", "8", "-e", "512", "-f", "8"), (8, 64, 512)),
        (("-f", "1024"), (8, 8 << 10, 8 << 20)),
        (("--sizes", "1K,8:32"), (8, 16, 32, 1024)),
        (("--sizes", "8:512", "-f", "8"), (8, 64, 512)),
        (("-b", "0", "-e", "2"), (0, 1, 2)),
    ],
)
def test_sizes_are_lists_ranges_and_factors(arguments, sizes):
    assert planned(*arguments).sizes == sizes


# all -------------------------------------------------------------------------------------------


def test_all_stands_for_every_name_that_means_something():
    plan, left = plan_from(typed("-n", "3", "--operation", "all", "--dtype", "all", "--op", "all"))
    offers = offers_of("mpi")
    assert set(plan.operations) | set(left) == set(offers_of("mpi").operations)
    even = {"latency", "bandwidth", "bidirectional_bandwidth", "message_rate"}
    assert set(left) == {*even, "flows"}  # which the world has none of
    assert plan.dtypes == offers.dtypes
    assert plan.ops == offers.ops


@pytest.mark.parametrize("field", ["operations", "dtypes", "ops", "calls"])
@pytest.mark.parametrize("backend", ["mpi", "nccl"])
def test_all_is_what_the_backend_offers(backend, field):
    option = {"operations": "--operation", "dtypes": "--dtype", "ops": "--op", "calls": "--call"}
    asked = ("-n", "4", "--backend", backend, "--pattern", "pairs", option[field], "all")
    plan, left = plan_from(typed(*asked))
    assert getattr(plan, field) == getattr(offers_of(backend), field)
    assert not left


def test_all_roots_are_those_of_a_group():
    assert planned("-n", "4", "--root", "all").roots == (0, 1, 2, 3)
    assert planned("-n", "4", "--root", "all", "--pattern", "pairs").roots == (0, 1)


# plan files ------------------------------------------------------------------------------------


@pytest.fixture
def plan_file(tmp_path: Path) -> str:
    path = tmp_path / "plan.toml"
    path.write_text('ranks = 4\noperations = ["all_gather"]\nsizes = [64]\nseed = 5\n')
    return str(path)


def test_a_plan_file_sets_fields_and_what_is_typed_wins(plan_file):
    made = planned("--plan", plan_file)
    assert (made.ranks, made.operations, made.sizes, made.seed) == (4, ("all_gather",), (64,), 5)
    made = planned("--plan", plan_file, "--operation", "alltoall", "--seed", "0")
    assert (made.ranks, made.operations, made.sizes, made.seed) == (4, ("alltoall",), (64,), 0)


@pytest.mark.parametrize(("arguments", "world"), [(("-n", "2"), None), ((), 2), (("-n", "2"), 2)])
def test_a_plan_file_for_another_number_of_ranks_is_refused(plan_file, arguments, world):
    message = refused("--plan", plan_file, *arguments, world=world)
    assert f"--plan {plan_file} is for 4 ranks, not 2" in message


def test_a_plan_file_for_as_many_ranks_joins_a_world(plan_file):
    assert planned("--plan", plan_file, world=4).ranks == 4


@pytest.mark.parametrize("field", ["dtypes", "ops"])
def test_all_in_a_plan_file_is_everything_as_on_the_command_line(tmp_path, field):
    path = tmp_path / "plan.toml"
    path.write_text(f'ranks = 3\noperations = ["all"]\n{field} = ["all"]\n')
    plan, left = plan_from(typed("--plan", str(path)))
    assert set(plan.operations) | set(left) == set(offers_of("mpi").operations)
    assert getattr(plan, field) == getattr(offers_of("mpi"), field)


# ranks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--warmup", "0", "--seed", "0", "-b", "0", "-e", "0"),
        ("--operation", "alltoallv", "--skew", "0"),
        ("--call", "nonblocking", "--overlap", "-n", "3", "--root", "0"),
        ("--precision", "0.5", "--budget", "1e-3", "--dtype", "int8,float64", "--op", "all"),
        ("--set", "UCX_TLS=sm", "--set", "OMP_NUM_THREADS="),
        ("--backend", "nccl", "--no-spin", "--clock", "event", "--streams", "3", "--functional"),
        ("--backend", "nccl", "--register", "symmetric", "--explain", "--memory", "device"),
    ],
)
def test_every_rank_is_given_the_plan_of_its_parent(arguments):
    options = typed(*arguments)
    options.pop("json")
    parent = plan_from(options)[0]
    words = _rank_command({**options, "ranks": parent.ranks})
    rank = typed(*words[words.index("run") + 1 :])
    assert plan_from(rank, parent.ranks)[0] == parent


# backends --------------------------------------------------------------------------------------


def test_every_option_of_a_device_reaches_its_field():
    made = planned(
        *("--backend", "nccl", "--register", "local", "--streams", "2", "--clock", "event"),
        *("--functional", "--explain", "--no-spin", "--dtype", "float8_e5m2", "--op", "premul_sum"),
        *("--call", "graph", "--set", "NCCL_ALGO=Ring", "--set", "NCCL_NET=IB=1"),
    )
    assert made == Plan(
        ranks=2,
        backend="nccl",
        memory="device",
        register="local",
        streams=2,
        clock="event",
        functional=True,
        explain=True,
        spin=False,
        dtypes=("float8_e5m2",),
        ops=("premul_sum",),
        calls=("graph",),
        variables=(("NCCL_ALGO", "Ring"), ("NCCL_NET", "IB=1")),
    )


@pytest.mark.parametrize(("backend", "memory"), [("mpi", "host"), ("nccl", "device")])
def test_the_memory_is_where_the_backend_has_it_unless_it_is_said(backend, memory):
    assert planned("--backend", backend).memory == memory
    assert planned("--backend", "mpi", "--memory", "device").memory == "device"


def test_an_unknown_backend_is_refused_before_what_it_might_offer_is_asked():
    assert "unknown backend 'ncl'. Did you mean 'nccl'?" in refused("--backend", "ncl")


def test_listed_pairs_come_from_a_file_and_belong_to_their_pattern(tmp_path):
    path = tmp_path / "pairs"
    path.write_text("0 n0 n1\n")
    asked = ("-n", "4", "--operation", "sendrecv", "--pattern", "listed")
    assert planned(*asked, "--pairs", str(path)).pairs == ((0, "n0", "n1"),)
    for half in (asked, ("--pairs", str(path))):
        assert "belong together" in refused(*half)
