"""Sums are those of their twin to the bit, over any number of inputs and of ranks."""

from __future__ import annotations

import threading

import ml_dtypes  # noqa: F401 - NumPy learns the names of narrow floats
import numpy as np
import pytest

from railgauge_kernels import reducing
from railgauge_kernels.reducing import FORMS

SECONDS = 1_000_000_000


def arrays(dtype, number, count, offset=0, seed=1):
    """Numbers of all magnitudes: what they sum to depends on the order and on the rounding."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        values = random.normal(size=count + 16) * np.exp2(random.integers(-6, 4, count + 16))
        made.append(values.astype(dtype)[offset : offset + count])
    return made


def table(of):
    return np.array([array.ctypes.data for array in of], np.int64)


def bits(array):
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


@pytest.mark.parametrize("dtype", reducing.REDUCED)
@pytest.mark.parametrize("number", [2, 3, 4, 8])
def test_a_sum_is_that_of_its_twin(launch, dtype, number):
    for kernel in reducing.reduce(dtype):
        for count, offset in ((1, 0), (4099, 0), (5000, 1)):
            inputs = arrays(dtype, number, count, offset)
            expected = reducing.twin(inputs)
            inputs[0] = inputs[0].copy() if offset == 0 else inputs[0]
            out = np.zeros(count, dtype)
            at = table(inputs)
            geometry = kernel.geometry(out.nbytes, 2)
            launch(kernel.function, geometry, out.ctypes.data, at.ctypes.data, number, count)
            assert np.array_equal(bits(out), bits(expected)), kernel.function


def test_a_sum_may_replace_one_of_its_inputs(launch):
    inputs = arrays("bfloat16", 2, 3000)
    expected = reducing.twin(inputs)
    kernel = reducing.reduce("bfloat16")[-1]
    at = table(inputs)
    out = inputs[1].ctypes.data
    launch(kernel.function, kernel.geometry(6000, 2), out, at.ctypes.data, 2, 3000)
    assert np.array_equal(bits(inputs[1]), bits(expected))


def test_narrow_sums_that_are_too_large_saturate(launch):
    inputs = [np.full(16, 448, "float8_e4m3fn")] * 2
    out = np.zeros(16, "float8_e4m3fn")
    at = table(inputs)
    kernel = reducing.reduce("float8_e4m3fn")[0]
    launch(kernel.function, kernel.geometry(16, 1), out.ctypes.data, at.ctypes.data, 2, 16)
    assert (out.astype(np.float32) == 448).all()
    assert (reducing.twin(inputs).astype(np.float32) == 448).all()


class Peers:
    """Ranks that share this process's memory, each launching from a thread of its own."""

    def __init__(self, launch, form, dtype, ranks, blocks, most):
        self.launch, self.form, self.ranks = launch, form, ranks
        self.kernel = reducing.all_reduce(form, dtype)
        self.blocks = blocks
        self.flags = [np.zeros(2 * blocks * ranks, np.int64) for _ in range(ranks)]
        self.epochs = [np.zeros(blocks, np.int64) for _ in range(ranks)]
        self.status = [np.zeros(1, np.int64) for _ in range(ranks)]
        self.capacity = -(-most // 8)
        size = 2 * ranks * self.capacity * 2 + 2
        self.slots = [self._aligned(np.zeros(size, np.int64)) for _ in range(ranks)]
        self.shared = table(self.slots if form == "low_latency" else self.flags)

    @staticmethod
    def _aligned(whole):
        return whole[whole.ctypes.data % 16 // 8 :][: len(whole) - 1]

    def parameters(self, rank, inputs, outs, count, limit):
        ends = (self.epochs[rank].ctypes.data, limit, self.status[rank].ctypes.data)
        shared = self.shared.ctypes.data
        if self.form == "low_latency":
            own = (inputs[rank].ctypes.data, outs[rank].ctypes.data)
            return (*own, shared, rank, self.ranks, count, self.capacity, *ends)
        self.tables = table(inputs), table(outs)
        to = outs[rank].ctypes.data if self.form == "one_shot" else self.tables[1].ctypes.data
        return (self.tables[0].ctypes.data, to, rank, self.ranks, count, shared, *ends)

    def run(self, inputs, outs, among=None, limit=100 * SECONDS):
        among = range(self.ranks) if among is None else among
        calls = {
            rank: self.parameters(rank, inputs, outs, len(inputs[rank]), limit) for rank in among
        }
        kept = self.tables if self.form != "low_latency" else None
        nbytes = inputs[0].nbytes
        geometry = self.kernel.geometry(nbytes, self.blocks)._replace(
            blocks=self.blocks, threads=64
        )
        threads = [
            threading.Thread(
                target=self.launch, args=(self.kernel.function, geometry, *calls[rank])
            )
            for rank in among
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return kept


@pytest.mark.parametrize("dtype", reducing.ALL_REDUCED)
@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("form", FORMS)
def test_all_ranks_get_the_bits_of_the_twin_call_after_call(launch, form, dtype, ranks):
    peers = Peers(launch, form, dtype, ranks, blocks=2, most=8000)
    for call, count in enumerate((1000, 1000, 777, 3)):
        inputs = arrays(dtype, ranks, count, seed=call)
        expected = bits(reducing.twin(inputs))
        outs = [np.zeros(count, dtype) for _ in range(ranks)]
        peers.run(inputs, outs)
        for out in outs:
            assert np.array_equal(bits(out), expected)
    assert not any(status.any() for status in peers.status)
    assert all((epochs == 4).all() for epochs in peers.epochs)


@pytest.mark.parametrize("form", ["two_shot", "low_latency"])
def test_an_all_reduce_may_work_in_place(launch, form):
    inputs = arrays("float32", 2, 900)
    expected = bits(reducing.twin(inputs))
    peers = Peers(launch, form, "float32", 2, blocks=2, most=3600)
    peers.run(inputs, inputs)
    for array in inputs:
        assert np.array_equal(bits(array), expected)


@pytest.mark.parametrize("form", FORMS)
def test_a_peer_that_never_comes_is_named(launch, form):
    inputs = arrays("float32", 2, 16)
    outs = [np.zeros(16, np.float32) for _ in range(2)]
    peers = Peers(launch, form, "float32", 2, blocks=1, most=64)
    peers.run(inputs, outs, among=[0], limit=SECONDS // 100)
    assert peers.status[0][0] == 1 + 1
    assert not outs[0].any()


def test_what_a_reduction_moves():
    assert reducing.reduce_traffic(3, 8) == (24, 8)
    assert reducing.all_reduce_traffic("one_shot", 4, 64) == (256, 64)
    assert reducing.all_reduce_traffic("two_shot", 4, 64) == (64, 64)
    assert reducing.all_reduce_traffic("low_latency", 4, 64) == (64 + 3 * 128, 64 + 3 * 128)
