"""Buffers lie apart between guard zones, and whatever is written outside or left undone shows."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge.buffers import LINE, PAGE, Buffers, Sets, footprint
from railgauge.dtypes import DTYPES
from railgauge.inputs import EXPECTED, FOUND, GUARD_BYTE, WRONG, data_record
from railgauge.layouts import Group, Layout
from railgauge.loop import Table, execute, table
from railgauge.memory import HostMemory, Memory
from railgauge.operations import OPERATIONS

SETS = st.builds(Sets, st.integers(1, 5), st.integers(1, 5), st.booleans())
COUNTS = st.one_of(st.integers(1, 40), st.integers(1000, 1100), st.integers(4090, 4100))


def make(
    operation: str = "all_gather",
    count: int = 5,
    dtype: str = "float32",
    slots: int = 1,
    in_place: bool = False,
    n: int = 3,
    me: int = 1,
    sends: int = 1,
    memory: Memory | None = None,
    on_host: str = "",
) -> Buffers:
    entry = OPERATIONS[operation]
    record = data_record(DTYPES[dtype], "sum" if entry.reduces else None, n, 23)
    layout = entry.layout(Group(n, me, 0, count, None, in_place))
    return Buffers(layout, DTYPES[dtype], record, me, Sets(slots, sends, in_place, on_host), memory)


def zones(buffers: Buffers) -> list[tuple[str, int, int]]:
    """(name, address, bytes) of every buffer that holds anything."""
    layout, width = buffers.layout, buffers.dtype.itemsize
    if buffers.in_place:
        most = max(layout.sends, layout.receives) * width
        return [(f"receive {k}", at, most) for k, at in enumerate(buffers.slots)]
    names = ["send"] if len(buffers.sends) == 1 else [f"send {k}" for k in range(9)]
    made = [(names[k], at, layout.sends * width) for k, at in enumerate(buffers.sends)]
    made += [(f"receive {k}", at, layout.receives * width) for k, at in enumerate(buffers.slots)]
    return [zone for zone in made if zone[2]]


def write(address: int, byte: int) -> None:
    ctypes.memset(address, byte, 1)


def run(steps: list) -> None:
    assert execute(table(steps)) == 0


def deliver(buffers: Buffers) -> None:
    """Put into every slot what a right operation would."""
    for slot in buffers.slots:
        for s in buffers.layout.expected:
            at = slot + s.offset * buffers.dtype.itemsize
            run(buffers.checks.fill(at, s.count, s.source, s.start))


def wrong(buffers: Buffers) -> int:
    report: Table = buffers.report
    report[:] = 0
    run(buffers.verification())
    return int(report[WRONG])


@pytest.mark.parametrize(("in_place", "sends"), [(False, 1), (False, 3), (True, 1), (True, 2)])
@pytest.mark.parametrize("count", [1, 5, 33, 1024, 1500])
@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_a_write_one_byte_before_or_after_any_buffer_is_caught_and_named(
    dtype, count, in_place, sends
):
    buffers = make("all_gather", count, dtype, slots=2, in_place=in_place, sends=sends)
    assert buffers.check_guards() == 0
    width = buffers.dtype.itemsize
    for name, begin, nbytes in zones(buffers):
        for address, index in ((begin - 1, -1), (begin + nbytes, nbytes // width)):
            write(address, 0x77)
            assert buffers.check_guards() == 1
            assert buffers.located(buffers.guard_report) == (name, index)
            report = buffers.guard_report
            assert (report[EXPECTED], report[FOUND]) == (GUARD_BYTE, 0x77)
            write(address, GUARD_BYTE)
            assert buffers.check_guards() == 0


@given(
    count=COUNTS,
    slots=st.integers(1, 4),
    sends=st.integers(1, 4),
    in_place=st.booleans(),
    data=st.data(),
)
@settings(max_examples=40)
def test_any_byte_of_the_memory_is_either_payload_or_guarded(count, slots, sends, in_place, data):
    buffers = make("all_gather", count, "int8", slots, in_place, sends=sends)
    inside = [range(begin, begin + nbytes) for _, begin, nbytes in zones(buffers)]
    _, begin, nbytes = data.draw(st.sampled_from(zones(buffers)))
    address = data.draw(st.integers(begin - LINE, begin + nbytes + LINE - 1))
    write(address, 0x55)
    payload = any(address in buffer for buffer in inside)
    assert buffers.check_guards() == (0 if payload else 1)


@given(
    counts=st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
    sets=SETS,
    dtype=st.sampled_from(["int8", "float16", "float64"]),
)
def test_buffers_do_not_overlap_and_begin_where_they_should(counts, sets, dtype):
    layout = Layout(*counts, own=0 if sets.in_place else None)
    record = data_record(DTYPES[dtype], None, 2, 1)
    buffers = Buffers(layout, DTYPES[dtype], record, 0, sets)
    assert buffers.nbytes == footprint(layout, DTYPES[dtype].itemsize, sets)
    places = sorted((begin, nbytes) for _, begin, nbytes in zones(buffers))
    end = 0
    for begin, nbytes in places:
        assert begin % (PAGE if nbytes >= PAGE else LINE) == 0
        assert begin >= end + LINE
        end = begin + nbytes
    assert buffers.check_guards() == 0


@given(
    counts=st.tuples(st.integers(0, 9000), st.integers(0, 9000)),
    sets=SETS,
)
def test_the_footprint_is_the_payload_and_little_more(counts, sets):
    layout = Layout(*counts, own=0 if sets.in_place else None)
    payload = counts[0] * sets.sends + counts[1] * sets.receives
    if sets.in_place:
        payload = max(counts) * sets.receives
    made = footprint(layout, 1, sets)
    assert payload <= made <= payload + (sets.receives + sets.sends) * 4 * PAGE + 4 * PAGE


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "operation", ["all_reduce", "all_gather", "reduce_scatter", "alltoall", "sendrecv", "scatter"]
)
def test_what_a_right_operation_delivers_verifies_and_an_idle_one_does_not(
    operation, dtype, in_place
):
    in_place = in_place and "in" in OPERATIONS[operation].placements
    buffers = make(operation, 40, dtype, slots=2, in_place=in_place)
    run(buffers.inputs())
    run(buffers.spoiled())
    assert wrong(buffers) > 0
    deliver(buffers)
    assert wrong(buffers) == 0
    assert buffers.check_guards() == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", ["all_reduce", "all_gather", "alltoall", "scatter"])
def test_out_of_place_every_output_element_is_spoiled(operation, dtype):
    buffers = make(operation, 40, dtype, slots=3)
    deliver(buffers)
    run(buffers.spoiled())
    assert wrong(buffers) == 3 * buffers.layout.receives


def test_in_place_all_gather_spoils_all_but_its_own_block():
    buffers = make("all_gather", 40, in_place=True)
    deliver(buffers)
    run(buffers.spoiled())
    assert wrong(buffers) == 2 * 40


def test_inputs_that_iterations_overwrite_are_restored_and_others_are_left_alone():
    assert make("all_reduce", in_place=False).restored() == []
    assert make("broadcast", in_place=True, me=0).restored() == []
    assert make("all_reduce", in_place=True).restored() != []
    assert make("alltoall", in_place=True).restored() != []


def test_restoring_puts_back_the_input_of_every_slot():
    buffers = make("all_reduce", 40, slots=3, in_place=True)
    run(buffers.inputs())
    before = [ctypes.string_at(slot, 160) for slot in buffers.slots]
    deliver(buffers)
    assert [ctypes.string_at(slot, 160) for slot in buffers.slots] != before
    run(buffers.restored())
    assert [ctypes.string_at(slot, 160) for slot in buffers.slots] == before


def test_a_write_between_two_buffers_belongs_to_the_nearer_one():
    buffers = make("all_reduce", 16, "float32", slots=2)  # 64 bytes each, 128 bytes apart
    end = buffers.slots[0] + 64
    assert buffers.slots[1] == end + 128
    for byte, place in ((40, ("receive 0", 26)), (100, ("receive 1", -7))):
        write(end + byte, 0x77)
        assert buffers.check_guards() == 1
        assert buffers.located(buffers.guard_report) == place
        write(end + byte, GUARD_BYTE)


@pytest.mark.parametrize("in_place", [False, True])
def test_the_first_wrong_element_is_located_in_its_slot(in_place):
    buffers = make("all_gather", 7, "float16", slots=4, in_place=in_place)
    deliver(buffers)
    write(buffers.slots[2] + 2 * 13 + 1, 0)
    write(buffers.slots[2] + 2 * 13, 0)
    assert wrong(buffers) == 1
    assert buffers.located(buffers.report) == ("receive 2", 13)


def test_a_rank_that_neither_sends_nor_receives_has_nothing_to_do():
    buffers = make("barrier")
    assert (buffers.inputs(), buffers.spoiled(), buffers.verification()) == ([], [], [])
    assert buffers.check_guards() == 0


def mapping(address: int) -> str | None:
    """The permissions of the mapping that holds an address, as /proc/self/maps has them."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, *_ = line.split()
        begin, end = (int(word, 16) for word in span.split("-"))
        if begin <= address < end:
            return permissions
    return None


def test_buffers_are_private_memory_as_of_a_program_and_closing_gives_it_back():
    buffers = make("all_gather", 1 << 20)
    # shared: a file in memory, without huge pages
    assert [mapping(at) for at in (*buffers.sends, *buffers.slots)] == ["rw-p"] * 2
    buffers.close()
    assert buffers.areas == []
    assert buffers._memory._maps == {}


# several send buffers, two areas ----------------------------------------------------------------


class Recorded(HostMemory):
    """Host memory that knows what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, bool]] = []
        self.freed: list[int] = []

    def allocate(self, nbytes: int, byte: int, on_host: bool = False) -> int:
        address = super().allocate(nbytes, byte, on_host)
        self.asked.append((address, nbytes, on_host))
        return address

    def free(self, address: int) -> None:
        super().free(address)
        self.freed.append(address)


@pytest.mark.parametrize(
    ("on_host", "areas"),
    [("", (False, False)), ("send", (True, False)), ("receive", (False, True))],
)
def test_each_side_is_an_allocation_of_its_own_in_the_memory_it_was_asked_for(on_host, areas):
    memory = Recorded()
    buffers = make("all_gather", 40, slots=3, sends=2, memory=memory, on_host=on_host)
    assert [there for *_, there in memory.asked] == list(areas)
    assert buffers.areas == [(address, nbytes) for address, nbytes, _ in memory.asked]
    sending, receiving = (range(at, at + nbytes) for at, nbytes in buffers.areas)
    assert all(at in sending for at in buffers.sends)
    assert all(at in receiving for at in buffers.slots)
    assert (len(buffers.sends), len(buffers.slots)) == (2, 3)
    buffers.close()
    assert memory.freed == [address for address, *_ in memory.asked]


def test_every_send_buffer_holds_the_ranks_input():
    buffers = make("all_gather", 40, sends=3)
    run(buffers.inputs())
    first, *others = (ctypes.string_at(at, 160) for at in buffers.sends)
    assert others == [first, first]
    assert first != bytes([GUARD_BYTE]) * 160


@pytest.mark.parametrize("in_place", [False, True])
def test_a_rank_with_several_sets_restores_and_verifies_all_of_them(in_place):
    buffers = make("all_reduce", 40, slots=3, sends=3, in_place=in_place)
    run(buffers.inputs())
    run(buffers.spoiled())
    deliver(buffers)
    assert wrong(buffers) == 0
    for slot in buffers.slots:
        write(slot + 7, 0x11 ^ ctypes.string_at(slot + 7, 1)[0])
    assert wrong(buffers) == 3
    assert buffers.located(buffers.report) == ("receive 0", 1)


def test_a_write_into_a_guard_of_the_second_area_is_not_taken_for_the_first():
    buffers = make("all_reduce", 16, "float32", slots=2, sends=2)
    for name, begin in (("send 1", buffers.sends[1]), ("receive 1", buffers.slots[1])):
        write(begin + 64, 0x77)
        assert buffers.check_guards() == 1
        assert buffers.located(buffers.guard_report) == (name, 16)
        write(begin + 64, GUARD_BYTE)
