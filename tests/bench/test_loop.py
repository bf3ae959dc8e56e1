"""The compiled loops call what the program says, in its order, and stamp what lies between."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.loop import (
    CELLS,
    CHECKED_ITERATIONS,
    CLOCK,
    FAULTY_ITERATIONS,
    FIRST_FAULTY,
    MAX_ARGUMENTS,
    MEMCPY,
    MEMSET,
    MISSED,
    PROGRESS,
    STEP_WIDTH,
    Step,
    Table,
    back_to_back_loop,
    barrier_loop,
    c_address,
    execute,
    stamp_cost,
    synchronised_loop,
    table,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
READING = 10  # ns that one reading of the stand-in clock takes
NONE = table([])


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64))


class World:
    """C functions that write down that they were called, and a clock that they move."""

    def __init__(self) -> None:
        self.now = 5 * 10**9 - 35  # so that a series crosses a whole second
        self.calls: list[tuple[str, int]] = []
        self.keep: list[Any] = []
        self.cells = np.zeros(CELLS, np.int64)
        self.cells[FIRST_FAULTY] = -1
        self.report = np.zeros(4, np.int64)
        read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.POINTER(Timespec))(self.read)
        self.keep.append(read)
        self.clock = c_address(read)

    def read(self, which: int, out: Any) -> int:
        assert which == 1  # CLOCK_MONOTONIC
        self.now += READING
        out.contents.seconds, out.contents.nanoseconds = divmod(self.now, 10**9)
        return 0

    def step(self, name: str, takes: int = 0, fails_at: int = -1, wrong_at: tuple = ()) -> Step:
        """A function that takes `takes` ns; it returns 7, or finds something wrong, at a call."""
        count = 0

        def call(argument: int) -> int:
            nonlocal count
            self.calls.append((name, argument))
            self.now += takes
            self.report[0] += count in wrong_at
            count += 1
            return 7 if count - 1 == fails_at else 0

        function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)(call)
        self.keep.append(function)
        return Step(c_address(function), (len(self.keep),))

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def barrier_loop(self, n: int, every: int = 1, **programs: Table) -> tuple[int, Table]:
        stamps = np.zeros((n, 2), np.int64)
        code = barrier_loop(
            self.clock,
            *(programs.get(k, NONE) for k in ("barrier", "spoil", "inputs", "program", "verify")),
            self.report,
            every,
            self.cells,
            stamps,
        )
        return code, stamps

    def synchronised_loop(
        self, start: int, period: int, n: int, every: int = 1, **programs: Table
    ) -> tuple[int, Table]:
        stamps = np.zeros((n, 2), np.int64)
        code = synchronised_loop(
            self.clock,
            start,
            period,
            *(programs.get(k, NONE) for k in ("spoil", "inputs", "program", "verify")),
            self.report,
            every,
            self.cells,
            stamps,
        )
        return code, stamps


@pytest.fixture
def world() -> World:
    return World()


# steps -----------------------------------------------------------------------------------------


@given(arguments=st.lists(INT64, max_size=MAX_ARGUMENTS))
def test_a_step_passes_its_arguments_whole_and_in_order(arguments):
    arrived = []

    def call(*values: int) -> int:
        arrived.append(list(values))
        return 0

    width = 6 if len(arguments) <= 6 else 12
    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int64] * width)(call)
    assert execute(table([Step(c_address(function), tuple(arguments))])) == 0
    assert arrived == [arguments + [0] * (width - len(arguments))]


def test_an_int_takes_the_low_half_of_its_argument():
    arrived = []

    def call(*values: int) -> int:
        arrived.append(values)
        return 0

    function = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_int32] * 8)(call)
    arguments = (1, -1, 0x44000000, -(2**31), 2**31 - 1, -5, 6, -7)
    assert execute(table([Step(c_address(function), arguments)])) == 0
    assert arrived == [arguments]


def test_an_address_above_2_63_survives_the_table():
    high = 2**64 - 4096
    assert table([Step(high, (high, -1))]).view(np.uint64)[0, [0, 2, 3]].tolist() == [
        high,
        high,
        2**64 - 1,
    ]


def test_a_table_has_one_row_a_step():
    rows = table([Step(11, (1, 2)), Step(22, ())])
    assert rows.shape == (2, STEP_WIDTH)
    assert rows[0, :5].tolist() == [11, 2, 1, 2, 0]
    assert rows[1].tolist() == [22] + [0] * (STEP_WIDTH - 1)
    assert table([]).shape == (0, STEP_WIDTH)


def test_more_than_twelve_arguments_are_refused():
    with pytest.raises(ValueError, match="at most 12 arguments, not 13"):
        table([Step(1, (0,) * 13)])


def test_functions_of_libc_work_as_steps():
    one, other = np.arange(8, dtype=np.uint8), np.zeros(8, np.uint8)
    steps = [
        Step(MEMCPY, (other.ctypes.data, one.ctypes.data, 8)),
        Step(MEMSET, (one.ctypes.data, 0xAB, 4)),
    ]
    # both return a pointer, whose low half is rarely 0: one step at a time
    for step in steps:
        execute(table([step]))
    assert other.tolist() == list(range(8))
    assert one.tolist() == [0xAB] * 4 + [4, 5, 6, 7]


def test_a_failing_step_ends_the_program(world):
    steps = [world.step("a"), world.step("b", fails_at=0), world.step("c")]
    assert execute(table(steps)) == 7
    assert world.names() == ["a", "b"]


# barrier before each iteration -------------------------------------------------------------------


def test_each_iteration_spoils_meets_runs_and_verifies(world):
    programs = {
        name: table([world.step(name)]) for name in ("spoil", "barrier", "program", "verify")
    }
    code, _ = world.barrier_loop(2, **programs)
    assert code == 0
    assert world.names() == ["spoil", "barrier", "program", "verify"] * 2
    assert world.cells[[PROGRESS, CHECKED_ITERATIONS]].tolist() == [2, 2]


def test_between_checks_inputs_are_restored_and_nothing_is_verified(world):
    programs = {
        name: table([world.step(name)])
        for name in ("spoil", "inputs", "barrier", "program", "verify")
    }
    world.barrier_loop(5, every=3, **programs)
    checked = ["spoil", "barrier", "program", "verify"]
    unchecked = ["inputs", "barrier", "program"]
    assert world.names() == [*checked, *unchecked, *unchecked, *checked, *unchecked]
    assert world.cells[[PROGRESS, CHECKED_ITERATIONS]].tolist() == [5, 2]


def test_stamps_enclose_the_program_and_nothing_else(world):
    programs = {
        "spoil": table([world.step("spoil", 1_000)]),
        "barrier": table([world.step("barrier", 20_000)]),
        "program": table([world.step("one", 300), world.step("two", 50)]),
        "verify": table([world.step("verify", 4_000)]),
    }
    _, stamps = world.barrier_loop(3, **programs)
    assert (stamps[:, 1] - stamps[:, 0]).tolist() == [350 + READING] * 3
    assert np.diff(stamps[:, 0]).tolist() == [25_350 + 2 * READING] * 2
    assert stamps[0, 0] == 5 * 10**9 - 35 + 21_000 + READING


def test_an_error_code_ends_the_loop_and_the_iteration_is_still_stamped(world):
    program = table([world.step("program", fails_at=2)])
    verify = table([world.step("verify")])
    code, stamps = world.barrier_loop(5, program=program, verify=verify)
    assert code == 7
    assert world.names() == ["program", "verify"] * 2 + ["program"]
    assert world.cells[PROGRESS] == 3
    assert (stamps[:3] > 0).all()
    assert (stamps[3:] == 0).all()


def test_an_error_of_the_barrier_ends_the_loop_as_well(world):
    code, _ = world.barrier_loop(4, barrier=table([world.step("barrier", fails_at=1)]))
    assert code == 7
    assert world.cells[PROGRESS] == 2


def test_wrong_iterations_are_counted_and_the_first_is_kept(world):
    verify = table([world.step("verify", wrong_at=(2, 3))])
    world.barrier_loop(10, every=2, verify=verify)
    assert world.cells[[CHECKED_ITERATIONS, FAULTY_ITERATIONS]].tolist() == [5, 2]
    assert world.cells[FIRST_FAULTY] == 4
    world.barrier_loop(1, verify=table([world.step("again", wrong_at=(0,))]))
    assert world.cells[FIRST_FAULTY] == 4


# synchronised windows ----------------------------------------------------------------------------


def test_iterations_begin_on_the_agreed_grid(world):
    start = world.now + 1_000
    program = table([world.step("program", 500)])
    code, stamps = world.synchronised_loop(start, 2_000, 4, program=program)
    assert code == 0
    windows = start + 2_000 * np.arange(4)
    assert (stamps[:, 0] >= windows).all()
    assert (stamps[:, 0] < windows + READING).all()
    assert (stamps[:, 1] - stamps[:, 0]).tolist() == [500 + READING] * 4
    assert world.cells[[PROGRESS, MISSED]].tolist() == [4, 0]


def test_a_missed_window_is_counted_and_the_next_one_taken(world):
    start = world.now + 1_000
    late = iter([100, 5_300, 100, 100])

    def call(_argument: int) -> int:
        world.now += next(late)
        return 0

    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)(call)
    program = table([Step(c_address(function), (0,))])
    _, stamps = world.synchronised_loop(start, 1_000, 4, program=program)
    assert ((stamps[:, 0] - start) // 1_000).tolist() == [0, 1, 7, 8]
    assert ((stamps[:, 0] - start) % 1_000 < READING).all()
    assert world.cells[MISSED] == 1


def test_a_rank_that_comes_on_time_to_the_nanosecond_has_not_missed_its_window(world):
    start = world.now + READING
    _, stamps = world.synchronised_loop(start, 1_000, 1)
    assert stamps[0, 0] == start
    assert world.cells[MISSED] == 0


@pytest.mark.parametrize("late", [1, 999, 1_000, 12_345])
def test_a_start_in_the_past_keeps_the_grid(world, late):
    start = world.now - late
    _, stamps = world.synchronised_loop(start, 1_000, 3)
    assert ((stamps[:, 0] - start) % 1_000 < READING).all()
    assert world.cells[MISSED] == 1
    assert (np.diff(stamps[:, 0]) >= 1_000 - READING).all()


def test_synchronised_iterations_are_restored_spoiled_and_verified_outside_the_window(world):
    programs = {
        name: table([world.step(name, 40)]) for name in ("spoil", "inputs", "program", "verify")
    }
    _, stamps = world.synchronised_loop(world.now + 500, 1_000, 3, every=2, **programs)
    checked, unchecked = ["spoil", "program", "verify"], ["inputs", "program"]
    assert world.names() == [*checked, *unchecked, *checked]
    assert (stamps[:, 1] - stamps[:, 0]).tolist() == [40 + READING] * 3
    assert world.cells[[CHECKED_ITERATIONS, MISSED]].tolist() == [2, 0]


def test_an_error_code_ends_the_synchronised_loop(world):
    program = table([world.step("program", fails_at=1)])
    code, _ = world.synchronised_loop(world.now, 100, 9, program=program)
    assert code == 7
    assert world.cells[PROGRESS] == 2


# back to back ------------------------------------------------------------------------------------


def test_sets_of_buffers_rotate_without_a_pause(world):
    programs = np.stack([table([world.step(name, 100 * k)]) for k, name in enumerate("abc", 1)])
    stamps = np.zeros(8, np.int64)
    assert back_to_back_loop(world.clock, programs, world.cells, stamps, True) == 0
    assert "".join(world.names()) == "abcabca"
    assert np.diff(stamps).tolist() == [110, 210, 310, 110, 210, 310, 110]
    assert world.cells[PROGRESS] == 7


def test_a_rank_that_is_not_timed_does_the_same_without_reading_the_clock(world):
    programs = np.stack([table([world.step(name, 100)]) for name in "ab"])
    stamps, before = np.zeros(4, np.int64), world.now
    assert back_to_back_loop(world.clock, programs, world.cells, stamps, False) == 0
    assert "".join(world.names()) == "aba"
    assert not stamps.any()
    assert world.now - before == 300
    assert world.cells[PROGRESS] == 3


def test_an_error_code_ends_the_rotation(world):
    programs = np.stack([table([world.step("a")]), table([world.step("b", fails_at=1)])])
    stamps = np.zeros(10, np.int64)
    assert back_to_back_loop(world.clock, programs, world.cells, stamps, True) == 7
    assert "".join(world.names()) == "abab"
    assert (stamps[:5] > 0).all()
    assert (stamps[5:] == 0).all()


# the clock ---------------------------------------------------------------------------------------


def test_stamps_of_the_hosts_clock_never_go_back():
    stamps = np.zeros((1000, 2), np.int64)
    empty = (NONE,) * 5
    cells = np.zeros(CELLS, np.int64)
    barrier_loop(CLOCK, *empty, np.zeros(4, np.int64), 1, cells, stamps)
    assert (np.diff(stamps.ravel()) >= 0).all()
    readings = np.zeros(1000, np.int64)
    stamp_cost(CLOCK, readings)
    assert (np.diff(readings) >= 0).all()
    assert readings[0] >= stamps[-1, 1]


def test_successive_readings_fill_every_stamp(world):
    stamps = np.zeros(5, np.int64)
    stamp_cost(world.clock, stamps)
    assert np.diff(stamps).tolist() == [READING] * 4
