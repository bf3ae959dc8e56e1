"""A plan is refused unless everything in it means something, and stands for each case once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from railgauge.backends import offers_of
from railgauge.errors import UsageError
from railgauge.operations import OPERATIONS
from railgauge.plan import (
    DEFAULT_SIZES,
    Plan,
    case_traffic,
    cases,
    read_matrix,
    read_plan,
)
from railgauge.plan_rules import applicable, validate

OVER_MPI = tuple(n for n in offers_of("mpi").operations if not OPERATIONS[n].directed)


def plan(**fields: Any) -> Plan:
    return Plan(**{"ranks": 4} | fields)


def refused(**fields: Any) -> str:
    with pytest.raises(UsageError) as raised:
        validate(plan(**fields))
    return str(raised.value)


# validation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operations": ("allreduce",)}, ["operation 'allreduce'", "'all_reduce'", "list"]),
        ({"dtypes": ("flaot32",)}, ["dtype 'flaot32'", "'float32'", "list"]),
        ({"ops": ("mni",)}, ["reduction op 'mni'", "'min'", "list"]),
        ({"pattern": "wrold"}, ["pattern 'wrold'", "'world'", "list"]),
        ({"backend": "mip"}, ["backend 'mip'", "'mpi'", "list"]),
        ({"backend": "nccll"}, ["backend 'nccll'", "'nccl'", "list"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_and_the_next_command(fields, words):
    message = refused(**fields)
    assert all(word in message for word in ["unknown", "Did you mean", "allowed:", *words])


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize(
    "field",
    [
        *("ranks", "iterations", "rounds", "window", "buffers", "streams"),
        *("check_every", "max_memory"),
    ],
)
def test_a_count_of_zero_or_less_is_refused(field, count):
    message = refused(**{field: count})
    assert message.startswith(f"--{field.replace('_', '-')}: {count} is too small.")
    assert "expected: at least 1" in message


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("field", ["precision", "budget", "timeout"])
def test_a_precision_budget_or_timeout_must_be_above_zero(field, value):
    assert refused(**{field: value}).startswith(f"--{field}: {value} is too small.")


@pytest.mark.parametrize("field", ["precision", "budget", "timeout"])
def test_a_precision_budget_or_timeout_without_end_is_refused(field):
    assert refused(**{field: float("inf")}).startswith(f"--{field}: inf is endless.")


def test_warmup_may_be_zero_but_not_less():
    assert validate(plan(warmup=0)).warmup == 0
    assert "--warmup: -1 is too small" in refused(warmup=-1)


@pytest.mark.parametrize("sizes", [(), (-8,), (8, -1)])
def test_sizes_must_be_there_and_not_negative(sizes):
    assert refused(sizes=sizes).startswith("--sizes: no size, or a negative one.")


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("operations", "--operation"),
        ("dtypes", "--dtype"),
        ("ops", "--op"),
        ("roots", "--root"),
        ("placements", "--placement"),
        ("calls", "--call"),
    ],
)
def test_an_empty_list_is_refused_instead_of_measuring_nothing(field, option):
    assert refused(**{field: ()}).startswith(f"{option}: nothing is named.")


@pytest.mark.parametrize("skew", [-0.1, 1.5, float("nan")])
def test_skew_is_a_share(skew):
    assert "is outside 0 (uniform) ... 1" in refused(operations=("alltoallv",), skew=skew)


def test_skew_is_refused_where_no_operation_has_it():
    assert "--skew is for --operation alltoallv" in refused(skew=0.5)
    assert validate(plan(operations=("alltoallv", "alltoall"), skew=0.5)).skew == 0.5


@pytest.mark.parametrize(("pattern", "root", "last"), [("world", 4, 3), ("pairs", 2, 1)])
def test_a_root_outside_the_group_is_refused_with_the_last_one(pattern, root, last):
    message = refused(pattern=pattern, roots=(0, root), operations=("broadcast",))
    assert f"--root {root}: the groups of pattern {pattern} over 4 ranks" in message
    assert message.endswith(f"expected: 0 to {last}")
    assert "--root -1" in refused(roots=(-1,))


def test_pairs_need_two_ranks():
    assert "--pattern pairs needs at least 2 ranks" in refused(pattern="pairs", ranks=1)


@pytest.mark.parametrize("operation", ["latency", "bandwidth"])
def test_point_to_point_needs_an_even_number_of_ranks(operation):
    assert "pairs of ranks" in refused(operations=(operation,), ranks=3)
    assert validate(plan(operations=(operation,), ranks=3, pattern="pairs"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operations": ("sendrecv",), "placements": ("in",)}, ["--placement in", "out"]),
        ({"operations": ("broadcast",), "placements": ("out",)}, ["--placement out", "in"]),
        ({"operations": ("bandwidth",), "calls": ("blocking",)}, ["--call blocking", "persistent"]),
    ],
)
def test_a_form_that_an_operation_lacks_is_refused_with_those_it_has(fields, words):
    message = refused(**fields)
    assert "has no such form" in message
    assert all(word in message for word in [*words, "next: railgauge run --operation"])


def test_overlap_is_refused_where_no_call_can_be_overlapped():
    assert "--overlap" in refused(overlap=True, calls=("blocking", "persistent"))
    assert validate(plan(overlap=True, calls=("nonblocking",)))
    assert validate(plan(backend="nccl", memory="device", overlap=True))


def test_overlap_alone_asks_for_the_call_that_can_be_overlapped():
    made = cases(validate(plan(overlap=True, sizes=(64,), operations=("all_reduce", "sendrecv"))))
    assert {case.call for case in made} == {"nonblocking"}


# matrices ----------------------------------------------------------------------------------------

MATRIX = ((0, 1, 2, 3),) * 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operations": ("alltoall",), "matrix": MATRIX}, "for --operation alltoallv alone"),
        ({"matrix": MATRIX[:3]}, "3 rows of [4] numbers"),
        ({"matrix": (*MATRIX[:3], (1, 2))}, "4 rows of [2, 4] numbers"),
        ({"matrix": ((1, 1), (1, 1))}, "expected: 4 rows of 4"),
        ({"matrix": ()}, "0 rows of []"),
        ({"matrix": (*MATRIX[:3], (1, 2, 3, -1))}, "must not be negative"),
        ({"matrix": ((0,) * 4,) * 4}, "not all of them 0"),
        ({"matrix": MATRIX, "skew": 0.5}, "--skew cannot be combined with --matrix"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(fields, words):
    assert words in refused(**{"operations": ("alltoallv",)} | fields)


def test_traffic_is_that_of_the_matrix_or_else_of_the_skew():
    asked = plan(operations=("alltoallv",), matrix=MATRIX)
    assert case_traffic(asked, 6, 4).matrix.tolist() == [[0, 4, 8, 12]] * 4
    assert case_traffic(plan(skew=0.25), 8, 4).matrix.tolist() == [[14, 6, 6, 6]] * 4


def test_a_matrix_file_may_have_blanks_commas_and_comments(tmp_path: Path):
    path = tmp_path / "traffic.txt"
    path.write_text("# sender 0\n0, 1 2\n\n1 0 1  # sender 1\n3,4,0\n")
    assert read_matrix(path) == ((0, 1, 2), (1, 0, 1), (3, 4, 0))


@pytest.mark.parametrize("line", ["1 2.5", "1 x", "0x1 2"])
def test_a_matrix_file_with_something_else_names_its_line(tmp_path: Path, line):
    path = tmp_path / "traffic.txt"
    path.write_text(f"1 2\n{line}\n")
    with pytest.raises(UsageError) as raised:
        read_matrix(path)
    assert f"--matrix {path}, line 2: not whole numbers" in str(raised.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe1 2"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content):
    path = tmp_path / "absent"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"--matrix .*absent: cannot be read"):
        read_matrix(path)
    with pytest.raises(UsageError, match=r"--plan .*absent: cannot be read"):
        read_plan(path)


# plan files --------------------------------------------------------------------------------------


def test_a_plan_file_is_toml_or_json(tmp_path: Path):
    toml, json = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text('operations = ["all_gather"]\nsizes = [8, 64]\nranks = 3\n')
    json.write_bytes(
        msgspec.json.encode({"operations": ["all_gather"], "sizes": [8, 64], "ranks": 3})
    )
    assert (
        read_plan(toml)
        == read_plan(json)
        == {
            "operations": ["all_gather"],
            "sizes": [8, 64],
            "ranks": 3,
        }
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'operatoins = ["all_gather"]',
            ["'operatoins'", "Did you mean 'operations'?", "plan.toml"],
        ),
        ('sizes = ["8"]', ["Expected `int`, got `str`", "$.sizes[0]"]),
        ('timing = "barier"', ["Invalid enum value", "$.timing"]),
        ("ranks = ", ["plan.toml", "correct the file"]),
    ],
)
def test_a_plan_file_names_its_bad_field(tmp_path: Path, text, words):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_plan(path)
    assert all(word in str(raised.value) for word in words)


def test_a_plan_file_must_be_a_table(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text("[1, 2]")
    with pytest.raises(UsageError, match="expected a table of fields"):
        read_plan(path)


def test_what_is_stored_of_a_plan_is_read_back(tmp_path: Path):
    path = tmp_path / "plan.json"
    stored = plan(operations=("alltoallv",), matrix=MATRIX, timing="synchronised", skew=0.0)
    path.write_bytes(msgspec.json.encode(stored))
    assert msgspec.convert(read_plan(path), Plan) == stored


def test_the_digest_tells_plans_apart():
    assert plan().sha256() == plan().sha256()
    assert len({plan().sha256(), plan(seed=2).sha256(), plan(ranks=5).sha256()}) == 3


# cases -------------------------------------------------------------------------------------------


def test_the_default_plan_doubles_from_8_bytes_to_64_mib():
    made = cases(validate(plan()))
    assert [case.nbytes for case in made] == [8 << k for k in range(24)] == list(DEFAULT_SIZES)
    assert {(c.operation, c.dtype, c.op, c.root, c.placement, c.call, c.timing) for c in made} == {
        ("all_reduce", "float32", "sum", None, "out", "blocking", "barrier")
    }


def test_cases_are_numbered_in_order_and_each_stands_once():
    made = cases(
        validate(
            plan(
                operations=OVER_MPI,
                dtypes=("int8", "float64"),
                ops=("sum", "max"),
                roots=(0, 3),
                sizes=(1, 2, 8, 1000),
            )
        )
    )
    assert [case.index for case in made] == list(range(len(made)))
    facts = [msgspec.structs.asdict(case) | {"index": 0} for case in made]
    assert len({tuple(fact.values()) for fact in facts}) == len(made)
    # 1, 2 and 8 bytes of float64 are one element
    small = [c for c in made if (c.operation, c.dtype, c.op) == ("all_reduce", "float64", "sum")]
    assert [case.nbytes for case in small] == [8, 1000]


def test_only_reductions_have_an_op_only_rooted_operations_a_root():
    for case in cases(validate(plan(operations=OVER_MPI, sizes=(64,)))):
        assert (case.op is None) == (not case.entry.reduces)
        assert (case.root is None) == (not case.entry.rooted)
        assert case.placement in case.entry.placements
        assert case.call == case.entry.calls[0]
        assert case.timing == case.entry.timing


def test_a_barrier_is_one_case_whatever_the_sizes_and_dtypes():
    (case,) = cases(plan(operations=("barrier",), dtypes=("int8", "float32"), sizes=(8, 16)))
    assert (case.nbytes, case.count, case.dtype) == (0, 0, "int8")


def test_sizes_are_those_of_the_patterns_groups():
    world, pairs = (
        cases(plan(operations=("all_gather",), sizes=(1000,), pattern=pattern))[0]
        for pattern in ("world", "pairs")
    )
    assert (world.count, world.nbytes) == (63, 63 * 4 * 4)
    assert (pairs.count, pairs.nbytes) == (125, 1000)


def test_the_size_of_an_alltoallv_is_what_its_busiest_rank_moves():
    (case,) = cases(plan(operations=("alltoallv",), sizes=(1024,), skew=1.0))
    assert case.count == 64
    assert case.nbytes == 4 * 1024


def test_forms_that_were_asked_for_are_kept_where_an_operation_has_them():
    made = cases(
        plan(
            operations=("all_reduce", "sendrecv"),
            placements=("out", "in"),
            calls=("blocking", "persistent"),
            sizes=(64,),
            timing="synchronised",
        )
    )
    assert [(c.operation, c.placement, c.call) for c in made] == [
        ("all_reduce", "out", "blocking"),
        ("all_reduce", "out", "persistent"),
        ("all_reduce", "in", "blocking"),
        ("all_reduce", "in", "persistent"),
        ("sendrecv", "out", "blocking"),
        ("sendrecv", "out", "persistent"),
    ]
    assert {case.timing for case in made} == {"synchronised"}


def test_a_case_is_described_as_a_person_names_it():
    case = cases(plan(operations=("reduce",), sizes=(1024,), roots=(3,)))[0]
    assert case.describe() == "reduce float32 sum 1024 B out blocking root 3"


def test_all_operations_leaves_out_what_the_plan_cannot_have_and_says_why():
    kept, left = applicable(plan(ranks=3, placements=("out",)), tuple(OPERATIONS))
    assert set(left) == {
        *("broadcast", "latency", "bandwidth", "bidirectional_bandwidth", "message_rate", "copy"),
        "flows",
        *(name for name, entry in OPERATIONS.items() if entry.external),
    }
    assert set(kept) | set(left) == set(OPERATIONS)
    assert all("\n" not in why for why in left.values())
    assert "groups of 3" in left["latency"]
    assert "--placement out" in left["broadcast"]
