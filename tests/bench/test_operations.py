"""Every layout against a simulation of the operation on real buffers, as the MPI standard words it."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.buffers import Buffers, Sets
from railgauge.dtypes import DTYPES
from railgauge.errors import UsageError
from railgauge.inputs import WRONG, data_record
from railgauge.layouts import BETWEEN_PAIRS, COPIES, Ends, Group, copies, offsets, partner
from railgauge.loop import execute, table
from railgauge.operations import OPERATIONS, REDUCTIONS, operation_named
from railgauge.plan import Case, Plan, cases
from railgauge.traffic import Traffic, skewed

Elements = npt.NDArray[np.int32]
SEED = 29
VERBS = ("write", "read", "send")
MATRICES = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 4), min_size=n, max_size=n).map(tuple), min_size=n, max_size=n
    ).map(tuple)
)


def view(address: int, count: int) -> Elements:
    return np.frombuffer((ctypes.c_int32 * count).from_address(address), np.int32)


def two_flows(me: int, n: int) -> Ends:
    """Flows from each rank of a group to the two that come next."""
    return Ends(((me - 1) % n, (me - 2) % n), ((me + 1) % n, (me + 2) % n))


class Ranks:
    """The buffers of all ranks of a group for int32 sums, and what an operation does to them."""

    def __init__(
        self,
        name: str,
        n: int,
        count: int,
        root: int = 0,
        in_place: bool = False,
        traffic: Traffic | None = None,
        slots: int = 1,
        sends: int = 1,
        call: str = "",
        in_block: bool = False,
    ) -> None:
        self.name, self.n, self.count, self.root = name, n, count, root
        self.in_place, self.traffic, self.in_block = in_place, traffic, in_block
        self.form = call.removesuffix("_sm")
        entry = OPERATIONS[name]
        dtype = DTYPES["int32"]
        record = data_record(dtype, "sum" if entry.reduces else None, n, SEED)
        self.buffers = []
        for me in range(n):
            ends = two_flows(me, n)
            group = Group(n, me, root, count, traffic, in_place, call, in_block, ends)
            layout = entry.layout(group)
            sets = Sets(slots, sends, in_place)
            self.buffers.append(Buffers(layout, dtype, record, me, sets))

    def each(self, steps: str) -> None:
        for buffers in self.buffers:
            assert execute(table(getattr(buffers, steps)())) == 0

    def wrong(self) -> int:
        for buffers in self.buffers:
            buffers.report[:] = 0
        self.each("verification")
        assert not any(buffers.check_guards() for buffers in self.buffers)
        return sum(int(buffers.report[WRONG]) for buffers in self.buffers)

    # the operation, one slot after the other ----------------------------------------------------

    def operate(self) -> None:
        for slot in range(len(self.buffers[0].slots)):
            getattr(self, self.name)(slot)

    def sent(self, rank: int, count: int, turn: int = 0) -> Elements:
        return view(self.buffers[rank].sends[turn], count).copy()

    def slot(self, rank: int, slot: int, count: int) -> Elements:
        return view(self.buffers[rank].slots[slot], count)

    def inputs(self, slot: int, count: int, own: int = 0) -> list[Elements]:
        """What each rank brings: with MPI_IN_PLACE, from its receive buffer."""
        if not self.in_place:
            return [self.sent(rank, count) for rank in range(self.n)]
        return [
            self.slot(rank, slot, own * rank + count)[own * rank :].copy() for rank in range(self.n)
        ]

    def all_reduce(self, slot: int) -> None:
        total = np.sum(self.inputs(slot, self.count), axis=0, dtype=np.int32)
        for rank in range(self.n):
            self.slot(rank, slot, self.count)[:] = total

    def all_gather(self, slot: int) -> None:
        blocks = np.concatenate(self.inputs(slot, self.count, own=self.count))
        for rank in range(self.n):
            self.slot(rank, slot, self.n * self.count)[:] = blocks

    def reduce_scatter(self, slot: int) -> None:
        total = np.sum(self.inputs(slot, self.n * self.count), axis=0, dtype=np.int32)
        for rank in range(self.n):
            block = total[rank * self.count : (rank + 1) * self.count]
            at = rank * self.count if self.in_place and self.in_block else 0
            self.slot(rank, slot, at + self.count)[at:] = block

    def broadcast(self, slot: int) -> None:
        data = self.slot(self.root, slot, self.count).copy()
        for rank in range(self.n):
            self.slot(rank, slot, self.count)[:] = data

    def rooted_inputs(self, at_root: Elements) -> list[Elements]:
        """In a rooted operation MPI_IN_PLACE is the root's alone."""
        return [
            at_root.copy() if rank == self.root and self.in_place else self.sent(rank, self.count)
            for rank in range(self.n)
        ]

    def reduce(self, slot: int) -> None:
        result = self.slot(self.root, slot, self.count)
        result[:] = np.sum(self.rooted_inputs(result), axis=0, dtype=np.int32)

    def gather(self, slot: int) -> None:
        result = self.slot(self.root, slot, self.n * self.count)
        own = result[self.root * self.count : (self.root + 1) * self.count]
        result[:] = np.concatenate(self.rooted_inputs(own))

    def scatter(self, slot: int) -> None:
        blocks = self.sent(self.root, self.n * self.count).reshape(self.n, self.count)
        for rank in range(self.n):
            if rank != self.root or not self.in_place:
                self.slot(rank, slot, self.count)[:] = blocks[rank]

    def alltoall(self, slot: int) -> None:
        sent = np.array(self.inputs(slot, self.n * self.count)).reshape(self.n, self.n, self.count)
        for rank in range(self.n):
            self.slot(rank, slot, self.n * self.count)[:] = sent[:, rank].ravel()

    def alltoallv(self, slot: int) -> None:
        assert self.traffic is not None
        for receiver in range(self.n):
            arrived = []
            for sender, row in enumerate(self.traffic.matrix):
                begin = sum(row[:receiver])
                arrived.append(self.sent(sender, sum(row))[begin : begin + row[receiver]])
            made = np.concatenate(arrived)
            self.slot(receiver, slot, len(made))[:] = made

    def sendrecv(self, slot: int) -> None:
        for rank in range(self.n):
            self.slot((rank + 1) % self.n, slot, self.count)[:] = self.sent(rank, self.count)

    def flows(self, slot: int) -> None:
        """Every rank sends to the two that come next, itself among them where there are too few."""
        for rank in range(self.n):
            blocks = [self.sent(source, self.count) for source in two_flows(rank, self.n).sources]
            self.slot(rank, slot, 2 * self.count)[:] = np.concatenate(blocks)

    def latency(self, slot: int) -> None:
        half = self.n // 2
        for low in range(half):
            self.slot(low + half, slot, self.count)[:] = self.sent(low, self.count)
            self.slot(low, slot, self.count)[:] = self.sent(low + half, self.count)

    bidirectional_bandwidth = latency

    def bandwidth(self, slot: int) -> None:
        for low in range(self.n // 2):
            high = low + self.n // 2
            self.slot(high, slot, self.count)[:] = self.sent(low, self.count)

    message_rate = bandwidth

    def rdma(self, slot: int, out: bool) -> None:
        """Out: the data leaves the rank that starts; of a call that is not named, that is rank 0."""
        for starts in {"back": [1], "both": [0, 1]}.get(self.form, [0]):
            source = starts if out else 1 - starts
            self.slot(1 - source, slot, self.count)[:] = self.sent(source, self.count)

    def rdma_write_bandwidth(self, slot: int) -> None:
        self.rdma(slot, out=True)

    def rdma_read_bandwidth(self, slot: int) -> None:
        self.rdma(slot, out=False)

    rdma_send_bandwidth = rdma_write_bandwidth
    rdma_read_latency = rdma_read_bandwidth
    rdma_write_latency = rdma_send_latency = latency

    def barrier(self, slot: int) -> None:
        pass

    def copy(self, slot: int) -> None:
        """Every rank whose GPU copies does so, from buffer to buffer of the same turn."""
        turn = slot % len(self.buffers[0].sends)
        for rank in range(self.n):
            other = partner(rank, self.n)
            acts = rank < other or self.form not in ("pull", "push")
            source = other if self.form in ("pull", "both") else rank
            to = other if self.form == "push" else rank
            if acts:
                self.slot(to, slot, self.count)[:] = self.sent(source, self.count, turn)


def groups_of(name: str) -> list[int]:
    if OPERATIONS[name].external:
        return [2]
    return [2, 4, 6] if OPERATIONS[name].even else [1, 2, 3, 4, 5, 6]


FORMS = [
    (name, n, root, placement, call)
    for name, entry in OPERATIONS.items()
    for call in (entry.calls if entry.copies or entry.external else ("",))
    for n in ([1, 3] if entry.copies and call not in BETWEEN_PAIRS else []) + groups_of(name)
    for root in (range(n) if entry.rooted else (0,))
    for placement in entry.placements
]


def check_layouts(ranks: Ranks, moves: bool) -> None:
    """Right results verify, twice over the same buffers; whoever does nothing is found out."""
    ranks.each("inputs")
    ranks.each("spoiled")
    idle = ranks.wrong()
    ranks.operate()
    assert ranks.wrong() == 0
    ranks.each("restored")  # a second iteration over the same buffers
    ranks.operate()
    assert ranks.wrong() == 0
    ranks.each("spoiled")  # one that does nothing
    assert ranks.wrong() == idle
    assert (idle > 0) == moves


@pytest.mark.parametrize(("name", "n", "root", "placement", "call"), FORMS)
def test_the_layout_expects_what_the_operation_delivers(name, n, root, placement, call):
    for count in (1, 5, 8):
        traffic = skewed(n, count, 0.5) if name == "alltoallv" else None
        ranks = Ranks(name, n, count, root, placement == "in", traffic, slots=2, call=call)
        check_layouts(ranks, moves=(n > 1 or placement == "out") and name != "barrier")


@pytest.mark.parametrize("placement", ["out", "in"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_reduce_scatter_in_the_ranks_own_block_is_expected_there(n, placement):
    for count in (1, 5):
        ranks = Ranks(
            "reduce_scatter", n, count, in_place=placement == "in", slots=2, in_block=True
        )
        check_layouts(ranks, moves=n > 1 or placement == "out")


def test_a_reduce_scatter_that_delivers_to_the_beginning_is_wrong_where_the_block_is_meant():
    ranks = Ranks("reduce_scatter", 3, 5, in_place=True, in_block=True)
    ranks.each("inputs")
    ranks.in_block = False  # what MPI does
    ranks.operate()
    assert ranks.wrong() >= 2 * 4  # of the first rank both places are the same


@pytest.mark.parametrize("call", COPIES)
@pytest.mark.parametrize("n", [2, 4, 6])
def test_every_turn_of_a_copy_goes_from_its_own_send_buffer(n, call):
    ranks = Ranks("copy", n, 5, slots=3, sends=3, call=call)
    check_layouts(ranks, moves=True)


@pytest.mark.parametrize("call", BETWEEN_PAIRS)
def test_a_copy_the_wrong_way_round_is_found(call):
    ranks = Ranks("copy", 4, 5, call=call)
    ranks.each("inputs")
    ranks.each("spoiled")
    ranks.form = {"pull": "push", "push": "pull", "both": "local"}[ranks.form]
    ranks.operate()
    ranks.each("verification")
    assert sum(int(buffers.report[WRONG]) for buffers in ranks.buffers) >= 2 * 5


@pytest.mark.parametrize("call", COPIES)
def test_the_first_half_copies_and_where_each_copies_for_itself_everybody(call):
    who = [me for me in range(6) if copies(Group(6, me, 0, 1, call=call))]
    alone = call.removesuffix("_sm") in ("pull", "push")
    assert who == [0, 1, 2] if alone else who == [*range(6)]


@given(matrix=MATRICES)
def test_alltoallv_expects_what_any_matrix_delivers(matrix):
    ranks = Ranks("alltoallv", len(matrix), 1, traffic=Traffic(np.array(matrix)))
    ranks.each("inputs")
    ranks.each("spoiled")
    assert ranks.wrong() == sum(map(sum, matrix))
    ranks.operate()
    assert ranks.wrong() == 0


def test_alltoallv_without_traffic_is_a_defect_of_the_caller():
    with pytest.raises(ValueError, match="traffic"):
        OPERATIONS["alltoallv"].layout(Group(2, 0, 0, 1))


# bandwidth factors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["all_gather", "alltoall", "gather", "scatter", "broadcast", "sendrecv", "latency"]
)
@pytest.mark.parametrize("n", [2, 4, 6])
def test_the_bus_factor_is_the_share_that_the_busiest_rank_exchanges_with_others(name, n):
    entry, count, root = OPERATIONS[name], 3, 1
    into, out = [0] * n, [0] * n
    for me in range(n):
        for s in entry.layout(Group(n, me, root, count)).expected:
            if s.source != me:
                into[me] += s.count
                out[s.source] += s.count
    nbytes = entry.nbytes(count, 1, n)
    # the root of a broadcast sends n - 1 copies; a pipeline or a tree makes one of it
    busiest = max(into) if name == "broadcast" else max(*into, *out)
    assert entry.bus_factor(n) * nbytes == pytest.approx(busiest)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 1000])
def test_all_reduce_is_a_reduce_scatter_and_an_all_gather(n):
    parts = sum(OPERATIONS[name].bus_factor(n) for name in ("reduce_scatter", "all_gather"))
    assert OPERATIONS["all_reduce"].bus_factor(n) == pytest.approx(parts)
    assert OPERATIONS["reduce"].bus_factor(n) == 1


@pytest.mark.parametrize("name", ["bandwidth", "bidirectional_bandwidth", "message_rate"])
@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize("window", [1, 64])
def test_windowed_bus_bandwidth_is_that_of_one_pair_in_one_direction(name, n, window):
    entry, nbytes, seconds = OPERATIONS[name], 1000, 2.0
    directions = 2 if name == "bidirectional_bandwidth" else 1
    assert entry.transfers(n, window) == window * directions * n // 2
    algbw = nbytes / (seconds / entry.transfers(n, window))
    assert algbw * entry.bus_factor(n) == pytest.approx(window * nbytes / seconds)


@pytest.mark.parametrize(
    ("call", "factor"),
    [(c, 2.0 if c in ("local", "local_sm") else 1.0) for c in COPIES],
)
def test_a_local_copy_moves_its_bytes_twice_through_the_memory(call, factor):
    case = Case(
        index=0,
        operation="copy",
        call=call,
        timing="back_to_back",
        dtype="int8",
        op=None,
        root=None,
        placement="out",
        nbytes=1024,
        count=1024,
    )
    assert [case.bus_factor(n) for n in (2, 8)] == [factor] * 2


@pytest.mark.parametrize("name", [name for name, o in OPERATIONS.items() if not o.copies])
def test_the_factor_of_any_other_case_is_its_operations(name):
    for case in cases(Plan(ranks=4, operations=(name,), sizes=(64,))):
        assert [case.bus_factor(n) for n in (2, 4)] == [case.entry.bus_factor(n) for n in (2, 4)]


def test_a_ping_pong_counts_two_messages_and_everything_else_one():
    assert OPERATIONS["latency"].transfers(2, 64) == 2
    others = [o for o in OPERATIONS.values() if not o.windowed and o.name != "latency"]
    assert {o.transfers(4, 64) for o in others} == {1}


# sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, o in OPERATIONS.items() if o.sized])
@given(nbytes=st.integers(0, 2**50), itemsize=st.sampled_from([1, 2, 4, 8]), n=st.integers(1, 99))
def test_a_size_is_rounded_up_to_whole_blocks(name, nbytes, itemsize, n):
    entry = OPERATIONS[name]
    count = entry.count(nbytes, itemsize, n)
    made = entry.nbytes(count, itemsize, n)
    assert count >= 1
    assert made >= nbytes
    assert count == 1 or entry.nbytes(count - 1, itemsize, n) < nbytes
    assert entry.count(made, itemsize, n) == count


@pytest.mark.parametrize(("name", "n", "root", "placement", "call"), FORMS)
def test_the_size_is_the_larger_of_what_one_rank_sends_and_receives(name, n, root, placement, call):
    entry, count = OPERATIONS[name], 3
    traffic = skewed(n, count, 0) if name == "alltoallv" else None
    layouts = [
        entry.layout(Group(n, me, root, count, traffic, placement == "in", call)) for me in range(n)
    ]
    most = max(max(x.sends, x.receives) for x in layouts)
    assert entry.nbytes(count, 4, n) == (count if name == "flows" else most) * 4


def test_a_barrier_has_no_size():
    entry = OPERATIONS["barrier"]
    assert (entry.count(1024, 4, 2), entry.nbytes(0, 4, 2)) == (0, 0)


# groups ----------------------------------------------------------------------------------------


@given(half=st.integers(1, 50), data=st.data())
def test_partners_are_mutual_and_half_the_group_apart(half, data):
    me = data.draw(st.integers(0, 2 * half - 1))
    other = partner(me, 2 * half)
    assert partner(other, 2 * half) == me
    assert abs(other - me) == half


@pytest.mark.parametrize("name", [name for name, o in OPERATIONS.items() if o.even])
def test_operations_in_pairs_refuse_an_odd_group_and_say_what_to_type(name):
    OPERATIONS[name].check_group(4, "world")
    with pytest.raises(UsageError, match=rf"--operation {name} .*groups of 3.*\n.*even.*\n.*-n 4"):
        OPERATIONS[name].check_group(3, "world")


@pytest.mark.parametrize("name", [name for name, o in OPERATIONS.items() if o.external])
def test_operations_of_a_program_on_each_side_are_of_two_ranks_and_say_what_to_type(name):
    OPERATIONS[name].check_group(2, "world")
    with pytest.raises(
        UsageError, match=rf"--operation {name} .*groups\n? of 4.*\n.*\n.*--pattern pairs"
    ):
        OPERATIONS[name].check_group(4, "world")


@pytest.mark.parametrize("call", [c for c in COPIES if c not in BETWEEN_PAIRS])
def test_a_copy_within_a_rank_needs_no_partner(call):
    OPERATIONS["copy"].check_group(3, "world", (call,))
    with pytest.raises(UsageError, match="pairs of ranks"):
        OPERATIONS["copy"].check_group(3, "world", (call, "pull"))


@given(counts=st.lists(st.integers(0, 100), max_size=9))
def test_offsets_are_running_sums(counts):
    assert offsets(counts) == [sum(counts[:k]) for k in range(len(counts))]


# names -----------------------------------------------------------------------------------------


def test_an_unknown_operation_names_the_closest_and_all_that_are_allowed():
    with pytest.raises(UsageError) as raised:
        operation_named("allreduce")
    message = str(raised.value)
    assert message.startswith("unknown operation 'allreduce'. Did you mean 'all_reduce'?")
    assert all(name in message for name in (*OPERATIONS, "all"))
    assert "next: railgauge list" in message


def test_the_table_holds_every_operation_that_the_main_job_promises():
    assert set(OPERATIONS) == {
        *("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "gather"),
        *(
            "scatter",
            "alltoall",
            "alltoallv",
            "sendrecv",
            "barrier",
            "latency",
            "bandwidth",
            "flows",
        ),
        *("bidirectional_bandwidth", "message_rate", "copy"),
        *(f"rdma_{verb}_{what}" for verb in VERBS for what in ("bandwidth", "latency")),
    }
    assert REDUCTIONS == ("sum", "prod", "min", "max", "avg", "premul_sum")
    assert all(name == entry.name and entry.summary for name, entry in OPERATIONS.items())
    assert math.isfinite(sum(entry.bus_factor(2) for entry in OPERATIONS.values()))
