"""NCCL's calls, played by an interpreter of their definitions in nccl.h, deliver what each layout expects."""

from __future__ import annotations

import ctypes
from collections import defaultdict, deque
from collections.abc import Callable

import ml_dtypes  # noqa: F401 - NumPy learns the names of narrow floats
import numpy as np
import numpy.typing as npt
import pytest

from railgauge.backends import offers_of
from railgauge.buffers import Buffers, Sets
from railgauge.dtypes import DTYPES
from railgauge.inputs import WRONG, data_record
from railgauge.loop import execute, table
from railgauge.nccl.calls import DATA_TYPES, NATIVE, OPERATIONS, RED_OPS, Arguments, program
from railgauge.needs import group_facts
from railgauge.plan import Case, Plan, cases

NAMES = {number: name for name, number in DATA_TYPES.items()}
COMBINE = {0: np.add, 1: np.multiply, 2: np.maximum, 3: np.minimum}
STREAM = 77
WINDOW = 3


def view(at: int, count: int, kind: int) -> npt.NDArray:
    dtype = np.dtype(NAMES[kind])
    raw = np.frombuffer((ctypes.c_uint8 * (count * dtype.itemsize)).from_address(at), np.uint8)
    return raw.view(dtype)


class Library:
    """Plays one iteration of all ranks: collectives together, sends and receives in their order."""

    def __init__(self, programs: list[list[tuple[str, tuple[int, ...]]]]) -> None:
        self.programs = programs
        self.n = len(programs)

    def play(self) -> None:
        waiting = [self._grouped(calls) for calls in self.programs]
        sent: dict[tuple[int, int], deque] = defaultdict(deque)
        while any(waiting):
            moved = self._collective(waiting)
            for rank, groups in enumerate(waiting):
                moved |= self._transfers(rank, groups, sent)
            assert moved, f"nothing can go on: {waiting}"
        assert not any(sent.values()), "a message that nobody receives"

    def _grouped(self, calls):
        """Each entry: the calls that must complete before the next entry begins."""
        groups, inside = deque(), None
        for name, arguments in calls:
            assert len(arguments) <= 12
            if name == "ncclGroupStart":
                inside = []
            elif name == "ncclGroupEnd":
                groups.append(inside)
                inside = None
            elif inside is None:
                groups.append([(name, arguments)])
            else:
                inside.append((name, arguments))
        assert inside is None
        return groups

    def _transfers(self, rank, groups, sent):
        if not groups or groups[0][0][0] not in ("ncclSend", "ncclRecv"):
            return False
        moved = False
        for call in list(groups[0]):
            name, (at, count, kind, peer, communicator, stream) = call
            assert (communicator, stream) == (rank, STREAM)
            if name == "ncclSend":
                sent[rank, peer].append(view(at, count, kind).copy())
            elif sent[peer, rank]:
                data = sent[peer, rank].popleft()
                view(at, count, kind)[:] = data
            else:
                continue
            groups[0].remove(call)
            moved = True
        if not groups[0]:
            groups.popleft()
        return moved

    def _collective(self, waiting) -> bool:
        heads = [groups[0][0] if groups and len(groups[0]) == 1 else ("", ()) for groups in waiting]
        names = {name for name, _ in heads}
        if len(names) != 1 or not (names - {"", "ncclSend", "ncclRecv"}):
            return False
        getattr(self, names.pop())([arguments for _, arguments in heads])
        for groups in waiting:
            groups.popleft()
        return True

    def _reduced(self, sources, op):
        total = sources[0].copy()
        for source in sources[1:]:
            total = COMBINE[op](total, source).astype(total.dtype)
        return total

    def ncclAllReduce(self, calls):  # noqa: N802 - NCCL's name
        inputs = [view(a[0], a[2], a[3]).copy() for a in calls]
        for _, to, count, kind, op, *_ in calls:
            view(to, count, kind)[:] = self._reduced(inputs, op)

    def ncclReduce(self, calls):  # noqa: N802
        inputs = [view(a[0], a[2], a[3]).copy() for a in calls]
        _, to, count, kind, op, root, *_ = calls[calls[0][5]]
        assert {a[5] for a in calls} == {root}
        view(to, count, kind)[:] = self._reduced(inputs, op)

    def ncclReduceScatter(self, calls):  # noqa: N802
        inputs = [view(a[0], a[2] * self.n, a[3]).copy() for a in calls]
        for rank, (_, to, count, kind, op, *_) in enumerate(calls):
            block = slice(rank * count, (rank + 1) * count)
            view(to, count, kind)[:] = self._reduced([i[block] for i in inputs], op)

    def ncclAllGather(self, calls):  # noqa: N802
        inputs = [view(a[0], a[2], a[3]).copy() for a in calls]
        for _, to, count, kind, *_ in calls:
            view(to, count * self.n, kind)[:] = np.concatenate(inputs)

    def ncclBroadcast(self, calls):  # noqa: N802
        source, _, count, kind, root, *_ = calls[calls[0][4]]
        assert {a[4] for a in calls} == {root}
        data = view(source, count, kind).copy()
        for _, to, *_ in calls:
            view(to, count, kind)[:] = data

    def ncclAlltoAll(self, calls):  # noqa: N802
        inputs = [view(a[0], a[2] * self.n, a[3]).copy() for a in calls]
        for rank, (_, to, count, kind, *_) in enumerate(calls):
            block = slice(rank * count, (rank + 1) * count)
            view(to, count * self.n, kind)[:] = np.concatenate([i[block] for i in inputs])

    def ncclGather(self, calls):  # noqa: N802
        inputs = [view(a[0], a[2], a[3]).copy() for a in calls]
        _, to, count, kind, *_ = calls[calls[0][4]]
        view(to, count * self.n, kind)[:] = np.concatenate(inputs)

    def ncclScatter(self, calls):  # noqa: N802
        source, _, count, kind, *_ = calls[calls[0][4]]
        data = view(source, count * self.n, kind).copy()
        for rank, (_, to, *_) in enumerate(calls):
            view(to, count, kind)[:] = data[rank * count : (rank + 1) * count]


def played(plan: Plan, case: Case, has: Callable[[str], bool]) -> list[Buffers]:
    """The buffers of all ranks after one iteration from spoiled outputs."""
    n = plan.ranks
    notes = [np.zeros(8, np.uint8) for _ in range(n)]
    everybody, programs = [], []
    for me in range(n):
        facts = group_facts(plan, case, n, me)
        record = data_record(DTYPES[case.dtype], case.op, n, 5)
        sets = Sets(receives=2 if case.entry.windowed else 1, in_place=facts.in_place)
        buffers = Buffers(case.entry.layout(facts), DTYPES[case.dtype], record, me, sets)
        execute(table(buffers.inputs()))
        execute(table(buffers.spoiled()))
        arguments = Arguments(
            dtype=DATA_TYPES[case.dtype],
            itemsize=DTYPES[case.dtype].itemsize,
            op=RED_OPS.get(case.op or "", 0),
            communicator=me,
            stream=STREAM,
            window=WINDOW,
            note=notes[me].ctypes.data,
            has=has,
        )
        programs.append(program(case, facts, arguments, buffers.sends[0], buffers.slots))
        everybody.append(buffers)
    Library(programs).play()
    return everybody


def verified(everybody: list[Buffers]) -> bool:
    for buffers in everybody:
        execute(table(buffers.verification()))
        if buffers.report[WRONG] or buffers.check_guards():
            return False
    return True


def every_case(operation: str, n: int, **more) -> tuple[Plan, list[Case]]:
    plan = Plan(
        ranks=n,
        operations=(operation,),
        backend="nccl",
        memory="device",
        window=WINDOW,
        sizes=(4, 400),
        placements=("out", "in"),
        roots=tuple(range(n)),
        skew=0.5 if operation == "alltoallv" else 0.0,
        **more,
    )
    return plan, cases(plan)


@pytest.mark.parametrize("native", [True, False], ids=["native", "grouped"])
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_delivers_what_its_layout_expects(operation, n, native):
    plan, found = every_case(operation, n)
    if found[0].entry.even and n % 2:
        return
    for case in found:
        everybody = played(plan, case, lambda name: native or name not in NATIVE.values())
        assert verified(everybody), case


@pytest.mark.parametrize("op", ["sum", "prod", "min", "max"])
@pytest.mark.parametrize("dtype", DATA_TYPES)
def test_every_type_and_reduction_has_its_number_of_nccl_h(dtype, op):
    plan, found = every_case("all_reduce", 3, dtypes=(dtype,), ops=(op,))
    for case in found:
        with np.errstate(over="ignore"):
            assert verified(played(plan, case, lambda _: True)), case


def test_a_call_that_delivers_a_neighbours_block_is_found_out():
    plan, found = every_case("all_gather", 4)
    everybody = played(plan, found[1], lambda _: True)
    blocks = view(everybody[0].slots[0], found[1].count * 4, DATA_TYPES["float32"])
    count = found[1].count
    blocks[:count], blocks[count : 2 * count] = (
        blocks[count : 2 * count].copy(),
        blocks[:count].copy(),
    )
    assert not verified(everybody)


def test_nccl_offers_what_is_spelt_and_the_copies():
    assert set(offers_of("nccl").operations) == {*OPERATIONS, "copy"}
    assert "barrier" not in OPERATIONS  # NCCL has none
