"""What a case takes on one rank: sets of buffers, columns of its stamps, and who reads the clock."""

from __future__ import annotations

from typing import Any

import pytest

from railgauge.backends import offers_of
from railgauge.buffers import PAGE, Sets
from railgauge.errors import UsageError
from railgauge.layouts import COPIES
from railgauge.needs import (
    CACHED_BYTES,
    DEVICE_CACHE_BYTES,
    check_data,
    columns_of,
    group_facts,
    memory_needed,
    reads_clock,
    sets_of,
)
from railgauge.plan import Case, Plan, cases

NCCL: dict[str, Any] = {"backend": "nccl", "memory": "device"}


def one_case(plan: Plan) -> Case:
    (case,) = cases(plan)
    return case


def sets(operation: str, nbytes: int = 64, **fields: Any) -> Sets:
    facts = {"ranks": 2, "operations": (operation,), "sizes": (nbytes,), "dtypes": ("int8",)}
    plan = Plan(**facts | fields)
    return sets_of(plan, one_case(plan))


# buffers ---------------------------------------------------------------------------------------


def test_after_barriers_a_rank_has_one_buffer_of_each_side():
    assert sets("all_reduce") == Sets(1, 1, False)
    assert sets("all_reduce", placements=("in",)) == Sets(1, 1, True)


def test_back_to_back_on_host_memory_the_receive_buffers_rotate():
    assert sets("all_reduce", timing="back_to_back") == Sets(4, 1)
    assert sets("all_reduce", timing="back_to_back", buffers=7) == Sets(7, 1)


@pytest.mark.parametrize(("nbytes", "turns"), [(1, 256), (1024, 64), (1 << 20, 4)])
def test_in_place_there_are_as_many_as_iterations_need(nbytes, turns):
    in_place = {"timing": "back_to_back", "placements": ("in",)}
    assert sets("all_reduce", nbytes, **in_place) == Sets(turns, 1, True)


@pytest.mark.parametrize(("nbytes", "slots"), [(8, 64), (1024, 16), (1 << 20, 1)])
def test_a_window_has_receive_buffers_that_stay_in_a_cache(nbytes, slots):
    assert sets("bandwidth", nbytes) == Sets(slots, 1)


def test_on_a_device_both_sides_rotate_beyond_its_cache():
    assert sets("all_reduce", 1024, **NCCL) == Sets(4, 4)
    for nbytes in (CACHED_BYTES, 1 << 20):
        made = sets("all_reduce", nbytes, **NCCL)
        assert made.receives == made.sends >= min(256, DEVICE_CACHE_BYTES // nbytes)
    assert sets("all_reduce", 1 << 30, **NCCL) == Sets(4, 4)


@pytest.mark.parametrize("nbytes", [1024, 1 << 20])
def test_the_number_of_sets_that_was_typed_is_kept_on_a_device(nbytes):
    assert sets("all_reduce", nbytes, **NCCL, buffers=2) == Sets(2, 2)


def test_every_stream_has_sets_of_its_own():
    assert sets("all_reduce", 1024, **NCCL, streams=3) == Sets(12, 12)
    assert sets("all_reduce", 1024, **NCCL, streams=3, timing="barrier").receives == 3


@pytest.mark.parametrize("call", COPIES)
def test_a_copy_to_or_from_the_host_has_that_side_there(call):
    made = sets("copy", 1024, **NCCL, calls=(call,))
    assert made.on_host == {"to_device": "send", "from_device": "receive"}.get(call, "")
    assert not made.in_place


@pytest.mark.parametrize("streams", [1, 2])
def test_the_memory_needed_grows_with_every_set(streams):
    plan = Plan(
        ranks=2, operations=("all_reduce",), sizes=(1 << 20,), **NCCL, streams=streams, buffers=3
    )
    payload = 2 * 3 * streams << 20
    assert payload <= memory_needed(plan, one_case(plan), 2, 0) <= payload + 100 * PAGE


# stamps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({}, ("entry", "exit")),
        ({"timing": "synchronised"}, ("entry", "exit")),
        ({"timing": "back_to_back"}, ("duration",)),
        ({"timing": "back_to_back", "memory": "device"}, ("duration",)),  # MPI: the host's clock
        (NCCL, ("duration", "launch")),
        (NCCL | {"timing": "barrier"}, ("entry", "exit")),
    ],
)
def test_the_columns_are_those_of_the_timing_and_of_the_clock(fields, columns):
    plan = Plan(ranks=2, sizes=(64,), **fields)
    assert columns_of(plan, one_case(plan)) == columns


def readers(n: int, **fields: Any) -> list[int]:
    plan = Plan(**{"ranks": n, "sizes": (64,)} | fields)
    case = one_case(plan)
    return [me for me in range(n) if reads_clock(case, group_facts(plan, case, n, me))]


def test_of_a_pair_back_to_back_the_first_sender_reads_the_clock():
    assert readers(4, operations=("latency",)) == [0, 1]
    assert readers(4, operations=("latency",), timing="barrier") == [0, 1, 2, 3]
    assert readers(4, operations=("all_reduce",), timing="back_to_back") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("call", "ranks"), [("pull", [0, 1]), ("push_sm", [0, 1]), ("both", [0, 1, 2, 3])]
)
def test_of_a_copy_the_ranks_that_copy_read_the_clock(call, ranks):
    assert readers(4, operations=("copy",), calls=(call,), **NCCL) == ranks


# facts and data --------------------------------------------------------------------------------


def test_a_layout_knows_where_the_backend_leaves_a_reduce_scatter_in_place():
    for fields, in_block in (({}, False), (NCCL, True)):
        plan = Plan(
            ranks=2,
            operations=("reduce_scatter",),
            placements=("in",),
            sizes=(64,),
            **fields,
        )
        facts = group_facts(plan, one_case(plan), 2, 1)
        assert (facts.in_block, facts.in_place) == (in_block, True)
        assert facts.in_block == offers_of(plan.backend).in_block


def test_a_layout_knows_the_form_of_a_copy():
    plan = Plan(ranks=2, operations=("copy",), calls=("push",), sizes=(64,), **NCCL)
    assert group_facts(plan, one_case(plan), 2, 1).call == "push"


def test_data_that_cannot_be_checked_is_refused_by_how_the_backend_averages():
    over_seventeen = {"ranks": 17, "dtypes": ("float8_e4m3fn",), "ops": ("avg",), "sizes": (64,)}
    with pytest.raises(UsageError, match="float8_e4m3fn has no values whose average over 17"):
        check_data(Plan(**over_seventeen, **NCCL))
    check_data(Plan(**over_seventeen | {"ranks": 64}, **NCCL))  # a power of two
    narrow = {"ranks": 200, "dtypes": ("bfloat16",), "ops": ("avg",), "sizes": (64,)}
    check_data(Plan(**narrow, **NCCL))
